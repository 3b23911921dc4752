// What the exporter writes besides numbers: the same bytes twice, names, where weights point, and what it refuses.
#include "tests/exporters/OnnxCases.h"

#include "ir/onnx/Onnx.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"

#include <catch2/catch.hpp>
#include <onnx/onnx_pb.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

const char *const kModule = R"(
fr.weights @source {
  fr.weight @"model.norm.weight" : tensor<8xbf16>
  fr.weight @"head.weight" : tensor<4x8xbf16>
}
fr.param @"model.norm.weight" : tensor<8xf32> {
  %0 = fr.get @source::@"model.norm.weight" : tensor<8xbf16>
  %1 = fr.cast %0 : (tensor<8xbf16>) -> tensor<8xf32>
  fr.yield %1 : tensor<8xf32>
}
fr.param @"head.weight" : tensor<4x8xbf16> {
  %0 = fr.get @source::@"head.weight" : tensor<4x8xbf16>
  fr.yield %0 : tensor<4x8xbf16>
}
func.func @main(%x: tensor<?x?x8xf32, #fr.dims<B, P + S, _>> {fr.name = "x"}) -> (tensor<?x?x4xf32, #fr.dims<B, P + S, _>> {fr.name = "logits"}) {
  %n = fr.use @"model.norm.weight" : tensor<8xf32>
  %w = fr.use @"head.weight" : tensor<4x8xbf16>
  %0 = fr.rms_norm %x, %n eps 1.0e-6 : (tensor<?x?x8xf32, #fr.dims<B, P + S, _>>, tensor<8xf32>) -> tensor<?x?x8xf32, #fr.dims<B, P + S, _>>
  %1 = fr.linear %0, %w : (tensor<?x?x8xf32, #fr.dims<B, P + S, _>>, tensor<4x8xbf16>) -> tensor<?x?x4xf32, #fr.dims<B, P + S, _>>
  return %1 : tensor<?x?x4xf32, #fr.dims<B, P + S, _>>
})";

struct Exported {
  FailureOr<ExportPlan> plan = failure();
  OnnxReport report;
  std::string problems;
};

Exported exportText(StringRef text, int64_t opset = 17, StringRef fileName = "model.safetensors", double leastUse = 0.5) {
  mlir::MLIRContext context;
  auto module = parseModule(text, context);
  REQUIRE(module);
  TestWeights weights(*module);
  Checkpoint checkpoint = weights.checkpoint();
  checkpoint.files[0].name = fileName.str();
  Diagnostics diags;
  OnnxTarget target;
  target.opset = opset;
  Exported result;
  if (succeeded(convertToOnnx(*module, target, result.report, diags))) {
    ExportRequest request;
    request.module = *module;
    request.checkpoint = &checkpoint;
    request.leastUse = leastUse;
    result.plan = findExporter("onnx")->run(request, diags);
  }
  for (const Problem &problem : diags.errors())
    result.problems += problem.where + ": " + problem.what + "\n";
  return result;
}

onnx::ModelProto parsed(const ExportPlan &plan) {
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(plan.files.back().content));
  return model;
}

} // namespace

TEST_CASE("formats are found by name", "[export]") {
  REQUIRE(findExporter("onnx"));
  CHECK(findExporter("onnx")->description == "ONNX with external weights");
  CHECK(findExporter("ONNX") == nullptr);
}

TEST_CASE("the same module gives the same bytes", "[export]") {
  Exported first = exportText(kModule), second = exportText(kModule);
  REQUIRE(succeeded(first.plan));
  REQUIRE(succeeded(second.plan));
  CHECK(first.plan->files.back().content == second.plan->files.back().content);
}

TEST_CASE("unchanged weights point into the checkpoint, changed ones into the data file", "[export]") {
  Exported exported = exportText(kModule);
  INFO(exported.problems);
  REQUIRE(succeeded(exported.plan));
  const std::vector<ExportedFile> &files = exported.plan->files;
  REQUIRE(files.size() == 3);
  CHECK(files[0].kind == ExportedFile::Kind::Placed);
  CHECK(files[0].path == "model.safetensors");
  REQUIRE(files[0].tensors.size() == 1);
  CHECK(files[0].tensors[0].weight == "head.weight");
  CHECK(files[0].tensors[0].bytes == 4 * 8 * 2);
  CHECK(files[1].kind == ExportedFile::Kind::Derived);
  CHECK(files[1].path == "model.onnx.data");
  REQUIRE(files[1].tensors.size() == 1);
  CHECK(files[1].tensors[0].param == "model.norm.weight");
  CHECK(files[1].bytes == 8 * 4);
  CHECK(files[2].path == "model.onnx");
  CHECK(files[2].bytes == files[2].content.size());

  onnx::ModelProto model = parsed(*exported.plan);
  CHECK(model.ir_version() == 8);
  CHECK(model.producer_name() == "flagrelease");
  std::map<std::string, std::string> where;
  for (const onnx::TensorProto &tensor : model.graph().initializer())
    for (const auto &entry : tensor.external_data())
      where[tensor.name() + " " + entry.key()] = entry.value();
  CHECK(where["head.weight location"] == "model.safetensors");
  CHECK(where["head.weight offset"] == std::to_string(files[0].tensors[0].offset));
  CHECK(where["head.weight length"] == "64");
  CHECK(where["model.norm.weight location"] == "model.onnx.data");
}

TEST_CASE("a file of which little is used does not ship", "[export]") {
  Exported exported = exportText(kModule, 17, "model.safetensors", /*leastUse=*/0.9);
  INFO(exported.problems);
  REQUIRE(succeeded(exported.plan));
  const std::vector<ExportedFile> &files = exported.plan->files;
  REQUIRE(files.size() == 2);
  CHECK(files[0].path == "model.onnx.data");
  REQUIRE(files[0].tensors.size() == 2);
  for (const ExportedTensor &tensor : files[0].tensors) {
    CHECK(tensor.weight.empty());
    CHECK(tensor.offset % 4096 == 0);
  }
  onnx::ModelProto model = parsed(*exported.plan);
  for (const onnx::TensorProto &tensor : model.graph().initializer())
    if (tensor.data_location() == onnx::TensorProto::EXTERNAL)
      CHECK(tensor.external_data(0).value() == "model.onnx.data");
}

TEST_CASE("nibbles are the bytes of the packed tensor, which nothing else names", "[export]") {
  Exported exported = exportText(R"(
fr.weights @source { fr.weight @"a.q" : tensor<4x2x16xui8> fr.weight @"a.scale" : tensor<4x2xf32> }
fr.param @"a.q" : tensor<4x2x16xui8> { %0 = fr.get @source::@"a.q" : tensor<4x2x16xui8> fr.yield %0 : tensor<4x2x16xui8> }
fr.param @"a.scale" : tensor<4x2xf32> { %0 = fr.get @source::@"a.scale" : tensor<4x2xf32> fr.yield %0 : tensor<4x2xf32> }
func.func @main(%x: tensor<?x64xf32, #fr.dims<B, _>> {fr.name = "x"}) -> (tensor<?x4xf32, #fr.dims<B, _>> {fr.name = "y"}) {
  %q = fr.use @"a.q" : tensor<4x2x16xui8>
  %s = fr.use @"a.scale" : tensor<4x2xf32>
  %c = fr.unpack %q bits 4 low_first axis 2 : (tensor<4x2x16xui8>) -> tensor<4x2x32xui8>
  %f = fr.reshape %c : (tensor<4x2x32xui8>) -> tensor<4x64xui8>
  %w = fr.dequantize %f, %s blocks [1, 32] offset 8 : (tensor<4x64xui8>, tensor<4x2xf32>) -> tensor<4x64xf32>
  %y = fr.linear %x, %w : (tensor<?x64xf32, #fr.dims<B, _>>, tensor<4x64xf32>) -> tensor<?x4xf32, #fr.dims<B, _>>
  return %y : tensor<?x4xf32, #fr.dims<B, _>>
})",
                                 21);
  INFO(exported.problems);
  REQUIRE(succeeded(exported.plan));
  REQUIRE(exported.plan->files.size() == 2);
  REQUIRE(exported.plan->files[0].tensors.size() == 2);
  const ExportedTensor &packed = exported.plan->files[0].tensors[0];
  CHECK(packed.param == "a.q");
  CHECK(packed.type == DType::U8);
  CHECK(packed.bytes == 4 * 2 * 16);
  onnx::ModelProto model = parsed(*exported.plan);
  int external = 0;
  for (const onnx::TensorProto &tensor : model.graph().initializer()) {
    external += tensor.data_location() == onnx::TensorProto::EXTERNAL;
    if (tensor.name() != "a.q")
      continue;
    CHECK(tensor.data_type() == 21); // UINT4, newer than the headers of the library
    REQUIRE(tensor.dims_size() == 2);
    CHECK(tensor.dims(1) == 64);
    CHECK(tensor.external_data(1).value() == std::to_string(packed.offset));
    CHECK(tensor.external_data(2).value() == std::to_string(packed.bytes));
  }
  CHECK(external == 2);
  for (const onnx::NodeProto &node : model.graph().node()) // the layer's name, whatever its weight is made of
    CHECK(node.name().rfind("a", 0) == 0);
}

TEST_CASE("inputs, outputs and nodes have names that people know", "[export]") {
  Exported exported = exportText(kModule);
  REQUIRE(succeeded(exported.plan));
  onnx::ModelProto model = parsed(*exported.plan);
  const onnx::GraphProto &graph = model.graph();
  REQUIRE(graph.input_size() == 1);
  CHECK(graph.input(0).name() == "x");
  CHECK(graph.input(0).type().tensor_type().shape().dim(1).dim_param() == "P + S");
  CHECK(graph.input(0).type().tensor_type().shape().dim(2).dim_value() == 8);
  CHECK(graph.output(0).name() == "logits");
  std::set<std::string> names;
  for (const onnx::NodeProto &node : graph.node())
    CHECK(names.insert(node.name()).second);
  CHECK(names.count("model.norm/Sqrt") == 1);
  CHECK(names.count("head/Gemm") == 1);
}

TEST_CASE("a plan can say how each op was lowered", "[export]") {
  auto way = [](int64_t opset) {
    Exported exported = exportText(kModule, opset);
    for (const OnnxChoice &choice : exported.report.choices)
      if (choice.op == "fr.rms_norm")
        return choice.way + " " + std::to_string(choice.count);
    return std::string();
  };
  CHECK(way(17) == "decomposed 1");
  CHECK(way(23) == "RMSNormalization 1");
}

TEST_CASE("what cannot be exported is refused", "[export]") {
  struct Row {
    const char *what, *module;
    int64_t opset;
    const char *file, *message;
  };
  const char *const plain = R"(func.func @main(%x: tensor<2xf32> {fr.name = "x"}) -> (tensor<2xf32> {fr.name = "y"}) {
    %0 = fr.neg %x : (tensor<2xf32>) -> tensor<2xf32>
    return %0 : tensor<2xf32>
  })";
  const Row rows[] = {
      {"an opset before the table", plain, 12, "model.safetensors", "opset: ONNX opset 12 is outside 13 to "},
      {"an opset after the table", plain, 99, "model.safetensors", "opset: ONNX opset 99 is outside 13 to "},
      {"a state", R"(fr.state @k kv layer 0 part "key" axis 1 : tensor<1x?xf32, #fr.dims<_, P>>
        func.func @main(%x: tensor<1x?xf32, #fr.dims<_, S>> {fr.name = "x"}) -> (tensor<1x?xf32, #fr.dims<_, P + S>> {fr.name = "y"}) {
          %0 = fr.state.append @k, %x : (tensor<1x?xf32, #fr.dims<_, S>>) -> tensor<1x?xf32, #fr.dims<_, P + S>>
          return %0 : tensor<1x?xf32, #fr.dims<_, P + S>>
        })",
       17, "model.safetensors", "fr.state.append: has no form in ONNX"},
      {"a size that no input carries", R"(func.func @main(%x: tensor<2xf32> {fr.name = "x"}) -> (tensor<i64> {fr.name = "y"}) {
          %0 = fr.size "Q" : tensor<i64>
          return %0 : tensor<i64>
        })",
       17, "model.safetensors", "fr.size: no input of the function carries the size Q"},
      {"an argument without a name", R"(func.func @main(%x: tensor<2xf32>) -> (tensor<2xf32> {fr.name = "y"}) {
          %0 = fr.neg %x : (tensor<2xf32>) -> tensor<2xf32>
          return %0 : tensor<2xf32>
        })",
       17, "model.safetensors", "main: argument 0 has no 'fr.name'"},
      {"two outputs of one name", R"(func.func @main(%x: tensor<2xf32> {fr.name = "x"}) -> (tensor<2xf32> {fr.name = "x"}) {
          %0 = fr.neg %x : (tensor<2xf32>) -> tensor<2xf32>
          return %0 : tensor<2xf32>
        })",
       17, "model.safetensors", "x: is the name of two inputs or outputs"},
      {"no such function", "func.func private @other()", 17, "model.safetensors", "main: the module has no such function"},
      {"a shard with the name of the graph", kModule, 17, "model.onnx", "model.onnx: is a name that"},
      {"a shard outside the folder", kModule, 17, "../model.safetensors", "../model.safetensors: is a name that"},
  };
  for (const Row &row : rows) {
    INFO(row.what);
    Exported exported = exportText(row.module, row.opset, row.file);
    CHECK(failed(exported.plan));
    CHECK_THAT(exported.problems, Catch::StartsWith(row.message));
  }
}
