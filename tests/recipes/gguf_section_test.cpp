#include "importers/huggingface/GraphBuilder.h"
#include "recipes/RecipeSet.h"

#include "text/Json.h"

#include <catch2/catch.hpp>

#include <cmath>

using namespace flagrelease;

namespace {

std::string textOf(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors())
    text += problem.where + ": " + problem.what + " | " + problem.remedy + "\n";
  return text;
}

/// The gguf section of a shipped recipe, with parents and patches.
GgufSection shipped(const char *name) {
  Diagnostics diags;
  FailureOr<RecipeSet> set = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  REQUIRE(succeeded(set));
  FailureOr<ModelRecipe> recipe = set->read(name, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(recipe));
  REQUIRE(recipe->gguf);
  return *recipe->gguf;
}

json::Object parse(const char *text) {
  Diagnostics diags;
  return json::parse(text, "config.json", diags)->object();
}

/// A model of the family: config and the lets of the recipe that the sections use.
struct Model {
  explicit Model(const char *config) : raw(parse(config)) {
    scope.bindAll(raw);
    if (!raw.contains("kv_heads"))
      scope.bind("kv_heads", *raw.find("num_key_value_heads"));
  }
  json::Object raw;
  Scope scope;
};

constexpr const char *kConfig = R"({"vocab_size": 128, "max_position_embeddings": 4096, "hidden_size": 64, "num_hidden_layers": 2,
  "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-5,
  "rope_theta": 500000.0, "hidden_act": "silu", "rope_scaling": )";

} // namespace

TEST_CASE("gguf section: mistakes, with line and column", "[recipes]") {
  struct Row {
    const char *yaml;
    std::vector<const char *> says;
  };
  const char *good = "arch: a\nlayers: n\n";
  const Row rows[] = {
      {"keys: {}\ntensors: {}\nlayers: n\n", {"lacks the key 'arch'"}},
      {"tensors: {a: {from: b}}\nkeys: {k: 3}\n", {"g.yaml:2:11: the key 'k' needs its type and value"}},
      {"tensors: {}\nkeys: {k: {u33: n}}\n", {"'u33' is no type"}},
      {"tensors: {}\nkeys: {k: {u32: n, f32: n}}\n", {"'f32' is no type, or a second one"}},
      {"tensors: {}\nkeys: {k: {when: n}}\n", {"the key 'k' has no value"}},
      {"tensors: {}\nkeys: {k: {u32: \"n +\"}}\n", {"g.yaml:2"}},
      {"tensors: {}\nkeys: {}\nevil: 1\n", {"unknown key 'evil'"}},
      {"tensors: {a: {from: b, evil: 1}}\nkeys: {}\n", {"unknown key 'evil'"}},
      {"tensors: {a.weight: {from: b}}\nkeys: {}\n", {"'a.weight' stands for .weight and .bias"}},
      {"tensors: {\"a.{i}\": {from: b}}\nkeys: {}\n", {"must both have {i}, or none"}},
      {"tensors: {a: {from: b, store: f16}}\nkeys: {}\n", {"`store` is f32"}},
      {"tensors: {a: {from: b, rows: \"h d\"}}\nkeys: {}\n", {"one to eight axes"}},
      {"tensors: {a: {from: b, rows: \"h (2 d -> h (d 2)\"}}\nkeys: {}\n", {"with closed parentheses"}},
      {"tensors: {a: {from: b, rows: \"h (2 d) -> h d\"}}\nkeys: {}\n", {"must have the same axes"}},
      {"tensors: {a: {from: b, rows: \"h (2 d) -> h (d d)\"}}\nkeys: {}\n", {"must have the same axes"}},
      {"tensors: {a: {from: b, rows: \"h*d -> d h\"}}\nkeys: {}\n", {"'*' has no meaning"}},
      {"tensors: {a: {from: b, rows: \"h (2 d) -> h (d 2)\"}}\nkeys: {}\n", {"more than one axis has no size"}},
      {"tensors: {}\nkeys: {}\nignore: {a: null}\n", {"'a' needs the reason why files do without it"}},
      {"tensors: {}\nkeys: {}\nmade: {m: {when: n}}\n", {"has `list` or `rope_factors`"}},
      {"tensors: {}\nkeys: {}\nmade: {m: {rope_factors: {dim: n}}}\n", {"rope_factors lacks the key 'theta'"}},
      {"tensors: {}\nkeys: {}\nrefuse: {when: n}\n", {"`refuse` is a list"}},
      {"tensors: {}\nkeys: {}\nreads: X\n", {"says `reads` and has no `config`"}},
      {"tensors: []\nkeys: {}\n", {"`tensors` is a mapping"}},
  };
  for (const Row &row : rows) {
    Diagnostics diags;
    std::string text = std::string(StringRef(row.yaml).starts_with("keys: {}\ntensors: {}\nlayers") ? "" : good) + row.yaml;
    // Lines count from the section's own first line.
    FailureOr<yaml::Node> node = yaml::parse(text.substr(text == row.yaml ? 0 : std::string(good).size()), "g.yaml", diags);
    REQUIRE(succeeded(node));
    if (text != row.yaml) {
      FailureOr<yaml::Node> head = yaml::parse(good, "head.yaml", diags);
      node->entries.insert(node->entries.begin(), head->entries.begin(), head->entries.end());
    }
    CHECK(failed(readGgufSection(*node, diags)));
    INFO(row.yaml << textOf(diags));
    for (const char *part : row.says)
      CHECK(StringRef(textOf(diags)).contains(part));
  }
}

TEST_CASE("gguf section: keys and tensors of a Llama", "[recipes]") {
  GgufSection section = shipped("llama");
  Model model((std::string(kConfig) + "null}").c_str());
  GgufModel gguf(section, model.scope);
  Diagnostics diags;
  CHECK(succeeded(gguf.check("causal_lm", diags)));
  CHECK(failed(gguf.check("classification", diags)));
  CHECK(StringRef(textOf(diags)).contains("the task classification has no GGUF form"));
  diags.clear();
  auto keys = gguf.keys(diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(keys));
  std::string text;
  for (const auto &[key, type, value] : *keys)
    text += key + "=" + json::toText(value) + "\n";
  // As convert_hf_to_gguf.py names and counts them.
  CHECK(text == "llama.vocab_size=128\nllama.context_length=4096\nllama.embedding_length=64\nllama.block_count=2\n"
                "llama.feed_forward_length=96\nllama.attention.head_count=4\nllama.attention.head_count_kv=2\n"
                "llama.attention.key_length=16\nllama.attention.value_length=16\n"
                "llama.attention.layer_norm_rms_epsilon=1e-05\nllama.rope.dimension_count=16\nllama.rope.freq_base=5e+05\n");
  auto tensors = gguf.tensors(diags);
  REQUIRE(succeeded(tensors));
  CHECK(tensors->size() == 2 * (3 + 2 * 9));
  CHECK((*tensors)[0].name == "token_embd.weight");
  CHECK((*tensors)[0].logical == "model.embed_tokens.weight");
  CHECK((*tensors)[2].name == "blk.0.attn_norm.weight");
  CHECK((*tensors)[2].rule->f32);
  CHECK((*tensors)[20 + 2].name == "blk.1.attn_q.weight");
  CHECK((*tensors)[20 + 2].logical == "model.layers.1.self_attn.q_proj.weight");
  CHECK(tensors->back().name == "output.bias");
  CHECK_FALSE(tensors->back().required);

  // numpy: reshape(4, 2, 8).swapaxes(1, 2) of arange(64)
  auto shuffle = gguf.shuffle(*(*tensors)[22].rule, 64, diags);
  REQUIRE(succeeded(shuffle));
  CHECK(shuffle->sizes == std::vector<int64_t>{4, 2, 8});
  CHECK(shuffle->permutation == std::vector<int64_t>{0, 2, 1});
  CHECK(shuffle->inverse().sizes == std::vector<int64_t>{4, 8, 2});
  CHECK(shuffle->inverse().permutation == std::vector<int64_t>{0, 2, 1});
  CHECK(failed(gguf.shuffle(*(*tensors)[22].rule, 63, diags)));
  CHECK(StringRef(textOf(diags)).contains("its 63 rows are no multiple of 8"));
  auto none = gguf.shuffle(*(*tensors)[0].rule, 63, diags);
  CHECK(none->identity());
}

TEST_CASE("gguf section: rope scaling", "[recipes]") {
  struct Row {
    const char *recipe, *scaling, *keys, *made, *refused;
  };
  const Row rows[] = {
      {"llama", R"({"rope_type": "linear", "factor": 2.0})", "type=\"linear\" factor=2.0 ", "", ""},
      {"llama", R"({"rope_type": "dynamic", "factor": 2.0})", nullptr, nullptr, "dynamic NTK"},
      {"llama", R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024})",
       "type=\"yarn\" factor=4.0 original_context_length=1024 ", "", ""},
      {"llama", R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024, "mscale": 1.0})", nullptr,
       nullptr, "attention factor"},
      {"llama", R"({"rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": 1024, "short_factor": [1, 2.5],
                    "long_factor": [3, 4]})",
       "attn_factor=1.0954451150103321 ", "rope_freqs.weight=1,2.5 ", ""},
      {"qwen2", R"({"rope_type": "llama3", "factor": 4.0})", nullptr, nullptr, "kind of rope scaling"},
      {"qwen3", R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024})",
       "type=\"yarn\" factor=4.0 original_context_length=1024 ", "", ""},
  };
  for (const Row &row : rows) {
    INFO(row.recipe << row.scaling);
    GgufSection section = shipped(row.recipe);
    Model model(
        (std::string(kConfig) + row.scaling +
         ", \"use_sliding_window\": false, \"sliding_window\": null, \"max_window_layers\": 2, \"attention_bias\": false}")
            .c_str());
    GgufModel gguf(section, model.scope);
    Diagnostics diags;
    bool fine = succeeded(gguf.check("causal_lm", diags));
    INFO(textOf(diags));
    CHECK(fine == !*row.refused);
    CHECK(StringRef(textOf(diags)).contains(row.refused));
    if (!fine)
      continue;
    auto keys = gguf.keys(diags);
    REQUIRE(succeeded(keys));
    std::string text;
    for (const auto &[key, type, value] : *keys)
      if (StringRef name = key; name.consume_front(section.arch + ".rope.scaling."))
        text += (name + "=" + json::toText(value) + " ").str();
    CHECK(text == row.keys);
    auto made = gguf.made(diags);
    REQUIRE(succeeded(made));
    text.clear();
    for (const GgufMade &one : *made) {
      text += one.name + "=";
      for (size_t i = 0; i < one.values.size(); ++i) {
        double value = one.values[i];
        text += (i ? "," : "") + json::toText(value == std::floor(value) ? json::Value(int64_t(value)) : json::Value(value));
      }
      text += " ";
    }
    CHECK(text == row.made);
  }
}

TEST_CASE("gguf section: Llama 3's factors are those of transformers", "[recipes]") {
  GgufSection section = shipped("llama");
  Model model((std::string(kConfig) + R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                         "original_max_position_embeddings": 8192}})")
                  .c_str());
  GgufModel gguf(section, model.scope);
  Diagnostics diags;
  auto made = gguf.made(diags);
  REQUIRE(succeeded(made));
  REQUIRE(made->size() == 1);
  CHECK(made->front().name == "rope_freqs.weight");
  // transformers 5.24, ROPE_INIT_FUNCTIONS["default"] / ROPE_INIT_FUNCTIONS["llama3"] of a head of 16, theta 500000.
  const double expected[] = {1, 1, 1, 1, 2.6945302486419678, 8, 8, 8};
  REQUIRE(made->front().values.size() == 8);
  for (size_t i = 0; i < 8; ++i)
    CHECK(made->front().values[i] == Approx(expected[i]).epsilon(1e-5));
}

TEST_CASE("gguf section: what is written is read back as the same config", "[recipes]") {
  for (const char *name : {"llama", "qwen2", "qwen3"}) {
    GgufSection section = shipped(name);
    Model model((std::string(kConfig) + R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024,
      "beta_fast": 16.0}, "use_sliding_window": false, "sliding_window": null, "max_window_layers": 2})")
                    .c_str());
    GgufModel gguf(section, model.scope);
    Diagnostics diags;
    auto keys = gguf.keys(diags);
    INFO(name << textOf(diags));
    REQUIRE(succeeded(keys));
    GgufFileFacts facts;
    facts.keys.set("general.architecture", section.arch);
    for (const auto &[key, type, value] : *keys)
      facts.keys.set(key, value);
    facts.shapes["token_embd.weight"] = {128, 64};
    FailureOr<json::Object> config = ggufConfig(section, facts, "m.gguf", diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(config));
    CHECK(json::toText(*config->find("architectures")) == "[\"" + section.reads + "\"]");
    for (const json::Member &member : model.raw)
      if (const json::Value *back = config->find(member.key); back && member.key != "hidden_act") {
        INFO(member.key);
        CHECK(*back == member.value);
      }
    CHECK(*config->find("tie_word_embeddings") == json::Value(true));
    // A key that nobody knows may change the numbers.
    facts.keys.set(section.arch + ".expert_count", json::Value(8));
    CHECK(failed(ggufConfig(section, facts, "m.gguf", diags)));
    CHECK(StringRef(textOf(diags)).contains("m.gguf: " + section.arch + ".expert_count: the recipe does not know this key"));
  }
}

TEST_CASE("gguf section: factors in a file become a longrope of one list", "[recipes]") {
  GgufSection section = shipped("llama");
  GgufFileFacts facts;
  facts.keys = parse(R"({"llama.context_length": 4096, "llama.embedding_length": 64, "llama.block_count": 2,
    "llama.feed_forward_length": 96, "llama.attention.head_count": 4, "llama.attention.layer_norm_rms_epsilon": 1e-5})");
  facts.shapes["token_embd.weight"] = {128, 64};
  facts.shapes["output.weight"] = {128, 64};
  facts.made["rope_freqs.weight"] = {1, 2, 8};
  Diagnostics diags;
  FailureOr<json::Object> config = ggufConfig(section, facts, "m.gguf", diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(config));
  CHECK(
      json::toText(*config->find("rope_scaling")) ==
      R"({"rope_type":"longrope","original_max_position_embeddings":4096,"short_factor":[1.0,2.0,8.0],"long_factor":[1.0,2.0,8.0],"attention_factor":1.0})");
  CHECK(*config->find("num_key_value_heads") == json::Value(4));
  CHECK(*config->find("head_dim") == json::Value(16));
  CHECK(*config->find("tie_word_embeddings") == json::Value(false));
}
