// Checkpoints of torch.save: what torch itself wrote (tests/weights/torch, made by make.py there), and what no torch would write.
#include "tests/support/TempFolder.h"
#include "tests/support/TorchFile.h"
#include "text/Json.h"
#include "weights/Checkpoint.h"
#include "weights/Digest.h"
#include "weights/PyTorchFile.h"

#include "llvm/ADT/StringExtras.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

const std::string kRecorded = std::string(FLAGRELEASE_SOURCE_DIR) + "/tests/weights/torch/";

MemorySource source(const std::string &content) {
  const std::byte *bytes = reinterpret_cast<const std::byte *>(content.data());
  return MemorySource("m.bin", std::vector<std::byte>(bytes, bytes + content.size()));
}

/// {name: [dtype, shape, hex]} of a file, as make.py writes it.
json::Object contentOf(const PyTorchHeader &header, const std::string &file) {
  json::Object content;
  for (const TensorEntry &entry : header.tensors)
    content.set(entry.name, json::Array{dtypeName(entry.type), json::Array(entry.shape.begin(), entry.shape.end()),
                                        llvm::toHex(StringRef(file).substr(entry.offset, entry.bytes), /*LowerCase=*/true)});
  return content;
}

/// A state dict of one tensor "a" over storage "0", which `make` puts on the stack.
std::string one(const std::function<void(PickleText &)> &make) {
  PickleText pickle;
  pickle.raw("}").string("a");
  make(pickle);
  return pickle.raw("s").done();
}

std::string floats(size_t count) { return std::string(count * 4, '\1'); }

} // namespace

TEST_CASE("what torch wrote is read as torch reads it") {
  Diagnostics setup;
  FailureOr<json::Value> expected = json::parseFile(kRecorded + "expected.json", setup);
  REQUIRE(succeeded(expected));
  size_t read = 0;
  for (const json::Member &file : expected->object()) {
    Diagnostics diags;
    std::string content = readFile(kRecorded + file.key);
    FailureOr<PyTorchHeader> header = readPyTorchHeader(source(content), diags);
    INFO(file.key << "\n" << textOf(diags));
    CHECK(failed(header) == file.value.isNull());
    if (failed(header))
      continue;
    ++read;
    json::Object got = contentOf(*header, content);
    CHECK(got.size() == file.value.object().size());
    for (const json::Member &tensor : file.value.object()) {
      INFO(tensor.key);
      REQUIRE(got.find(tensor.key));
      CHECK(json::toText(*got.find(tensor.key)) == json::toText(tensor.value));
    }
    CHECK(isSha256(header->digest));
  }
  CHECK(read == 11);
}

TEST_CASE("what is refused says why and what to do") {
  struct Row {
    const char *file;
    std::vector<const char *> says;
  };
  for (const Row &row : {
           Row{"legacy.bin", {"torch before 1.6", "torch.save(torch.load(f, map_location=\"cpu\", weights_only=True), f)"}},
           Row{"transposed.bin", {"t: has shape [3, 2] and strides [1, 3]", ".contiguous()"}},
           Row{"sparse.bin", {"names torch._utils._rebuild_sparse_tensor"}},
           Row{"quantized.bin", {"names torch._utils._rebuild_qtensor", "names torch.QInt8Storage"}},
           Row{"module.bin", {"names __main__.Model"}},
           Row{"conjugate.bin", {"a: is a conjugated or negated view"}},
           Row{"script.pt", {"is a TorchScript program", "torch.jit.load"}},
       }) {
    Diagnostics diags;
    CHECK(failed(readPyTorchHeader(source(readFile(kRecorded + row.file)), diags)));
    for (const char *say : row.says)
      CHECK_THAT(textOf(diags), Catch::Contains(say));
  }
}

TEST_CASE("what is not read is noted; tied weights share their bytes") {
  auto notes = [](const std::string &file, PyTorchHeader &header) {
    Diagnostics diags;
    FailureOr<PyTorchHeader> read = readPyTorchHeader(source(readFile(kRecorded + file)), diags);
    REQUIRE(succeeded(read));
    header = *read;
    return textOf(diags);
  };
  PyTorchHeader header;
  CHECK_THAT(notes("dtypes.bin", header),
             Catch::Contains("because they are no tensors: extra (an integer), note (a text), size (an object)"));
  CHECK_THAT(notes("wrapped.bin", header),
             Catch::Contains("reads the tensors in 'state_dict'; not read: epoch (an integer), optimizer (a dict)"));
  CHECK(notes("tied.bin", header) == "");
  REQUIRE(header.tensors.size() == 3);
  CHECK(header.tensors[1].name == "embed.weight");
  CHECK(header.tensors[2].name == "head.weight");
  CHECK(header.tensors[1].offset == header.tensors[2].offset);
}

TEST_CASE("files and tensors that contradict themselves") {
  using P = PickleText;
  auto view = [](int64_t elements, std::vector<int64_t> shape, std::vector<int64_t> strides, int64_t offset = 0) {
    return one([&](P &p) { p.tensor("0", elements, shape, strides, offset); });
  };
  auto call = [](StringRef name, const std::function<void(P &)> &arguments) {
    return one([&](P &p) {
      p.global("torch._utils", name).raw("(");
      arguments(p);
      p.raw("tR");
    });
  };
  auto storage = [](const std::function<void(P &)> &id) {
    return one([&](P &p) {
      p.global("torch._utils", "_rebuild_tensor_v2").raw("(");
      id(p);
      p.raw("Q").integer(0).integers({2}).integers({1}).raw("\x89").orderedDict().raw("tR");
    });
  };
  auto withType = [](StringRef module, StringRef type, std::vector<int64_t> shape, int64_t bytes) {
    return one([&](P &p) {
      p.global("torch._utils", "_rebuild_tensor_v3").raw("(").storage("torch.storage", "UntypedStorage", "0", bytes).integer(0);
      p.integers(shape).integers(std::vector<int64_t>(shape.size(), 1)).raw("\x89").orderedDict().global(module, type).raw("tR");
    });
  };
  ZipEntry bigEndian, code, compressed, second;
  bigEndian.name = "archive/byteorder", bigEndian.content = "big";
  code.name = "archive/code/__torch__.py";
  second.name = "other/data.pkl";
  const std::string good = view(8, {2, 4}, {4, 1});
  auto archive = [&](std::initializer_list<ZipEntry> entries) { return makeZip(entries); };
  ZipEntry data, bomb;
  data.name = "archive/data.pkl", data.content = good;
  compressed = data, compressed.method = 8;
  bomb.name = "archive/data/0", bomb.content = "x", bomb.method = 8;
  bomb.flags = 8, bomb.localSize = 0, bomb.unpacked = 4'000'000'000; // sizes after the data
  struct Row {
    std::string content;
    const char *says;
  };
  const Row rows[] = {
      {torchFile(good, {floats(8)}), ""},
      // The file.
      {"", "does not start as a zip archive does"},
      {"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"},
      {"GGUF....", "rename it to .gguf"},
      {std::string(8, '\0') + "{}", "rename it to .safetensors"},
      {"\x80\x04N.", "is a bare pickle"},
      {std::string(257, 'x') + "ustar" + std::string(100, '\0'), "is a tar archive"},
      {"PK\x03\x04", "too few for a zip archive"},
      {makeZip({}), "without data.pkl"},
      {archive({data, bigEndian}), "byteorder: says 'big'"},
      {torchFile(good, {floats(8)}, {code}), "is a TorchScript program"},
      {torchFile(good, {floats(8)}, {second}), "holds two checkpoints"},
      {archive({compressed}), "data.pkl: is compressed (method 8)"},
      {archive({data, bomb}), "its storage archive/data/0 is compressed"},
      // The state dict.
      {torchFile(PickleText().raw("]").done()), "holds a list, where a dict"},
      {torchFile(PickleText().raw("}").done()), "holds no tensor at its top level, only an empty dict"},
      {torchFile(PickleText().raw("}").string("epoch").integer(3).raw("s").done()), "only epoch (an integer)"},
      {torchFile(PickleText()
                     .raw("}(")
                     .string("model")
                     .raw("}")
                     .string("a")
                     .tensor("0", 1, {1}, {1})
                     .raw("s")
                     .string("module")
                     .raw("}")
                     .string("a")
                     .tensor("0", 1, {1}, {1})
                     .raw("su")
                     .done(),
                 {floats(1)}),
       "holds tensors in model, module"},
      {torchFile(PickleText().raw("}").integer(1).tensor("0", 1, {1}, {1}).raw("s").done(), {floats(1)}),
       "has an integer for a name"},
      {torchFile(PickleText().raw("}(").string("a").tensor("0", 1, {1}, {1}).string("a").tensor("0", 1, {1}, {1}).raw("u").done(),
                 {floats(1)}),
       "a: is in the state dict twice"},
      // Storages.
      {torchFile(good), "its storage archive/data/0 is not in the archive"},
      {torchFile(good, {floats(7)}), "should have 8 elements of torch.FloatStorage, and has 28 bytes"},
      {torchFile(view(int64_t(1) << 62, {2}, {1}), {floats(8)}), "should have 4611686018427387904 elements"},
      {torchFile(view(-1, {2}, {1}), {floats(8)}), "an id that is not"},
      {torchFile(storage([](P &p) { p.integer(1); }), {floats(8)}), "an id of 0 parts"},
      {torchFile(storage([](P &p) { p.raw("(").string("storage").global("torch", "FloatStorage").string("0").raw("t"); }),
                 {floats(8)}),
       "an id of 3 parts"},
      {torchFile(storage([](P &p) {
                   p.raw("(").string("storage").global("torch", "float32").string("0").string("cpu").integer(8).raw("t");
                 }),
                 {floats(8)}),
       "of class torch.float32, which is no storage"},
      {torchFile(storage([](P &p) {
                   p.raw("(").string("module").global("torch", "FloatStorage").string("0").string("cpu").integer(8).raw("t");
                 }),
                 {floats(8)}),
       "an id that is not"},
      {torchFile(
           storage([](P &p) {
             p.raw("(").string("storage").global("torch", "FloatStorage").string("../data.pkl").string("cpu").integer(8).raw("t");
           }),
           {floats(8)}),
       "is not in the archive"},
      {torchFile(
           storage([](P &p) {
             p.raw("(").string("storage").global("torch", "ComplexDoubleStorage").string("0").string("cpu").integer(2).raw("t");
           }),
           {floats(8)}),
       "is of torch.ComplexDoubleStorage, which is not read"},
      {torchFile(storage([](P &p) {
                   p.raw("(")
                       .string("storage")
                       .global("torch.storage", "UntypedStorage")
                       .string("0")
                       .string("cpu")
                       .integer(32)
                       .raw("t");
                 }),
                 {floats(8)}),
       "does not fit the way it is made"},
      // Views.
      {torchFile(view(8, {2, 4}, {4, 1}, 1), {floats(8)}),
       "needs 32 bytes from element 1 on, but its storage archive/data/0 has 32"},
      {torchFile(view(8, {2, 5}, {5, 1}), {floats(8)}), "needs 40 bytes"},
      {torchFile(view(8, {2}, {1}, -1), {floats(8)}), "its offset"},
      {torchFile(view(8, {2}, {1}, int64_t(1) << 62), {floats(8)}), "needs 8 bytes from element 4611686018427387904"},
      {torchFile(view(8, {-2}, {1}), {floats(8)}), "its shape has a part that is no integer"},
      {torchFile(view(8, {2, 2}, {1}), {floats(8)}), "is not contiguous"},
      {torchFile(view(8, {2, 2}, {0, 1}), {floats(8)}), "shape [2, 2] and strides [0, 1]: it is not contiguous"},
      {torchFile(view(8, {2, 2}, {2, 2}), {floats(8)}), "is not contiguous"},
      {torchFile(view(8, {int64_t(1) << 40, int64_t(1) << 40}, {int64_t(1) << 40, 1}), {floats(8)}), "2^63 bytes or more"},
      {torchFile(view(8, std::vector<int64_t>(33, 1), std::vector<int64_t>(33, 1)), {floats(8)}), "has 33 dimensions"},
      {torchFile(view(8, {1, 2, 1}, {7, 1, 9}), {floats(8)}), ""}, // strides of single elements mean nothing
      {torchFile(view(8, {0, 5}, {3, 3}), {floats(8)}), ""},       // nor do those of none
      {torchFile(call("_rebuild_tensor_v2", [](P &p) { p.integer(1); }), {floats(8)}),
       "other arguments than torch.save writes (1 of"},
      {torchFile(call("_rebuild_tensor_v2", [](P &p) { p.integer(1).integer(0).integers({}).integers({}).raw("\x89)"); })),
       "is a view of an integer, where a storage"},
      {torchFile(call("_rebuild_parameter", [](P &p) { p.integer(1).raw("\x89)"); })), "other arguments than torch.save writes"},
      {torchFile(one([](P &p) {
         p.global("torch._tensor", "_rebuild_from_type_v2").raw("(").global("torch._utils", "_rebuild_tensor_v2");
         p.global("torch", "float32").raw(")}tR");
       })),
       "of a class that is neither a tensor nor a parameter"},
      {torchFile(one([](P &p) {
         p.global("torch._tensor", "_rebuild_from_type_v2").raw("(").global("collections", "OrderedDict");
         p.global("torch", "Tensor").raw(")}tR");
       })),
       "is made in a way that is not known here"},
      // Types.
      {torchFile(withType("torch", "float4_e2m1fn_x2", {3}, 3), {"abc"}), ""},
      {torchFile(withType("torch", "float8_e4m3fnuz", {3}, 3), {"abc"}), ""},
      {torchFile(withType("torch", "float8_e4m3fn", {3}, 3), {"abc"}), ""},
      {torchFile(withType("torch", "uint32", {1}, 3), {"abc"}), "needs 4 bytes"},
      {torchFile(withType("torch", "complex32", {1}, 4), {"abcd"}), "is of torch.complex32, which is not read"},
      {torchFile(withType("torch", "Tensor", {1}, 4), {"abcd"}), "no torch.dtype"},
      {torchFile(withType("torch", "int4", {1}, 4), {"abcd"}), "names torch.int4"},
      {torchFile(withType("torch", "float4_e2m1fn_x2", {}, 1), {"a"}), "a pair of F4 without a dimension"},
      {torchFile(withType("torch", "float4_e2m1fn_x2", {(int64_t(1) << 62)}, 1), {"a"}), "2^63 elements or more"},
  };
  for (const Row &row : rows) {
    Diagnostics diags;
    bool refused = failed(readPyTorchHeader(source(row.content), diags));
    INFO(row.says << "\n" << textOf(diags));
    CHECK(refused == (*row.says != 0));
    CHECK_THAT(textOf(diags), Catch::Contains(row.says));
    for (const Problem &problem : diags.errors())
      CHECK(problem.cause == Cause::Input);
  }
}

TEST_CASE("pairs of F4 are counted one by one") {
  std::string file =
      torchFile(one([&](PickleText &p) {
                  p.global("torch._utils", "_rebuild_tensor_v3").raw("(");
                  p.storage("torch.storage", "UntypedStorage", "0", 6).integer(0).integers({2, 3}).integers({3, 1});
                  p.raw("\x89").orderedDict().global("torch", "float4_e2m1fn_x2").raw("tR");
                }),
                {"abcdef"});
  Diagnostics diags;
  FailureOr<PyTorchHeader> header = readPyTorchHeader(source(file), diags);
  REQUIRE(succeeded(header));
  CHECK(header->tensors[0].type == DType::F4);
  CHECK(header->tensors[0].shape == std::vector<int64_t>{2, 6});
  CHECK(file.substr(header->tensors[0].offset, header->tensors[0].bytes) == "abcdef");
}

TEST_CASE("every bad tensor is reported, and many are counted") {
  PickleText pickle;
  pickle.raw("}(");
  for (int i = 0; i < 100; ++i)
    pickle.string("t" + std::to_string(i)).tensor("7", 1, {1}, {1});
  pickle.string("u").tensor("0", 1, {2}, {0});
  Diagnostics diags;
  CHECK(failed(readPyTorchHeader(source(torchFile(pickle.raw("u").done(), {floats(1)})), diags)));
  CHECK(diags.errors().size() == 22);
  CHECK_THAT(textOf(diags), Catch::Contains("and 80 more tensors without storage") && Catch::Contains("u: has shape"));
}

TEST_CASE("the digest covers directory and pickle, and a file cut anywhere is refused") {
  std::string whole = readFile(kRecorded + "pytorch_model-00001-of-00002.bin");
  auto digest = [](const std::string &content) {
    Diagnostics diags;
    FailureOr<PyTorchHeader> header = readPyTorchHeader(source(content), diags);
    return succeeded(header) ? header->digest : "";
  };
  const std::string first = digest(whole);
  CHECK(first != digest(readFile(kRecorded + "pytorch_model-00002-of-00002.bin")));
  std::string renamed = whole;
  renamed[renamed.find("X\x01\x00\x00\x00"
                       "a",
                       0, 6) +
          5] = 'z';
  CHECK(digest(renamed) != "");
  CHECK(digest(renamed) != first);
  for (size_t size = 0; size < whole.size(); ++size)
    if (digest(whole.substr(0, size)) != "")
      FAIL("cut at " << size);
}
