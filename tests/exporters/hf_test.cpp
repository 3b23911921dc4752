// The folder for transformers and vLLM: which files there are, where tensors lie in them, what config.json says, what is carried.
#include "exporters/hf/ExportHf.h"

#include "tests/exporters/OnnxCases.h"
#include "weights/ByteSource.h"
#include "weights/Safetensors.h"

#include "mlir/IR/MLIRContext.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

using namespace flagrelease;
using namespace flagrelease::test;
namespace fs = std::filesystem;

namespace {

/// Two files: a (bf16 [2,3], u8 [5]) and b (f32 [4], bf16 [1]).
Checkpoint twoFiles() {
  Checkpoint checkpoint;
  for (const char *name : {"one.safetensors", "two.safetensors"}) {
    CheckpointFile file;
    file.name = file.path = name;
    file.bytes = 500;
    file.metadata["format"] = "pt";
    checkpoint.files.push_back(file);
  }
  checkpoint.tensors = {{"a", DType::BF16, {2, 3}, 0, 400, 12},
                        {"mask", DType::U8, {5}, 0, 412, 5},
                        {"b", DType::F32, {4}, 1, 400, 16},
                        {"c", DType::BF16, {1}, 1, 416, 2}};
  checkpoint.buildIndex();
  return checkpoint;
}

const char *const kWeights = R"(
fr.weights @source {
  fr.weight @a : tensor<2x3xbf16>
  fr.weight @mask : tensor<5xui8>
  fr.weight @b : tensor<4xf32>
  fr.weight @c : tensor<1xbf16>
}
)";

std::string identity(llvm::StringRef name, llvm::StringRef type) {
  return ("fr.param @" + name + " : " + type + " {\n  %0 = fr.get @source::@" + name + " : " + type +
          "\n  fr.yield %0 : " + type + "\n}\n")
      .str();
}

std::string cast(llvm::StringRef name, llvm::StringRef from, llvm::StringRef to) {
  return ("fr.param @" + name + " : " + to + " {\n  %0 = fr.get @source::@" + name + " : " + from + "\n  %1 = fr.cast %0 : (" +
          from + ") -> " + to + "\n  fr.yield %1 : " + to + "\n}\n")
      .str();
}

// Not in the order of the source, on purpose.
const std::string kSame = identity("c", "tensor<1xbf16>") + identity("b", "tensor<4xf32>") + identity("mask", "tensor<5xui8>") +
                          identity("a", "tensor<2x3xbf16>");
const std::string kWider = identity("b", "tensor<4xf32>") + cast("c", "tensor<1xbf16>", "tensor<1xf32>") +
                           identity("mask", "tensor<5xui8>") + cast("a", "tensor<2x3xbf16>", "tensor<2x3xf32>");

struct Exported {
  FailureOr<ExportPlan> plan = failure();
  std::string problems;
};

Exported exportParams(const std::string &params, void (*change)(ExportRequest &, Checkpoint &) = nullptr) {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module = parseModule(kWeights + params, context);
  REQUIRE(module);
  Checkpoint checkpoint = twoFiles();
  SideFiles beside;
  beside.files.push_back({"config.json", "{\n  \"torch_dtype\": \"bfloat16\"\n}\n", false});
  ExportRequest request;
  request.module = *module;
  request.checkpoint = &checkpoint;
  request.beside = &beside;
  if (change)
    change(request, checkpoint);
  Diagnostics diags;
  Exported result;
  result.plan = findExporter("hf")->run(request, diags);
  for (const Problem &problem : diags.errors())
    result.problems += problem.where + ": " + problem.what + "\n";
  return result;
}

/// "placed model.safetensors: a@400 mask@412" for each file of weights.
std::string shown(const Exported &exported) {
  if (failed(exported.plan))
    return exported.problems;
  std::string text;
  for (const ExportedFile &file : exported.plan->files) {
    if (file.kind == ExportedFile::Kind::Written)
      continue;
    text += (file.kind == ExportedFile::Kind::Placed ? "placed " : "derived ") + file.path + ":";
    for (const ExportedTensor &tensor : file.tensors)
      text += " " + tensor.param + "@" + std::to_string(tensor.offset);
    text += "; ";
  }
  return text;
}

} // namespace

TEST_CASE("hf: files of the source stay, or are filled in the order of the source", "[hf]") {
  using Change = void (*)(ExportRequest &, Checkpoint &);
  struct Row {
    const char *what;
    std::string params;
    Change change;
    const char *expected;
  };
  const Row rows[] = {
      {"nothing changes", kSame, nullptr,
       "placed model-00001-of-00002.safetensors: a@400 mask@412; placed model-00002-of-00002.safetensors: b@400 c@416; "},
      {"a size that both fit", kSame, [](ExportRequest &r, Checkpoint &) { r.shardSize = 18, r.reshard = true; },
       "placed model-00001-of-00002.safetensors: a@400 mask@412; placed model-00002-of-00002.safetensors: b@400 c@416; "},
      {"a byte less", kSame, [](ExportRequest &r, Checkpoint &) { r.shardSize = 17, r.reshard = true; },
       "placed model-00001-of-00003.safetensors: a@400 mask@412; derived model-00002-of-00003.safetensors: b@4096; "
       "derived model-00003-of-00003.safetensors: c@4096; "},
      {"no size is asked for", kSame, [](ExportRequest &r, Checkpoint &) { r.shardSize = 17; },
       "placed model-00001-of-00002.safetensors: a@400 mask@412; placed model-00002-of-00002.safetensors: b@400 c@416; "},
      {"a file without the format of PyTorch", kSame, [](ExportRequest &, Checkpoint &c) { c.files[0].metadata.clear(); },
       "placed model-00002-of-00002.safetensors: b@400 c@416; derived model-00001-of-00002.safetensors: a@4096 mask@4108; "},
      {"a file of another kind", kSame, [](ExportRequest &, Checkpoint &c) { c.files[1].name = "two.bin"; },
       "placed model-00001-of-00002.safetensors: a@400 mask@412; derived model-00002-of-00002.safetensors: b@4096 c@4112; "},
      {"wider types come first where one would not be aligned", kWider, nullptr,
       "derived model.safetensors: a@4096 b@4120 c@4136 mask@4140; "},
      {"all in one, to the byte", kWider, [](ExportRequest &r, Checkpoint &) { r.shardSize = 24 + 5 + 16 + 4; },
       "derived model.safetensors: a@4096 b@4120 c@4136 mask@4140; "},
      {"a byte less than all", kWider, [](ExportRequest &r, Checkpoint &) { r.shardSize = 24 + 5 + 16 + 3; },
       "derived model-00001-of-00002.safetensors: a@4096 b@4120 mask@4136; derived model-00002-of-00002.safetensors: c@4096; "},
      {"each tensor is larger", kWider, [](ExportRequest &r, Checkpoint &) { r.shardSize = 1; },
       "derived model-00001-of-00004.safetensors: a@4096; derived model-00002-of-00004.safetensors: mask@4096; "
       "derived model-00003-of-00004.safetensors: b@4096; derived model-00004-of-00004.safetensors: c@4096; "},
      {"one file changes",
       identity("a", "tensor<2x3xbf16>") + identity("mask", "tensor<5xui8>") + identity("b", "tensor<4xf32>") +
           cast("c", "tensor<1xbf16>", "tensor<1xf32>"),
       nullptr,
       "placed model-00001-of-00002.safetensors: a@400 mask@412; derived model-00002-of-00002.safetensors: b@4096 c@4112; "},
      {"a tensor is left out", identity("a", "tensor<2x3xbf16>"), nullptr, "derived model.safetensors: a@4096; "},
      {"a private param is a step",
       kSame + "fr.param @step : tensor<1xbf16> attributes {sym_visibility = \"private\"} {\n  %0 = fr.get "
               "@source::@c : tensor<1xbf16>\n  fr.yield %0 : tensor<1xbf16>\n}\n",
       nullptr,
       "placed model-00001-of-00002.safetensors: a@400 mask@412; placed model-00002-of-00002.safetensors: b@400 c@416; "},
      {"two tensors of one",
       identity("a", "tensor<2x3xbf16>") +
           "fr.param @\"a.scale\" : tensor<2x3xf32> {\n  %0 = fr.get @source::@a : tensor<2x3xbf16>\n  %1 = fr.cast "
           "%0 : (tensor<2x3xbf16>) -> tensor<2x3xf32>\n  fr.yield %1 : tensor<2x3xf32>\n}\n",
       nullptr, "derived model.safetensors: a@4096 a.scale@4108; "},
      {"no tensor of its own",
       "fr.param @x : tensor<1xbf16> {\n  %0 = fr.get @source::@nothing : tensor<1xbf16>\n  fr.yield %0 : "
       "tensor<1xbf16>\n}\n",
       [](ExportRequest &, Checkpoint &) {}, "x: is made of nothing, which is no tensor of its own\n"},
      {"no config", kSame,
       [](ExportRequest &r, Checkpoint &) {
         static const SideFiles none;
         r.beside = &none;
       },
       "config.json: is not among the files of the source that can be carried over\n"},
  };
  for (const Row &row : rows) {
    INFO(row.what);
    std::string params = row.params;
    if (llvm::StringRef(row.what) == "no tensor of its own") {
      // The verifier wants the weight to be there; the checkpoint lacks it.
      mlir::MLIRContext context;
      auto module = parseModule("fr.weights @source {\n  fr.weight @nothing : tensor<1xbf16>\n}\n" + params, context);
      REQUIRE(module);
      Checkpoint checkpoint = twoFiles();
      SideFiles beside;
      ExportRequest request;
      request.module = *module;
      request.checkpoint = &checkpoint;
      request.beside = &beside;
      Diagnostics diags;
      CHECK(failed(exportHf(request, diags)));
      CHECK(diags.errors().front().where + ": " + diags.errors().front().what + "\n" == row.expected);
      continue;
    }
    CHECK(shown(exportParams(params, row.change)) == row.expected);
  }
}

TEST_CASE("hf: the header of a file is read back as it was planned", "[hf]") {
  Exported exported = exportParams(kWider);
  REQUIRE(succeeded(exported.plan));
  const ExportedFile &file = exported.plan->files.front();
  CHECK(file.head.size() % 4096 == 0);
  CHECK(llvm::StringRef(file.head).ends_with(" "));
  std::string path = (fs::temp_directory_path() / ("flagrelease-hf-" + std::to_string(::getpid()))).string();
  std::ofstream(path, std::ios::binary) << file.head << std::string(file.bytes - file.head.size(), '\0');
  Diagnostics diags;
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(path, diags);
  REQUIRE(succeeded(source));
  FailureOr<SafetensorsHeader> header = readSafetensorsHeader(**source, diags);
  fs::remove(path);
  REQUIRE(succeeded(header));
  CHECK(header->metadata == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK(header->dataOffset == file.head.size());
  REQUIRE(header->tensors.size() == file.tensors.size());
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    CHECK(header->tensors[i].name == file.tensors[i].param);
    CHECK(header->tensors[i].offset == file.tensors[i].offset);
    CHECK(header->tensors[i].offset % byteWidth(header->tensors[i].type) == 0);
  }
}

TEST_CASE("hf: the index and the config are written last", "[hf]") {
  Exported exported = exportParams(kSame, [](ExportRequest &request, Checkpoint &) { request.floats = DType::BF16; });
  REQUIRE(succeeded(exported.plan));
  REQUIRE(exported.plan->files.size() == 4);
  CHECK(exported.plan->files[3].path == "config.json");
  CHECK(exported.plan->files[3].content == "{\n  \"torch_dtype\": \"bfloat16\"\n}\n");
  Diagnostics diags;
  FailureOr<json::Value> index = json::parse(exported.plan->files[2].content, "index", diags);
  REQUIRE(succeeded(index));
  CHECK(index->find("metadata")->find("total_size")->integer() == 12 + 5 + 16 + 2);
  CHECK(index->find("weight_map")->object().size() == 4);
  CHECK(index->find("weight_map")->find("c")->string() == "model-00002-of-00002.safetensors");
}

TEST_CASE("hf: config.json changes where the dtype does", "[hf]") {
  struct Row {
    const char *what, *before;
    std::optional<DType> floats;
    const char *after;
  };
  const Row rows[] = {
      {"as stored", "{\"torch_dtype\": \"bfloat16\"}", std::nullopt, "{\"torch_dtype\": \"bfloat16\"}"},
      {"the same", "{\"torch_dtype\" :\"float16\"}", DType::F16, "{\"torch_dtype\" :\"float16\"}"},
      {"the old spelling", "{\"a\": 1e-06,\n\"torch_dtype\": \"bfloat16\"}", DType::F16,
       "{\"a\": 1e-06,\n\"torch_dtype\": \"float16\"}"},
      {"the new spelling", "{\"dtype\": \"bfloat16\", \"z\": 1}", DType::F32, "{\"dtype\": \"float32\", \"z\": 1}"},
      {"both", "{\"dtype\": \"bfloat16\", \"torch_dtype\": \"bfloat16\"}", DType::F16,
       "{\"dtype\": \"float16\", \"torch_dtype\": \"float16\"}"},
      {"a prefix", "{\"torch_dtype\": \"torch.bfloat16\"}", DType::F16, "{\"torch_dtype\": \"torch.float16\"}"},
      {"null", "{\"torch_dtype\": null}", DType::BF16, "{\"torch_dtype\": \"bfloat16\"}"},
      {"none", "{\n  \"a\": 1\n}", DType::F16, "{\n  \"a\": 1,\n  \"torch_dtype\": \"float16\"\n}"},
      {"a config inside", "{\"text_config\": {\"torch_dtype\": \"bfloat16\"}, \"torch_dtype\": \"bfloat16\"}", DType::F16,
       "{\"text_config\": {\"torch_dtype\": \"float16\"}, \"torch_dtype\": \"float16\"}"},
  };
  for (const Row &row : rows) {
    INFO(row.what);
    Diagnostics diags;
    FailureOr<std::string> after = hfConfig(row.before, row.floats, {}, diags);
    REQUIRE(succeeded(after));
    CHECK(*after == row.after);
  }
  Diagnostics diags;
  const json::Edit edits[] = {{{"quantization_config"}, json::Value(json::Object{{"quant_method", "fp8"}})}};
  FailureOr<std::string> after = hfConfig("{\n  \"dtype\": \"bfloat16\"\n}", std::nullopt, edits, diags);
  REQUIRE(succeeded(after));
  CHECK(*after == "{\n  \"dtype\": \"bfloat16\",\n  \"quantization_config\": {\n    \"quant_method\": \"fp8\"\n  }\n}");
  CHECK(failed(hfConfig("[]", std::nullopt, {}, diags)));
}

TEST_CASE("small files are carried by name, and the rest is accounted for", "[hf]") {
  fs::path folder = fs::temp_directory_path() / ("flagrelease-side-" + std::to_string(::getpid()));
  fs::path repository = folder / "models--a--b", source = repository / "snapshots" / "1";
  fs::create_directories(source / "1_Pooling");
  fs::create_directories(source / "original");
  fs::create_directories(repository / "blobs");
  auto write = [&](const fs::path &path, llvm::StringRef content) { std::ofstream(path, std::ios::binary) << content.str(); };
  for (const char *name :
       {"LICENSE.txt", "notice", "1_Pooling/config.json", "tokenizer.model", "tokenization_x.py", "tokenizer.py",
        "pytorch_model.bin", "original/params.json", "README.md", "other.safetensors", ".gitattributes"})
    write(source / name, "x");
  write(source / "one.safetensors", "weights");
  write(source / "config.json", "{\n  \"auto_map\": {\"AutoModel\": \"x.Y\"},\n  \"a\": 1\n}");
  write(source / "merges.txt", "#!/bin/sh\n");
  write(repository / "blobs" / "digest", "{}");
  write(folder / "secret", "secret");
  fs::create_symlink("../../blobs/digest", source / "tokenizer.json");
  fs::create_symlink(folder / "secret", source / "vocab.txt");
  fs::create_symlink(folder / "nothing", source / "vocab.json");

  Checkpoint checkpoint;
  checkpoint.folder = source.string();
  checkpoint.files.push_back({});
  checkpoint.files[0].name = "one.safetensors";
  Diagnostics diags;
  FailureOr<SideFiles> side = readSideFiles(checkpoint, true, diags);
  REQUIRE(succeeded(side));
  std::string carried, left;
  for (const SideFile &file : side->files)
    carried += file.name + (file.licence ? "* " : " ");
  for (const LeftOut &file : side->leftOut)
    left += file.name + " = " + file.reason + "\n";
  CHECK(carried == "1_Pooling/config.json LICENSE.txt* config.json notice* tokenizer.json tokenizer.model ");
  CHECK(side->find("config.json")->content == "{\n  \"a\": 1\n}");
  CHECK(side->find("tokenizer.json")->content == "{}");
  CHECK(left ==
        "README.md = not on the list of files that consumers read\nconfig.json: auto_map = names code\nmerges.txt = executable\n"
        "original/params.json = not on the list of files that consumers read\nother.safetensors = weights that are not of this "
        "checkpoint\npytorch_model.bin = a pickle\ntokenization_x.py = code\ntokenizer.py = code\nvocab.json = a link out of the "
        "source\nvocab.txt = a link out of the source\n");

  // A file was given: what else lies in its folder is nobody's business.
  FailureOr<SideFiles> alone = readSideFiles(checkpoint, false, diags);
  REQUIRE(succeeded(alone));
  CHECK(alone->files.size() == side->files.size() - 1);
  CHECK(alone->leftOut.size() == 1);
  CHECK(alone->digest() != side->digest());
  fs::remove_all(folder);
}
