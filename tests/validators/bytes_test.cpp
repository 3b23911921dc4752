// A checkpoint of six tensors, an artefact written by hand, and every way in which the two can disagree.
#include "validators/Bytes.h"

#include "ir/Fr.h"
#include "tests/support/TempFolder.h"
#include "weights/Digest.h"
#include "weights/Safetensors.h"

#include "mlir/Parser/Parser.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <cstring>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
const char kModule[] = R"(
fr.weights @source {
  fr.weight @same : tensor<3x4xbf16>
  fr.weight @half : tensor<5xf32>
  fr.weight @turned : tensor<2x3xbf16>
  fr.weight @left : tensor<4xf32>
  fr.weight @right : tensor<4xf32>
}
fr.param @same : tensor<3x4xbf16> {
  %0 = fr.get @source::@same : tensor<3x4xbf16>
  fr.yield %0 : tensor<3x4xbf16>
}
fr.param @half : tensor<5xf16> {
  %0 = fr.get @source::@half : tensor<5xf32>
  %1 = fr.cast %0 : (tensor<5xf32>) -> tensor<5xf16>
  fr.yield %1 : tensor<5xf16>
}
fr.param @turned : tensor<3x2xf32> {
  %0 = fr.get @source::@turned : tensor<2x3xbf16>
  %1 = fr.cast %0 : (tensor<2x3xbf16>) -> tensor<2x3xf32>
  %2 = fr.transpose %1 [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
  fr.yield %2 : tensor<3x2xf32>
}
fr.param @sum : tensor<4xbf16> {
  %0 = fr.get @source::@left : tensor<4xf32>
  %1 = fr.get @source::@right : tensor<4xf32>
  %2 = fr.add %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %3 = fr.cast %2 : (tensor<4xf32>) -> tensor<4xbf16>
  fr.yield %3 : tensor<4xbf16>
}
)";

HostTensor bf16(std::vector<int64_t> shape, float first) {
  HostTensor tensor(DType::BF16, std::move(shape));
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor.as<uint16_t>()[i] = f32ToBf16(first + static_cast<float>(i));
  return tensor;
}

struct Artefact {
  Artefact() {
    context.loadDialect<fr::FrDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(kModule, &context);
    REQUIRE(module);
    std::filesystem::create_directories(folder / "ckpt");
    std::filesystem::create_directories(folder / "out/model");
    source = {{"same", bf16({3, 4}, 1)},
              {"half", HostTensor::ofFloats({5}, {0.1f, -2, 70000, 1e-9f, 3})},
              {"turned", bf16({2, 3}, -2)},
              {"left", HostTensor::ofFloats({4}, {1, 2, 3, 4})},
              {"right", HostTensor::ofFloats({4}, {0.5f, 0.25f, 0.001f, 100})},
              {"inv_freq", HostTensor::ofFloats({1}, {9})}};
    Diagnostics diags;
    REQUIRE(succeeded(writeSafetensors(folder / "ckpt/model.safetensors", source, {}, diags)));

    add("same", source["same"], {"same"}, "identity");
    HostTensor half(DType::F16, {5});
    for (int i = 0; i < 5; ++i)
      half.as<uint16_t>()[i] = f32ToF16(source["half"].as<float>()[i]);
    add("half", half, {"half"}, "cast");
    // Rows become columns: -2 1, -1 2, 0 3.
    add("turned", HostTensor::ofFloats({3, 2}, {-2, 1, -1, 2, 0, 3}), {"turned"}, "transpose(cast)");
    HostTensor sum(DType::BF16, {4});
    for (int i = 0; i < 4; ++i)
      sum.as<uint16_t>()[i] = f32ToBf16(source["left"].as<float>()[i] + source["right"].as<float>()[i]);
    add("sum", sum, {"left", "right"}, "cast(add)");
    left = {{"inv_freq", "computed"}};
  }

  void add(const std::string &name, const HostTensor &tensor, std::vector<std::string> sources, const std::string &expression) {
    ManifestTensor entry;
    entry.name = name;
    entry.file = "model/model.data";
    entry.type = tensor.type;
    entry.shape = tensor.shape;
    entry.offset = data.size();
    entry.bytes = tensor.bytes.size();
    entry.sha256 = sha256(tensor.bytes);
    entry.sources = std::move(sources);
    entry.expression = expression;
    data.append(reinterpret_cast<const char *>(tensor.bytes.data()), tensor.bytes.size());
    manifest.tensors.push_back(std::move(entry));
  }

  FailureOr<BytesResult> check(unsigned jobs = 2) {
    writeFile(folder / "out/model/model.data", data);
    manifest.files = {{"model/model.data", data.size(), sha256(data), false}};
    FailureOr<Checkpoint> checkpoint = openCheckpoint(folder / "ckpt", diags);
    REQUIRE(succeeded(checkpoint));
    mlir::ModuleOp op = *module;
    if (removeFile)
      std::filesystem::remove(folder / "out/model/model.data");
    WorkOptions work;
    work.jobs = jobs;
    return checkBytes({manifest, folder / "out", op, *checkpoint, left, work}, diags);
  }

  TempFolder folder;
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  NamedTensors source;
  Manifest manifest;
  std::string data;
  std::map<std::string, std::string> left;
  bool removeFile = false;
  Diagnostics diags;
};

ManifestTensor &tensor(Artefact &artefact, StringRef name) {
  return *llvm::find_if(artefact.manifest.tensors, [&](const ManifestTensor &one) { return one.name == name; });
}
} // namespace

TEST_CASE("an artefact that is what its source gives") {
  for (unsigned jobs : {1u, 4u}) {
    Artefact artefact;
    FailureOr<BytesResult> result = artefact.check(jobs);
    INFO(textOf(artefact.diags));
    REQUIRE(succeeded(result));
    for (const std::string &problem : result->problems)
      UNSCOPED_INFO(problem);
    CHECK(result->problemCount == 0);
    CHECK(result->check().state == CheckState::Passed);
    CHECK(result->sourceTensors == 6);
    CHECK(result->sourceUsed == 5);
    CHECK(result->sourceLeft == 1);
    CHECK(result->left.at("inv_freq") == "computed");
    CHECK(result->outputTensors == 4);
    CHECK(result->identical == 1);
    CHECK(result->derived == 3);
    CHECK(result->bytesCompared == artefact.data.size());
  }
}

TEST_CASE("an identity needs no param: placed files of a checkpoint") {
  Artefact artefact;
  artefact.add("inv_freq", artefact.source["inv_freq"], {"inv_freq"}, "identity");
  artefact.left.clear();
  FailureOr<BytesResult> result = artefact.check();
  REQUIRE(succeeded(result));
  CHECK(result->problemCount == 0);
  CHECK(result->identical == 2);
}

TEST_CASE("differences are found and named") {
  struct {
    const char *name;
    void (*change)(Artefact &);
    const char *problem;
  } const forms[] = {
      {"one bit of a copied tensor", [](Artefact &a) { a.data[5] ^= 1; },
       "same: element 2 is 0x4140 on disk, the source gives 0x4040"},
      {"one bit of a cast tensor", [](Artefact &a) { a.data[24] ^= 1; },
       "half: element 0 is 0x2e67 on disk, the source gives 0x2e66"},
      {"one bit of a derived tensor", [](Artefact &a) { a.data[tensor(a, "turned").offset + 7] ^= 1; }, "turned: element 1 is"},
      {"one bit of a sum", [](Artefact &a) { a.data[tensor(a, "sum").offset] ^= 1; },
       "sum: element 0 is 0x3fc1 on disk, the source gives 0x3fc0"},
      {"digest", [](Artefact &a) { tensor(a, "half").sha256 = std::string(64, '0'); },
       "half: its bytes are what the source gives, and their sha256"},
      {"type", [](Artefact &a) { tensor(a, "half").type = DType::BF16; }, "half: the manifest says BF16 [5], the module F16 [5]"},
      {"shape", [](Artefact &a) { tensor(a, "turned").shape = {2, 3}; },
       "turned: the manifest says F32 [2, 3], the module F32 [3, 2]"},
      {"unknown to the module", [](Artefact &a) { tensor(a, "sum").name = "total"; },
       "total: the module has no param of this name"},
      {"a source that is none", [](Artefact &a) { tensor(a, "sum").sources = {"left", "rigth"}; },
       "sum: names rigth as its source, which the checkpoint does not have"},
      {"not accounted for", [](Artefact &a) { a.left.clear(); },
       "inv_freq: is in the source, and neither in the artefact nor left out with a reason"},
      {"past the end", [](Artefact &a) { a.data.pop_back(); }, "sum: bytes 58 to 66 are not BF16 [4] inside a file of 65"},
      {"offset that overflows", [](Artefact &a) { tensor(a, "sum").offset = ~uint64_t(0) - 3; }, "sum: bytes "},
      {"bytes that are not the shape's", [](Artefact &a) { tensor(a, "half").bytes = 8; },
       "half: bytes 24 to 32 are not F16 [5]"},
      {"file that is not listed", [](Artefact &a) { tensor(a, "half").file = "model/other"; },
       "half: its file model/other cannot be read or is not listed"},
      {"file that is not there", [](Artefact &a) { a.removeFile = true; }, "model/model.data: "},
      {"identity of another type", [](Artefact &a) { a.add("inv_freq", HostTensor(DType::F16, {1}), {"inv_freq"}, "identity"); },
       "inv_freq: the source's inv_freq is F32, the manifest says F16, and no cast is planned"},
  };
  for (const auto &form : forms) {
    INFO(form.name);
    Artefact artefact;
    form.change(artefact);
    FailureOr<BytesResult> result = artefact.check();
    INFO(textOf(artefact.diags));
    REQUIRE(succeeded(result));
    for (const std::string &problem : result->problems)
      UNSCOPED_INFO(problem);
    CHECK(result->problemCount > 0);
    CHECK(llvm::any_of(result->problems, [&](const std::string &one) { return StringRef(one).starts_with(form.problem); }));
    CHECK(result->check().state == CheckState::Failed);
    CHECK_FALSE(result->check().reason.empty());
  }
}

TEST_CASE("no more than a hundred lines") {
  Artefact artefact;
  for (int i = 0; i < 200; ++i)
    artefact.add("extra." + std::to_string(i), artefact.source["inv_freq"], {"inv_freq"}, "sum");
  FailureOr<BytesResult> result = artefact.check();
  REQUIRE(succeeded(result));
  CHECK(result->problemCount == 200);
  CHECK(result->problems.size() == 101);
  CHECK(result->problems.back() == "and 100 more");
}
