#include "tests/support/TempFolder.h"
#include "tests/support/TorchFile.h"
#include "text/Json.h"
#include "weights/Checkpoint.h"
#include "weights/Digest.h"
#include "weights/Safetensors.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <unistd.h>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

void shard(const std::string &path, std::initializer_list<const char *> names) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  NamedTensors tensors;
  for (const char *name : names)
    tensors[name] = HostTensor::ofFloats({2}, {1, 2});
  Diagnostics diags;
  REQUIRE(succeeded(writeSafetensors(path, tensors, {{"format", "pt"}}, diags)));
}

void indexFile(const std::string &path, std::initializer_list<std::pair<const char *, const char *>> map) {
  std::string text = "{\"metadata\":{\"total_size\":1},\"weight_map\":{";
  bool first = true;
  for (auto [tensor, file] : map)
    text += std::string(std::exchange(first, false) ? "" : ",") + "\"" + tensor + "\":\"" + file + "\"";
  writeFile(path, text + "}}");
}

constexpr const char *kOne = "model-00001-of-00002.safetensors", *kTwo = "model-00002-of-00002.safetensors";

constexpr const char *kTorchOne = "pytorch_model-00001-of-00002.bin", *kTorchTwo = "pytorch_model-00002-of-00002.bin";

void torchShard(const std::string &path, std::initializer_list<const char *> names) {
  std::vector<FixtureTensor> tensors;
  for (const char *name : names)
    tensors.push_back({name, DType::F32, {2}, std::vector<std::byte>(8)});
  writeFile(path, torchFile(tensors));
}

} // namespace

TEST_CASE("which files are the checkpoint") {
  struct Row {
    const char *name;
    std::function<void(const std::string &)> make;
    std::vector<const char *> files; // empty: refused
    const char *says;
  };
  const Row rows[] = {
      {"single", [](const std::string &d) { shard(d + "/model.safetensors", {"a"}); }, {"model.safetensors"}, ""},
      {"sharded",
       [](const std::string &d) {
         shard(d + "/" + kOne, {"a"}), shard(d + "/" + kTwo, {"b"});
         indexFile(d + "/model.safetensors.index.json", {{"b", kTwo}, {"a", kOne}});
       },
       {kOne, kTwo},
       ""},
      {"consolidated beside shards",
       [](const std::string &d) {
         shard(d + "/" + kOne, {"a"}), shard(d + "/" + kTwo, {"b"}), shard(d + "/consolidated.safetensors", {"x"});
         indexFile(d + "/model.safetensors.index.json", {{"a", kOne}, {"b", kTwo}});
       },
       {kOne, kTwo},
       "not read: consolidated.safetensors"},
      {"consolidated alone",
       [](const std::string &d) { shard(d + "/consolidated.safetensors", {"x"}); },
       {"consolidated.safetensors"},
       ""},
      {"variant beside the plain one",
       [](const std::string &d) { shard(d + "/model.safetensors", {"a"}), shard(d + "/model.fp16.safetensors", {"a"}); },
       {"model.safetensors"},
       "not read: model.fp16.safetensors"},
      {"single wins over an index",
       [](const std::string &d) {
         shard(d + "/model.safetensors", {"a"}), shard(d + "/" + kOne, {"a"});
         indexFile(d + "/model.safetensors.index.json", {{"a", kOne}});
       },
       {"model.safetensors"},
       "not read: model.safetensors.index.json, model-00001-of-00002.safetensors"},
      {"shards without index",
       [](const std::string &d) { shard(d + "/" + kOne, {"a"}), shard(d + "/" + kTwo, {"b"}); },
       {kOne, kTwo},
       "no index file"},
      {"shards without index, one missing",
       [](const std::string &d) { shard(d + "/" + kTwo, {"b"}); },
       {},
       "missing: model-00001-of-00002.safetensors"},
      {"a file that the index does not name",
       [](const std::string &d) {
         shard(d + "/" + kOne, {"a"}), shard(d + "/mtp.safetensors", {"x"}), writeFile(d + "/._" + kOne, "junk");
         indexFile(d + "/model.safetensors.index.json", {{"a", kOne}});
       },
       {kOne},
       "does not name them: mtp.safetensors"},
      {"what other systems leave behind",
       [](const std::string &d) { shard(d + "/weights.safetensors", {"a"}), writeFile(d + "/._weights.safetensors", "junk"); },
       {"weights.safetensors"},
       ""},
      {"another name",
       [](const std::string &d) { shard(d + "/diffusion_pytorch_model.safetensors", {"a"}); },
       {"diffusion_pytorch_model.safetensors"},
       ""},
      {"two other names",
       [](const std::string &d) { shard(d + "/a.safetensors", {"a"}), shard(d + "/b.safetensors", {"a"}); },
       {},
       "several checkpoints"},
      {"two indexes",
       [](const std::string &d) {
         writeFile(d + "/a.safetensors.index.json", "{}"), writeFile(d + "/b.safetensors.index.json", "{}");
       },
       {},
       "several checkpoints"},
      {"torch.save, single",
       [](const std::string &d) { torchShard(d + "/pytorch_model.bin", {"a"}); },
       {"pytorch_model.bin"},
       ""},
      {"torch.save, sharded",
       [](const std::string &d) {
         torchShard(d + "/" + kTorchOne, {"a"}), torchShard(d + "/" + kTorchTwo, {"b"}), writeFile(d + "/training_args.bin", "x");
         indexFile(d + "/pytorch_model.bin.index.json", {{"a", kTorchOne}, {"b", kTorchTwo}});
       },
       {kTorchOne, kTorchTwo},
       ""},
      {"torch.save, shards without index",
       [](const std::string &d) { torchShard(d + "/" + kTorchOne, {"a"}), torchShard(d + "/" + kTorchTwo, {"b"}); },
       {kTorchOne, kTorchTwo},
       "has no index file"},
      {"torch.save, one shard missing",
       [](const std::string &d) { torchShard(d + "/" + kTorchTwo, {"b"}); },
       {},
       "missing: pytorch_model-00001-of-00002.bin"},
      {"torch.save, single and shards",
       [](const std::string &d) {
         torchShard(d + "/pytorch_model.bin", {"a"}), torchShard(d + "/" + kTorchOne, {"a"});
         writeFile(d + "/pytorch_model.bin.index.json", "{}");
       },
       {"pytorch_model.bin"},
       "not read: pytorch_model-00001-of-00002.bin, pytorch_model.bin.index.json"},
      {"safetensors win over pickles",
       [](const std::string &d) {
         shard(d + "/model.safetensors", {"a"}), torchShard(d + "/pytorch_model.bin", {"a"}), writeFile(d + "/optimizer.pt", "x");
       },
       {"model.safetensors"},
       "reads model.safetensors, as transformers does; not read: pytorch_model.bin\n"},
      {"safetensors under another name win too",
       [](const std::string &d) {
         shard(d + "/weights.safetensors", {"a"}), writeFile(d + "/pytorch_model.bin.index.json", "{}");
       },
       {"weights.safetensors"},
       "not read: pytorch_model.bin.index.json"},
      {"torch.save under another name",
       [](const std::string &d) { torchShard(d + "/model.pth", {"a"}); },
       {},
       "only model.pth | give the file with the weights itself, for example"},
      {"no GGUF", [](const std::string &d) { writeFile(d + "/m.gguf", "x"); }, {}, "m.gguf: the magic needs 4 bytes"},
      {"ONNX", [](const std::string &d) { writeFile(d + "/m.onnx", "x"); }, {}, "only m.onnx | fetch a revision"},
      {"not what its name says",
       [](const std::string &d) { writeFile(d + "/pytorch_model.bin", "x"); },
       {},
       "is no checkpoint of"},
      {"nothing", [](const std::string &d) {}, {}, "has no .safetensors file and no pytorch_model.bin"},
      {"no tensor", [](const std::string &d) { shard(d + "/model.safetensors", {}); }, {}, "hold no tensor"},
  };
  for (const Row &row : rows) {
    TempFolder folder;
    row.make(folder.path);
    Diagnostics diags;
    FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path, diags);
    INFO(row.name << "\n" << textOf(diags));
    CHECK(succeeded(checkpoint) == !row.files.empty());
    CHECK_THAT(textOf(diags), Catch::Contains(row.says));
    if (failed(checkpoint))
      continue;
    std::vector<std::string> names;
    for (const CheckpointFile &file : checkpoint->files)
      names.push_back(file.name);
    CHECK(names == std::vector<std::string>(row.files.begin(), row.files.end()));
    CHECK(*row.says == (diags.remarks().empty() ? 0 : *row.says));
  }
}

TEST_CASE("indexes that contradict their shards") {
  struct Row {
    const char *name;
    std::function<void(const std::string &)> make;
    std::vector<const char *> says;
  };
  const std::string index = "/model.safetensors.index.json";
  const Row rows[] = {
      {"out of the folder",
       [&](auto &d) { indexFile(d + index, {{"a", "../other.safetensors"}, {"b", "/etc/passwd"}}); },
       {"weight_map.a: names the file '../other.safetensors', which is outside", "weight_map.b: names the file '/etc/passwd'"}},
      {"not safetensors",
       [&](auto &d) { indexFile(d + index, {{"a", "pytorch_model.bin"}}); },
       {"weight_map.a: names the file 'pytorch_model.bin', which is no"}},
      {"not a text",
       [&](auto &d) { writeFile(d + index, "{\"weight_map\":{\"a\":3}}"); },
       {"weight_map.a: is a int where a file name"}},
      {"no map", [&](auto &d) { writeFile(d + index, "{}"); }, {"weight_map: is missing"}},
      {"empty map", [&](auto &d) { writeFile(d + index, "{\"weight_map\":{}}"); }, {"or is empty"}},
      {"not JSON", [&](auto &d) { writeFile(d + index, "{\"weight_map\":"); }, {"model.safetensors.index.json:1:"}},
      {"two missing shards, both named",
       [&](auto &d) { indexFile(d + index, {{"a", kOne}, {"b", kTwo}, {"c", kTwo}}); },
       {"model-00001-of-00002.safetensors: is named by model.safetensors.index.json for 1 tensors, and is not there",
        "model-00002-of-00002.safetensors: is named by model.safetensors.index.json for 2 tensors"}},
      {"dangling link",
       [&](auto &d) {
         indexFile(d + index, {{"a", kOne}});
         REQUIRE(::symlink("../blobs/none", (d + "/" + kOne).c_str()) == 0);
       },
       {"is a link to a file that does not exist"}},
      {"tensor not in the file",
       [&](auto &d) {
         shard(d + "/" + kOne, {"a"});
         indexFile(d + index, {{"a", kOne}, {"gone", kOne}});
       },
       {"gone: is in model.safetensors.index.json but not in model-00001"}},
      {"tensor not in the index",
       [&](auto &d) {
         shard(d + "/" + kOne, {"a", "extra"});
         indexFile(d + index, {{"a", kOne}});
       },
       {"extra: is in model-00001-of-00002.safetensors but not in model.safetensors.index.json"}},
      {"tensor in another file",
       [&](auto &d) {
         shard(d + "/" + kOne, {"a"}), shard(d + "/" + kTwo, {"b"});
         indexFile(d + index, {{"a", kTwo}, {"b", kTwo}});
         shard(d + "/" + kOne, {"a"});
       },
       {"a: is in model.safetensors.index.json but not in model-00002"}},
      {"duplicate across shards",
       [&](auto &d) {
         shard(d + "/" + kOne, {"a"}), shard(d + "/" + kTwo, {"a", "b"});
         indexFile(d + index, {{"a", kOne}, {"b", kTwo}});
       },
       {"a: is in model-00001-of-00002.safetensors and in model-00002-of-00002.safetensors"}},
      {"torch.save: an entry of safetensors",
       [&](auto &d) { indexFile(d + "/pytorch_model.bin.index.json", {{"a", kOne}}); },
       {"weight_map.a: names the file 'model-00001-of-00002.safetensors', which is no .bin file"}},
      {"torch.save: tensor in no file, and one in no index",
       [&](auto &d) {
         torchShard(d + "/" + kTorchOne, {"a", "x"});
         indexFile(d + "/pytorch_model.bin.index.json", {{"a", kTorchOne}, {"b", kTorchOne}, {"c", kTorchTwo}});
         torchShard(d + "/" + kTorchTwo, {"c", "a"});
       },
       {"b: is in pytorch_model.bin.index.json but not in pytorch_model-00001",
        "a: is in pytorch_model-00001-of-00002.bin and in"}},
      {"torch.save: missing shard",
       [&](auto &d) {
         torchShard(d + "/" + kTorchOne, {"a"});
         indexFile(d + "/pytorch_model.bin.index.json", {{"a", kTorchOne}, {"c", kTorchTwo}});
       },
       {"pytorch_model-00002-of-00002.bin: is named by pytorch_model.bin.index.json for 1 tensors, and is not there"}},
      {"truncated shard",
       [&](auto &d) {
         shard(d + "/" + kOne, {"a"});
         indexFile(d + index, {{"a", kOne}});
         std::filesystem::resize_file(d + "/" + kOne, std::filesystem::file_size(d + "/" + kOne) - 3);
       },
       {"model-00001-of-00002.safetensors: ends at byte", "truncated"}},
  };
  for (const Row &row : rows) {
    TempFolder folder;
    row.make(folder.path);
    Diagnostics diags;
    bool refused = failed(openCheckpoint(folder.path, diags));
    std::string text = textOf(diags);
    INFO(row.name << "\n" << text);
    CHECK(refused);
    for (const char *say : row.says)
      CHECK_THAT(text, Catch::Contains(say));
    for (const Problem &problem : diags.errors())
      CHECK(problem.cause == Cause::Input);
  }
}

TEST_CASE("a file of torch.save is read under any name when it is given") {
  TempFolder folder;
  for (const char *name : {"model.pth", "a.pt", "b.ckpt", "weights.bin"}) {
    torchShard(folder / name, {"a"});
    Diagnostics diags;
    FailureOr<Checkpoint> checkpoint = openCheckpoint(folder / name, diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(checkpoint));
    CHECK(checkpoint->files[0].format == FileFormat::PyTorch);
    CHECK(checkpoint->files[0].name == name);
    CHECK(isSha256(checkpoint->files[0].headerDigest));
    CHECK(checkpoint->folder == folder.path);
  }
  torchShard(folder / kTorchOne, {"a"});
  indexFile(folder / "x.bin.index.json", {{"a", kTorchOne}});
  Diagnostics diags;
  CHECK(succeeded(openCheckpoint(folder / "x.bin.index.json", diags)));
  writeFile(folder / "x.txt", "");
  CHECK(failed(openCheckpoint(folder / "x.txt", diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("is no checkpoint: a folder, a .safetensors or .gguf file, a file of torch.save"));
}

TEST_CASE("a hub cache is read through its links") {
  TempFolder folder;
  shard(folder / "models--o--n/blobs/0123", {"a"});
  std::filesystem::create_directories(folder / "models--o--n/snapshots/rev");
  REQUIRE(::symlink("../../blobs/0123", (folder / "models--o--n/snapshots/rev/model.safetensors").c_str()) == 0);
  Diagnostics diags;
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder / "models--o--n/snapshots/rev/", diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(checkpoint));
  CHECK(checkpoint->find("a") != nullptr);
  CHECK(checkpoint->find("b") == nullptr);
  CHECK(checkpoint->files[0].metadata.at("format") == "pt");
  // The source table has neither path nor time.
  std::string table = checkpoint->sourcesJson();
  CHECK_THAT(table, !Catch::Contains(folder.path));
  FailureOr<json::Value> parsed = json::parse(table, "sources.json", diags);
  REQUIRE(succeeded(parsed));
  CHECK(parsed->find("tensors")->array().size() == 1);
  CHECK(parsed->find("files")->array()[0].find("header_sha256")->string() == checkpoint->files[0].headerDigest);
  CHECK(isSha256(checkpoint->files[0].headerDigest));
}

TEST_CASE("a source that changes after its header was read is noticed") {
  TempFolder folder;
  shard(folder / "model.safetensors", {"a"});
  Diagnostics diags;
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder / "model.safetensors", diags);
  REQUIRE(succeeded(checkpoint));
  CHECK(succeeded(openSources(*checkpoint, diags)));
  shard(folder / "model.safetensors", {"a", "b"});
  CHECK(failed(openSources(*checkpoint, diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("was changed since its header was read"));
}

TEST_CASE("digests are those of the standard, for any number of threads") {
  CHECK(sha256(StringRef("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256(StringRef("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  TempFolder folder;
  std::vector<std::string> paths;
  for (int i = 0; i < 7; ++i) {
    paths.push_back(folder / std::to_string(i));
    writeFile(paths.back(), std::string(static_cast<size_t>(i) * 3'000'000, static_cast<char>('a' + i)));
  }
  Diagnostics diags;
  WorkOptions one, many;
  Progress progress;
  many.jobs = 4;
  many.progress = &progress;
  FailureOr<std::vector<std::string>> a = sha256Files(paths, diags, one), b = sha256Files(paths, diags, many);
  REQUIRE(succeeded(a));
  REQUIRE(succeeded(b));
  CHECK(*a == *b);
  CHECK((*a)[0] == sha256(StringRef("")));
  CHECK((*a)[2] == sha256(std::string(6'000'000, 'c')));
  CHECK(progress.bytesDone == 63'000'000);
  paths[3] = folder / "absent", paths[5] = folder / "gone";
  CHECK(failed(sha256Files(paths, diags, many)));
  REQUIRE(diags.errors().size() == 2);
  CHECK(diags.errors()[0].where == paths[3]);
  CHECK(diags.errors()[1].where == paths[5]);
  StopFlag stop;
  stop.request();
  many.stop = &stop;
  Diagnostics stopping;
  CHECK(failed(sha256Files({folder / "6"}, stopping, many)));
  CHECK(stopping.errors()[0].cause == Cause::Later);
}

TEST_CASE("the headers of a 70 B layout are read fast") {
  // 80 layers, 9 tensors each, 30 sparse shards: 140 GB that are not there.
  TempFolder folder;
  std::string map;
  size_t tensor = 0;
  std::vector<std::vector<SafetensorsEntry>> shards(30);
  for (int layer = 0; layer < 80; ++layer)
    for (const char *part : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
                             "mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm"}) {
      bool norm = StringRef(part).contains("norm");
      std::vector<int64_t> shape = norm ? std::vector<int64_t>{8192} : std::vector<int64_t>{8192, 14336};
      shards[tensor++ * 30 / 720].push_back({"model.layers." + std::to_string(layer) + "." + part + ".weight", DType::BF16, shape,
                                             0, *tensorBytes(DType::BF16, shape)});
    }
  for (size_t i = 0; i < shards.size(); ++i) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-00030.safetensors", i + 1);
    std::string header = layOutSafetensors(shards[i], {});
    writeFile(folder / name, header);
    std::filesystem::resize_file(folder / name, shards[i].back().offset + shards[i].back().bytes);
    for (const SafetensorsEntry &entry : shards[i])
      map += (map.empty() ? "\"" : ",\"") + entry.name + "\":\"" + name + "\"";
  }
  writeFile(folder / "model.safetensors.index.json", "{\"weight_map\":{" + map + "}}");
  Diagnostics diags;
  auto start = std::chrono::steady_clock::now();
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path, diags);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  INFO(textOf(diags));
  REQUIRE(succeeded(checkpoint));
  CHECK(checkpoint->tensors.size() == 720);
  CHECK(checkpoint->totalBytes() > 130'000'000'000ull);
  WARN("720 tensors in 30 shards: " << seconds << " s");
}
