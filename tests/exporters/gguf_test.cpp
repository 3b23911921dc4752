// GGUF there and back: what is written is read by the importer, and computes what transformers computed. llama.cpp itself runs in
// tests/consumers/.
#include "tests/exporters/GgufCases.h"

#include "devices/reference/ReferenceModel.h"
#include "importers/huggingface/GraphBuilder.h"
#include "tests/support/Fixture.h"
#include "tests/support/TempFolder.h"
#include "weights/Gguf.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
/// The largest distance of logits of the GGUF checkpoint `path` from a fixture's golden ones.
double distance(const std::string &path, const Golden &golden) {
  Diagnostics diags;
  FailureOr<RecipeSet> recipes = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  FailureOr<Checkpoint> checkpoint = openCheckpoint(path, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(recipes));
  REQUIRE(succeeded(checkpoint));
  mlir::MLIRContext context;
  FailureOr<Imported> imported = importHuggingFace(*checkpoint, *recipes, {}, context, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(imported));
  FailureOr<std::unique_ptr<ReferenceModel>> model =
      ReferenceModel::open(*imported->module, *checkpoint, ReferencePrecision::F32, diags);
  REQUIRE(succeeded(model));
  NamedTensors inputs;
  for (const std::string &input : golden.inputs)
    inputs[input] = golden.tensors.at(input);
  FailureOr<NamedTensors> got = (*model)->run(inputs, {}, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(got));
  return nmse(got->at("logits"), golden.tensors.at("logits"));
}

/// What follows the header, which holds the name of the source.
std::string dataOf(const std::string &path) {
  Diagnostics diags;
  FailureOr<std::shared_ptr<FileSource>> file = FileSource::open(path, diags);
  REQUIRE(succeeded(file));
  FailureOr<GgufHeader> header = readGgufHeader(**file, diags);
  REQUIRE(succeeded(header));
  return readFile(path).substr(header->dataOffset);
}

std::string writtenTokenizer(const std::string &json, const std::string &config, Diagnostics &diags) {
  TempFolder folder;
  writeFile(folder / "tokenizer.json", json);
  if (!config.empty())
    writeFile(folder / "tokenizer_config.json", config);
  return succeeded(writeGgufVocabulary(folder.path, 8, folder / "v.gguf", diags)) ? readFile(folder / "v.gguf") : "";
}
} // namespace

TEST_CASE("fixtures as GGUF and back on the reference", "[gguf]") {
  // One per way of naming, ordering and scaling that the sections have.
  for (const char *name : {"llama-tinyllama-1.1b", "llama-llama-3.1-8b", "llama-attention-bias", "llama-mlp-bias", "llama-mqa",
                           "llama-rope-linear", "llama-rope-longrope-crossing", "mistral-mistral-nemo", "qwen2-qwen2.5-0.5b",
                           "qwen2-rope-yarn", "qwen3-qwen3-0.6b", "qwen3-rope-yarn"}) {
    INFO(name);
    TempFolder folder;
    Diagnostics diags;
    FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
    REQUIRE(succeeded(golden));
    REQUIRE(succeeded(materialise(fixturePath(name), folder / "source", diags)));
    bool written = succeeded(writeGguf(folder / "source", folder / "out", {.floats = DType::F32}, diags));
    INFO(problems(diags));
    REQUIRE(written);
    CHECK(distance(folder / "out", *golden) <= golden->tolerance("logits"));
    // Split, aligned to pages, and with matrices as they are stored: the same numbers.
    REQUIRE(
        succeeded(writeGguf(folder / "source", folder / "split", {.floats = {}, .shardSize = 50'000, .alignment = 4096}, diags)));
    CHECK(std::distance(std::filesystem::directory_iterator(folder / "split"), {}) > 2);
    CHECK(distance(folder / "split", *golden) <= golden->tolerance("logits"));
    // From GGUF to GGUF nothing changes any more.
    REQUIRE(succeeded(writeGguf(folder / "out", folder / "again", {}, diags)));
    REQUIRE(succeeded(writeGguf(folder / "again", folder / "third", {}, diags)));
    CHECK(distance(folder / "again", *golden) <= golden->tolerance("logits"));
    bool same = dataOf(folder / "again/model.gguf") == dataOf(folder / "third/model.gguf");
    CHECK(same);
  }
}

TEST_CASE("blocks are written, read back and decoded", "[gguf]") {
  // The distance is that of 8 and of 4 bits: amax / 127 and / 7 of 32 numbers, relative to their spread.
  const std::pair<BlockFormat, double> rows[] = {{BlockFormat::Q8_0, 1e-3}, {BlockFormat::Q4_1, 0.2}};
  for (auto [format, bound] : rows)
    for (const char *name : {"llama-tinyllama-1.1b", "qwen3-qwen3-0.6b"}) {
      INFO(name << " " << blockInfo(format).name);
      TempFolder folder;
      Diagnostics diags;
      FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
      REQUIRE(succeeded(golden));
      REQUIRE(succeeded(materialise(fixturePath(name), folder / "source", diags)));
      bool written = succeeded(writeGguf(folder / "source", folder / "out", {.floats = DType::F32, .blocks = format}, diags));
      INFO(problems(diags));
      REQUIRE(written);
      FailureOr<Checkpoint> checkpoint = openCheckpoint(folder / "out", diags);
      REQUIRE(succeeded(checkpoint));
      CHECK(llvm::count_if(checkpoint->tensors, [&](const CheckpointTensor &tensor) { return tensor.block == format; }) > 2);
      CHECK_FALSE(checkpoint->find("blk.0.attn_norm.weight")->block);
      double apart = distance(folder / "out", *golden);
      INFO("nmse " << apart);
      CHECK(apart < bound);
      CHECK(apart > 1e-9); // it did lose something
      // Decoded once, the numbers do not change any more.
      REQUIRE(succeeded(writeGguf(folder / "out", folder / "plain", {.floats = DType::F32}, diags)));
      CHECK(distance(folder / "plain", *golden) == Approx(apart).epsilon(1e-6));
    }
}

TEST_CASE("the example as GGUF: keys as the reference conversion has them", "[gguf]") {
  TempFolder folder;
  Diagnostics diags;
  REQUIRE(
      succeeded(writeGguf(FLAGRELEASE_SOURCE_DIR "/examples/models/kjv-qwen3-5m", folder.path, {.floats = DType::F16}, diags)));
  FailureOr<std::shared_ptr<FileSource>> file = FileSource::open(folder / "model.gguf", diags);
  REQUIRE(succeeded(file));
  FailureOr<GgufHeader> header = readGgufHeader(**file, diags);
  REQUIRE(succeeded(header));
  // gguf.SpecialVocab of the gguf package 0.19.0, and get_vocab_base of llama.cpp's converter, on the same folder.
  const std::pair<const char *, const char *> facts[] = {
      {"general.architecture", "'qwen3'"},
      {"general.file_type", "1"},
      {"tokenizer.ggml.model", "'gpt2'"},
      {"tokenizer.ggml.pre", "'qwen2'"},
      {"tokenizer.ggml.tokens", "['<|endoftext|>', '!', '\"', '#', ...] (2048)"},
      {"tokenizer.ggml.token_type", "[3, 1, 1, 1, ...] (2048)"},
      {"tokenizer.ggml.bos_token_id", "0"},
      {"tokenizer.ggml.eos_token_id", "0"},
      {"tokenizer.ggml.padding_token_id", "0"},
      {"tokenizer.ggml.add_bos_token", "false"},
      {"general.quantization_version", "2"}};
  for (auto [key, value] : facts) {
    INFO(key);
    REQUIRE(header->values.find(key));
    CHECK(header->values.find(key)->str() == value);
  }
  CHECK(header->values.find("tokenizer.ggml.merges")->strings()[2] == "Ġth e");
  for (const GgufTensor &tensor : header->tensors)
    CHECK(tensor.type == (tensor.shape.size() == 1 ? DType::F32 : DType::F16));
}

TEST_CASE("tokenizers that GGUF does not have are refused by what they are", "[gguf]") {
  const std::string bytes = R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})";
  auto json = [&](const std::string &pre, const std::string &model, const std::string &more = "") {
    return "{\"pre_tokenizer\":" + pre + ",\"model\":{\"type\":\"BPE\"," + model + "}" + more + "}";
  };
  const std::string vocabulary = R"("vocab":{"a":0,"b":1,"ab":2},"merges":["a b"])";
  struct Row {
    std::string json, config;
    std::vector<const char *> says;
  };
  const Row rows[] = {
      {json(
           R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"x+"},"behavior":"Isolated","invert":false},)" +
               bytes + "]}",
           vocabulary),
       "",
       {"none that GGUF has a name for", "\"Regex\":\"x+\"", "normalizer none, ignore_merges false", "gguf_pretokenizers.yaml"}},
      {json(bytes, vocabulary, R"(,"normalizer":{"type":"Lowercase"})"), "", {"normalizer Lowercase"}},
      {json(bytes, vocabulary + ",\"ignore_merges\":true"), "", {"ignore_merges true"}},
      {json(bytes, vocabulary + R"(,"end_of_word_suffix":"</w>")"), "", {"model.end_of_word_suffix: is '</w>'"}},
      {json(bytes, R"("vocab":{"a":0,"b":0},"merges":[])"), "", {"'b' and 'a' have the id 0"}},
      {json(bytes, R"("vocab":{"a":-1},"merges":[])"), "", {"'a' has no id"}},
      {json(bytes, R"("vocab":{"a":4000000},"merges":[])"), "", {"ids up to 4000000 for 1 tokens"}},
      {json(bytes, R"("vocab":{"a":0,"b":9},"merges":[])"), "", {"has ids up to 9, but the embedding has 8 rows"}},
      {json(bytes, R"("vocab":{"a":0},"merges":["a"])"), "", {"an entry that is no pair: \"a\""}},
      {json(bytes, R"("vocab":{"a":0},"merges":[["a","b c"]])"), "", {"a space inside of a token"}},
      {json(bytes, R"("vocab":[1],"merges":[])"), "", {"has no vocab"}},
      {json(bytes, vocabulary, R"(,"added_tokens":[{"id":3,"content":"a"}])"), "", {"the token 'a' has the ids 0 and 3"}},
      {json(bytes, vocabulary, R"(,"added_tokens":[{"id":99999999,"content":"z"}])"), "", {"'z' has the id 99999999"}},
      {json(bytes, vocabulary, R"(,"added_tokens":[{"content":"z"}])"), "", {"an entry that is not {id, content}"}},
      {json(bytes, vocabulary), R"({"bos_token":"<s>"})", {"bos_token: is '<s>', which the vocabulary does not have"}},
      {json(bytes, vocabulary), R"({"added_tokens_decoder":{"x":{"content":"z"}}})", {"added_tokens_decoder.x"}},
      {json(bytes, vocabulary), R"({"chat_template":[{"name":"a"}]})", {"an entry that is not {name, template}"}},
      {json(bytes, vocabulary), "[]", {"tokenizer_config.json: is a list, not a mapping"}},
      {json("null", vocabulary), "", {"neither byte-level nor made of a SentencePiece model"}},
      {json(R"({"type":"Whitespace"})", vocabulary + ",\"byte_fallback\":true"), "", {"prepares text in a way", "Whitespace"}},
      {json("null", R"("vocab":{"a":0,"b":1,"ab":2,"aab":3,"aa":4},"merges":["a b","aa b"],"byte_fallback":true)"),
       "",
       {"not those of a SentencePiece model", "make a token and are no merge"}},
      {R"({"pre_tokenizer":null,"model":{"type":"WordPiece","vocab":{}}})", "", {"is a WordPiece tokenizer"}},
  };
  for (const Row &row : rows) {
    Diagnostics diags;
    CHECK(writtenTokenizer(row.json, row.config, diags).empty());
    INFO(row.json << "\n" << problems(diags));
    for (const char *part : row.says)
      CHECK(StringRef(problems(diags)).contains(part));
  }
  // And one that it has; ids without a token become unused ones.
  Diagnostics diags;
  CHECK(StringRef(writtenTokenizer(json(bytes, vocabulary), "", diags)).contains("[PAD7]"));
  INFO(problems(diags));
  CHECK_FALSE(diags.hasErrors());
}

TEST_CASE("SentencePiece models: cut short, or of a kind that GGUF does not have", "[gguf]") {
  auto varint = [](uint64_t v) {
    std::string out;
    for (; v >= 128; v >>= 7)
      out += static_cast<char>(v | 128);
    return out + static_cast<char>(v);
  };
  auto bytes = [&](unsigned field, const std::string &v) { return varint(field << 3 | 2) + varint(v.size()) + v; };
  auto number = [&](unsigned field, uint64_t v) { return varint(field << 3) + varint(v); };
  std::string piece = bytes(1, bytes(1, "a")), bpe = number(3, 2), plain = number(4, 0);
  struct Row {
    std::string model;
    const char *says; // empty: it is written
  };
  const Row rows[] = {
      {piece + bytes(2, bpe) + bytes(3, plain), ""},
      {"", "is no SentencePiece model"},
      {"\x0a\x7f", "is no SentencePiece model"},
      {std::string("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11), "is no SentencePiece model"},
      {bytes(1, bytes(1, "a") + number(3, 9)), "is no SentencePiece model"},
      {piece + bytes(2, bpe), "normalises text"},
      {piece + bytes(2, bpe) + bytes(3, plain + bytes(1, "nmt_nfkc") + bytes(2, "map")), "normalises text ('nmt_nfkc')"},
      {piece + bytes(2, number(3, 3)), "a model of words or characters"},
      {piece + bytes(2, number(3, 1) + number(35, 1)), "a unigram model with bytes"},
      {piece + bytes(2, bpe + number(24, 1)) + bytes(3, plain), "treats spaces"},
      {piece + bytes(2, number(3, 1)), ""},
  };
  for (const Row &row : rows) {
    TempFolder folder;
    writeFile(folder / "tokenizer.model", row.model);
    Diagnostics diags;
    bool fine = succeeded(writeGgufVocabulary(folder.path, 8, folder / "v.gguf", diags));
    INFO(problems(diags));
    CHECK(fine == !*row.says);
    CHECK(StringRef(problems(diags)).contains(row.says));
  }
}
