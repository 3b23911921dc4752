#include "importers/huggingface/GraphBuilder.h"
#include "recipes/RecipeSet.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <map>

using namespace flagrelease;

namespace {

const ParamSchema kNormParams[] = {{"weight", ParamType::Tensor, true}, {"eps", ParamType::Number, true}};
const StringRef kActs[] = {"silu", "gelu"};
const ParamSchema kBias[] = {{"q", ParamType::Bool}, {"o", ParamType::Bool}};
const ParamSchema kRope[] = {{"theta", ParamType::Number, true}};
const ParamSchema kRopeLater[] = {{"theta", ParamType::Number, true}, {"when", ParamType::Bool}};
const ParamSchema kItem[] = {{"item", ParamType::Int}};
const ParamSchema kMixParams[] = {
    {"weight", ParamType::Tensor, true},
    {"act", ParamType::Enum, false, kActs},
    {"bias", ParamType::Bool, false, {}, kBias},
    {"rope", ParamType::Mapping, false, {}, kRope},
    {"heads", ParamType::Int},
    {"exact", ParamType::Flag},
    {"sizes", ParamType::List, false, {}, kItem},
    {"memory", ParamType::Value},
    {"keep", ParamType::Bind},
    {"mode", ParamType::String},
};
const ParamSchema kMixLater[] = {
    {"weight", ParamType::Tensor, true}, {"scale", ParamType::Number}, {"rope", ParamType::Mapping, false, {}, kRopeLater}};
const StepSchema kSteps[] = {{"norm", kNormParams}, {"mix", kMixParams}, {"head", kNormParams}};
const StepSchema kLater[] = {{"mix", kMixLater}, {"mamba", kNormParams}};
const StepGrammar kGrammar = {kSteps, kLater};

using Files = std::map<std::string, std::string>;

/// Reads recipe "r" of `files`.
FailureOr<ModelRecipe> read(const Files &files, Diagnostics &diags) {
  auto root = yaml::parse(files.at("r"), "r.yaml", diags);
  if (failed(root))
    return failure();
  return readModelRecipe(
      "r", *root, kGrammar,
      [&](StringRef name, const Place &from, Diagnostics &d) -> FailureOr<yaml::Node> {
        auto found = files.find(name.str());
        if (found == files.end())
          return d.error(from.str(), "no model recipe '" + name + "'");
        return yaml::parse(found->second, name.str() + ".yaml", d);
      },
      diags);
}

std::vector<std::string> problems(const Files &files) {
  Diagnostics diags;
  CHECK(failed(read(files, diags)));
  std::vector<std::string> out;
  for (const Problem &problem : diags.errors())
    out.push_back(problem.where + ": " + problem.what);
  return out;
}

ModelRecipe good(const Files &files) {
  Diagnostics diags;
  auto recipe = read(files, diags);
  for (const Problem &problem : diags.errors())
    UNSCOPED_INFO(problem.where << ": " << problem.what);
  REQUIRE(succeeded(recipe));
  return *recipe;
}

const std::string kHead = "recipe: 1\nmatch: [{architectures: [A]}]\n";
/// A recipe with one list of steps, from line 4 on.
std::string graph(const std::string &steps) { return kHead + "graph:\n" + steps; }

} // namespace

TEST_CASE("model recipe: mistakes, with line and column", "[recipes]") {
  struct Row {
    std::string text;
    std::vector<std::string> problems;
  };
  const Row rows[] = {
      {"- a", {"r.yaml:1:1: a recipe is a mapping, found a sequence"}},
      {"match: []", {"r.yaml:1:1: a recipe starts with `recipe: 1`"}},
      {"recipe: 2\n", {"r.yaml:1:9: grammar version '2'; this program reads 1"}},
      {"recipe: 1\ngraph: []\nmatch: []\n", {"r.yaml:3:1: `match` stands behind other sections"}},
      {"recipe: 1\n", {"r.yaml:1:1: the recipe lacks `match:`", "r.yaml:1:1: the recipe lacks `graph:`"}},
      {kHead + "graph: []\ngrpah: []\n", {"r.yaml:4:1: unknown section 'grpah', nearest known: graph"}},
      {kHead + "graph: {a: 1}\n", {"r.yaml:3:8: expected a list of steps, found a mapping"}},
      {graph("  - norm\n"), {"r.yaml:4:5: a step is a mapping with one kind, found a scalar"}},
      {graph("  - {}\n"), {"r.yaml:4:5: a step without a kind"}},
      {graph("  - norm: {weight: w, eps: 1}\n    head: {}\n"), {"r.yaml:5:5: a step has one kind, found 'norm' and 'head'"}},
      {graph("  - norn: {}\n"), {"r.yaml:4:5: unknown kind of step 'norn', nearest known: norm"}},
      {graph("  - norm: {weight: w, eps: 1, wieght: 2}\n"),
       {"r.yaml:4:31: 'norm' has no parameter 'wieght', nearest known: weight"}},
      {graph("  - norm: {weight: w}\n  - head: {}\n"),
       {"r.yaml:4:5: 'norm' lacks 'eps'", "r.yaml:5:5: 'head' lacks 'weight'", "r.yaml:5:5: 'head' lacks 'eps'"}},
      {graph("  - norm: 3\n"),
       {"r.yaml:4:11: the parameters of a step are a mapping, found a scalar", "r.yaml:4:5: 'norm' lacks 'weight'",
        "r.yaml:4:5: 'norm' lacks 'eps'"}},
      {graph("  - norm: {weight: w, eps: 1 +}\n"), {"r.yaml:4:31: in expression: expected a value, found the end"}},
      {graph("  - norm: {weight: \"w.{i\", eps: 1}\n"), {"r.yaml:4:23: '{' is not closed in a name"}},
      {graph("  - mix: {weight: w, act: sliu}\n"), {"r.yaml:4:27: 'act' is one of silu, gelu; got 'sliu', nearest known: silu"}},
      {graph("  - mix: {weight: w, act: =1 +}\n"), {"r.yaml:4:31: in expression: expected a value, found the end"}},
      {graph("  - mix: {weight: w, exact: 1}\n"), {"r.yaml:4:29: 'exact' is true or false"}},
      {graph("  - mix: {weight: w, exact: yes}\n"), {"r.yaml:4:29: 'yes' is a boolean in YAML 1.1 and text in YAML 1.2"}},
      {graph("  - mix: {weight: w, rope: theta}\n"), {"r.yaml:4:28: 'rope' is a mapping, found a scalar"}},
      {graph("  - mix: {weight: w, rope: {}}\n"), {"r.yaml:4:28: 'rope' lacks 'theta'"}},
      {graph("  - mix: {weight: w, rope: {theta: 1, tehta: 2}}\n"),
       {"r.yaml:4:39: 'rope' has no key 'tehta', nearest known: theta"}},
      {graph("  - mix: {weight: w, bias: {x: true}}\n"), {"r.yaml:4:29: 'bias' has no key 'x'"}},
      {graph("  - mix: {weight: null}\n"), {"r.yaml:4:19: expected a name, found null"}},
      {graph("  - norm: {id: a b, weight: w, eps: 1}\n"),
       {"r.yaml:4:16: an id is a word of letters, digits, '_' and '-', and not 'stream'"}},
      {graph("  - norm: {id: a, weight: w, eps: 1}\n  - head: {id: a, weight: w, eps: 1}\n"),
       {"r.yaml:5:5: a second step with id 'a' in this list"}},
      {graph("  - norm: {weight: w, eps: 1}\n    do: []\n"), {"r.yaml:5:5: 'norm' takes no `do:`"}},
      {graph("  - residual: {}\n"), {"r.yaml:4:5: 'residual' lacks its steps"}},
      {graph("  - repeat: {index: i}\n    do: []\n"), {"r.yaml:4:5: 'repeat' takes one of `times` and `over`"}},
      {graph("  - repeat: {times: 2, index: a-b}\n    do: []\n"), {"r.yaml:4:31: an index is a name of letters, digits and '_'"}},
      {graph("  - parallel: {join: add, branches: [[]]}\n"),
       {"r.yaml:4:5: 'parallel' lacks `branches`: two lists of steps or more"}},
      {graph("  - parallel: {join: sum, branches: [[], []]}\n"),
       {"r.yaml:4:22: 'join' is one of add, mul, concat; got 'sum', nearest known: mul"}},
      {graph("  - choose: {by: x}\n"), {"r.yaml:4:5: 'choose' lacks `cases`"}},
      {graph("  - scope: {let: {a-b: 1}}\n    do: []\n"), {"r.yaml:4:19: 'a-b' cannot be a name in expressions"}},
      {graph("  - mix: {weight: w, memory: encodr}\n"), {"r.yaml:4:30: 'memory': no value 'encodr' here"}},
      {graph("  - mix: {in: [stream, nothing], weight: w}\n"), {"r.yaml:4:24: `in`: no value 'nothing' here"}},
      {graph("  - residual: {id: a}\n    do: [{norm: {id: inner, weight: w, eps: 1}}]\n  - mix: {in: inner, weight: w}\n"),
       {"r.yaml:6:15: `in`: no value 'inner' here"}},
      {graph("  - call: {graph: g}\n"), {"r.yaml:4:19: no graph 'g'"}},
      {graph("  - call: {graph: g}\n") + "graphs: {g: {in: [a, b], do: []}}\n",
       {"r.yaml:4:5: graph 'g' takes 2 values, `in` gives 1"}},
      {graph("  - call: {graph: g}\n") + "graphs: {g: {do: [{call: {graph: h}}]}, h: {do: [{call: {graph: g}}]}}\n",
       {"r.yaml:5:10: the graph 'g' calls itself"}},
      {graph("  - pop: {out: skip}\n"), {"r.yaml:4:5: nothing is pushed on the stack ''"}},
      {graph("  - norm: {weight: w, eps: 1}\n") + "hidden: [norn]\n",
       {"r.yaml:5:9: `hidden` names no step of the graph: 'norn'"}},
      {graph("  []\n") + "tasks: {lm: {do: []}}\n", {"r.yaml:5:9: the task 'lm' lacks `outputs:`"}},
      {graph("  []\n") + "tasks: {lm: {outputs: {logits: hed}}}\n", {"r.yaml:5:9: output 'logits': no value 'hed' here"}},
      {graph("  []\n") + "tasks: {lm: {macth: [], outputs: {logits: stream}}}\n",
       {"r.yaml:5:14: unknown key 'macth' of a task, nearest known: match"}},
      {graph("  []\n") + "rename: {\"(\": a}\n", {"r.yaml:5:10: not a regular expression: parentheses not balanced"}},
      {graph("  []\n") + "ignore: {\"*.x\": ~}\n", {"r.yaml:5:17: why '*.x'?"}},
      {graph("  []\n") + "split: [{from: a, rows: q k}]\n", {"r.yaml:5:9: a split needs from, rows and into"}},
      {graph("  []\n") + "defaults: {class: X, override: {a: {value: 1}}}\n",
       {"r.yaml:5:36: an override is {value: expression, reason: text}"}},
      {graph("  []\n") + "inputs: {x: {dtype: fp8, dims: [B]}}\n", {"r.yaml:5:21: 'fp8' is no type of an input"}},
      {graph("  []\n") + "inputs: {x: {dtype: bool, dims: [B], dim: 2}}\n",
       {"r.yaml:5:38: an input has dtype, dims, when, range and example, not 'dim'"}},
      {graph("  []\n") + "inputs: {x: {dtype: bool}}\n", {"r.yaml:5:10: the input lacks dtype or dims"}},
      {graph("  []\n") + "configs: [text_config]\n",
       {"r.yaml:5:10: `configs` is a mapping from members of config.json to {defaults, flat}"}},
      {graph("  []\n") + "configs: {text_config: TextConfig}\n",
       {"r.yaml:5:24: a member of config.json is {defaults: Class, flat: true}"}},
      {graph("  []\n") + "configs: {text_config: {defualts: TextConfig}}\n",
       {"r.yaml:5:25: a member of config.json has the keys defaults (a class name) and flat (true or false)"}},
      {graph("  []\n") + "configs: {text_config: {defaults: ~, flat: 1}}\n",
       {"r.yaml:5:25: a member of config.json has the keys defaults (a class name) and flat (true or false)",
        "r.yaml:5:38: a member of config.json has the keys defaults (a class name) and flat (true or false)"}},
      {graph("  []\n") + "sizes: {L: 2 *}\n", {"r.yaml:5:15: in expression: expected a value, found the end"}},
      {graph("  []\n") + "sizes: [2]\n", {"r.yaml:5:8: expected names with expressions, found a sequence"}},
      {graph("  - norm: {weight: w, eps: 1}\n") + "hidden: {a: [norm], b: [norn]}\n",
       {"r.yaml:5:9: `hidden` names no step of the graph: 'norn'"}},
      {graph("  []\n") + "graphs: {g: {do: [], ins: [a]}}\n", {"r.yaml:5:22: a graph has in, out, let, do, not 'ins'"}},
      {graph("  []\n") + "graphs: {g: {in: [a]}}\n", {"r.yaml:5:10: the graph 'g' lacks `do:`"}},
      {"recipe: 1\nlike: nothing\nmatch: [{architectures: [A]}]\n", {"r.yaml:2:7: no model recipe 'nothing'"}},
      {"recipe: 1\nlike: r\nmatch: [{architectures: [A]}]\n", {"r.yaml:2:7: `like` runs in a circle: r -> r"}},
      {graph("  - norm: {weight: w, eps: 1}\n") + "patch: {norn: {eps: 2}}\n",
       {"r.yaml:5:9: the path 'norn' matches no step at 'norn', nearest known: norm"}},
      {graph("  - norm: {weight: w, eps: 1}\n  - norm: {weight: v, eps: 1}\n") + "patch: {norm: {eps: 2}}\n",
       {"r.yaml:6:9: the path 'norm' matches 2 steps at 'norm'"}},
      {graph("  - norm: {weight: w, eps: 1}\n") + "patch: {norm/x: {eps: 2}}\n",
       {"r.yaml:5:9: the step 'norm' has no steps under 'x'"}},
      {graph("  - norm: {weight: w, eps: 1}\n") + "patch: {norm: {$remove: true}}\n",
       {"r.yaml:5:16: unknown patch action '$remove'"}},
      {graph("  - norm: {weight: w, eps: 1}\n") + "patch: {norm: {$delete: true, eps: 1}}\n",
       {"r.yaml:5:31: a patch that replaces or deletes a step cannot also change its keys"}},
      {graph("  - norm: {weight: w, eps: 1}\n") + "patch: {tasks.lm/head: {eps: 2}}\n",
       {"r.yaml:5:9: the recipe has no steps in 'tasks.lm'"}},
  };
  for (const Row &row : rows) {
    CAPTURE(row.text);
    CHECK(problems({{"r", row.text}}) == row.problems);
  }
}

TEST_CASE("model recipe: like runs in a circle, or too deep", "[recipes]") {
  auto like = [](const std::string &other) { return "recipe: 1\nlike: " + other + "\nmatch: [{architectures: [A]}]\n"; };
  CHECK(problems({{"r", like("a")}, {"a", like("b")}, {"b", like("a")}}) ==
        std::vector<std::string>{"b.yaml:2:7: `like` runs in a circle: r -> a -> b -> a"});
  Files three = {{"r", like("a")}, {"a", like("b")}, {"b", like("c")}, {"c", graph("  []\n")}};
  good(three);
  three["c"] = like("d");
  three["d"] = graph("  []\n");
  good(three);
  three["d"] = like("e");
  three["e"] = graph("  []\n");
  CHECK(problems(three) == std::vector<std::string>{"d.yaml:2:7: `like` chains more than 4 deep"});
}

TEST_CASE("model recipe: sections of a parent", "[recipes]") {
  Files files = {
      {"r", "recipe: 1\nlike: base\nmatch: [{architectures: [B]}]\nlet: {a: 10, gone: ~}\nignore: {\"*.y\": two}\nprefix: [m.]\n"
            "rename: {\"^x\": y}\ntasks: {lm: {outputs: {scores: stream}}}\n"},
      {"base",
       "recipe: 1\nmatch: [{architectures: [A]}]\nlet: {a: 1, b: 2, gone: 3}\nprefix: [\"\"]\ngraph: []\nignore: {\"*.x\": one}\n"
       "rename: {\"^a\": b, \"^x\": z}\ntasks: {lm: {match: {architectures: '*LM'}, outputs: {logits: stream}}}\n"}};
  ModelRecipe recipe = good(files);
  REQUIRE(recipe.match.size() == 1);
  CHECK(recipe.match[0].keys[0].second == std::vector<std::string>{"B"}); // never inherited
  REQUIRE(recipe.let.size() == 2);
  CHECK(recipe.let[0].value.text() == "10");
  CHECK(recipe.let[1].name == "b");
  CHECK(recipe.prefixes == std::vector<std::string>{"m."});
  CHECK(recipe.ignored.size() == 2);
  REQUIRE(recipe.renames.size() == 2);
  CHECK(recipe.renames[0].to == "y"); // the child's first
  CHECK(recipe.renames[1].pattern == "^a");
  REQUIRE(recipe.tasks.size() == 1);
  CHECK(recipe.tasks[0].match.size() == 1);
  CHECK(recipe.tasks[0].outputs.size() == 2);
}

TEST_CASE("model recipe: patches", "[recipes]") {
  std::string base =
      graph("  - norm: {weight: w, eps: 1}\n"
            "  - repeat: {id: layers, times: 2, index: i}\n"
            "    do:\n"
            "      - residual: {id: attn}\n"
            "        do:\n"
            "          - mix: {weight: x, bias: true, rope: {theta: 1}}\n"
            "      - parallel: {join: add, branches: [[{norm: {weight: a, eps: 1}}], [{norm: {weight: b, eps: 1}}]]}\n"
            "      - choose: {by: i, cases: {0: [{norm: {weight: c, eps: 1}}], else: []}}\n") +
      "tasks: {lm: {do: [{head: {weight: h, eps: 1}}], outputs: {logits: head}}}\n";
  Files files = {{"base", base},
                 {"r", "recipe: 1\nlike: base\nmatch: [{architectures: [B]}]\npatch:\n"
                       "  layers: {times: 3}\n"
                       "  layers/attn/mix: {bias: ~, rope: {theta: 2}, heads: 4}\n"
                       "  layers/parallel/1/norm: {weight: bb}\n"
                       "  layers/choose/0/norm: {$replace: [{head: {weight: n, eps: 5}}]}\n"
                       "  norm: {$before: [{head: {weight: first, eps: 1}}], $after: [{mamba: {weight: m, eps: 2}}]}\n"
                       "  tasks.lm/head: {eps: 7}\n"}};
  ModelRecipe recipe = good(files);
  REQUIRE(recipe.graph.size() == 4);
  CHECK(recipe.graph[0].kind == "head");
  CHECK(recipe.graph[1].kind == "norm");
  CHECK(recipe.graph[2].kind == "mamba");
  CHECK_FALSE(recipe.graph[2].built);
  const Step &layers = recipe.graph[3];
  CHECK(layers.find("times")->expr->text() == "3");
  const Step &mix = layers.body[0].body[0];
  CHECK_FALSE(mix.has("bias"));
  CHECK(mix.find("rope")->find("theta")->expr->text() == "2");
  CHECK(mix.find("heads")->place.file->find("r.yaml") != std::string::npos);
  CHECK(mix.find("weight")->place.str() == "base.yaml:9:27");
  CHECK(layers.body[1].branches[0][0].find("weight")->nameTemplate->text() == "a");
  CHECK(layers.body[1].branches[1][0].find("weight")->nameTemplate->text() == "bb");
  CHECK(layers.body[2].cases[0].body[0].kind == "head");
  CHECK(recipe.tasks[0].body[0].find("eps")->expr->text() == "7");
  REQUIRE(recipe.notBuilt.size() == 1);
  CHECK(recipe.notBuilt[0].what == "block 'mamba'");

  // What is printed is a recipe again, and the same one.
  ModelRecipe again = good({{"r", recipe.print()}});
  CHECK(again.print() == recipe.print());

  files["r"] = "recipe: 1\nlike: base\nmatch: [{architectures: [B]}]\npatch: {layers/attn: {$delete: true}}\n";
  CHECK(good(files).graph[1].body.size() == 2);
}

TEST_CASE("model recipe: what is not built is said, not refused", "[recipes]") {
  ModelRecipe recipe = good({{"r", graph("  - mix: {weight: w, scale: 2, rope: {theta: 1, when: true}}\n")}});
  REQUIRE(recipe.notBuilt.size() == 2);
  CHECK(recipe.notBuilt[0].what == "parameter 'mix.scale'");
  CHECK(recipe.notBuilt[0].place.str() == "r.yaml:4:22");
  CHECK(recipe.notBuilt[1].what == "parameter 'mix.rope.when'");
  CHECK_FALSE(recipe.graph[0].built);
}

TEST_CASE("model recipe: parameters evaluate by their type", "[recipes]") {
  ModelRecipe recipe = good({{"r", graph("  - mix: {weight: \"a.{n}\", act: =name, heads: n + 1, bias: {q: true, o: n > 9}, "
                                         "sizes: [n, 2], rope: {theta: none}, exact: true, mode: fast}\n"
                                         "  - mix: {id: second, weight: w, act: silu, heads: missing, bias: flag, sizes: list}\n"
                                         "  - mix: {id: third, weight: w, act: =odd, heads: n / 2, bias: n}\n")}});
  Scope scope;
  Diagnostics diags;
  scope.bind("n", json::Value(3));
  scope.bind("name", json::Value("gelu"));
  scope.bind("odd", json::Value("swish"));
  scope.bind("flag", json::Value(false));
  scope.bind("none", json::Value());
  scope.bind("list", json::Value(json::Array{json::Value(1)}));
  const Step &first = recipe.graph[0], &second = recipe.graph[1], &third = recipe.graph[2];
  CHECK(*first.find("weight")->evalText(scope, diags) == "a.3");
  CHECK(**first.getText("act", scope, diags) == "gelu");
  CHECK(**first.getInt("heads", scope, diags) == 4);
  CHECK(json::toText(*first.find("bias")->eval(scope, diags)) == "{\"q\":true,\"o\":false}");
  CHECK(json::toText(*first.find("sizes")->eval(scope, diags)) == "[3,2]");
  CHECK(json::toText(*first.find("rope")->eval(scope, diags)) == "{}"); // a key without a value is left out
  CHECK(*first.getBool("exact", false, scope, diags));
  CHECK(**first.getText("mode", scope, diags) == "fast");
  CHECK_FALSE((*second.getInt("heads", scope, diags)).has_value());
  CHECK(*second.getBool("bias", true, scope, diags) == false);
  CHECK(*second.getBool("exact", true, scope, diags) == true);
  CHECK(json::toText(*second.find("sizes")->eval(scope, diags)) == "[1]");
  REQUIRE_FALSE(diags.hasErrors());
  CHECK(failed(third.getText("act", scope, diags)));
  CHECK(diags.errors()[0].where == "r.yaml:6:39");
  CHECK(diags.errors()[0].what == "`odd` is 'swish', 'act' is one of silu, gelu");
  CHECK(failed(third.getInt("heads", scope, diags)));
  CHECK(diags.errors()[1].what == "`n / 2` must be an int, got double 1.5");
  CHECK(failed(third.getBool("bias", false, scope, diags)));
}

TEST_CASE("model recipe: which config keys it knows", "[recipes]") {
  ModelRecipe recipe = good(
      {{"r", kHead +
                 "let: {head_dim: \"head_dim ?? h // n\", used: head_dim}\n"
                 "graph:\n"
                 "  - repeat: {times: layers, index: i, at: \"l.{i}\", let: {local: window * i}}\n"
                 "    do:\n"
                 "      - mix: {weight: \"w.{kind[i]}\", act: =act, heads: local, rope: {theta: rope.theta}, when: used > 1}\n"
                 "  - call: {graph: g, with: {arg: outer}}\n"
                 "graphs: {g: {do: [{norm: {weight: \"w.{arg}\", eps: eps}}]}}\n"
                 "tasks: {t: {options: {good: {default: good_id}}, do: [{norm: {weight: a, eps: good + i}}], outputs: {o: "
                 "norm}}}\n"}});
  CHECK(recipe.configKeys() == std::set<std::string>{"act", "eps", "good_id", "h", "head_dim", "i", "kind", "layers", "n",
                                                     "outer", "rope.theta", "window"});
}

TEST_CASE("match: keys, lists, dotted paths and globs", "[recipes]") {
  Diagnostics diags;
  auto config = json::parse(
      R"({"architectures": ["AForCausalLM"], "model_type": "a", "n": 3, "flag": true, "text_config": {"model_type": "b"}})", "c",
      diags);
  auto entry = [](StringRef key, std::vector<std::string> values) {
    return MatchEntry{{{key.str(), std::move(values)}}, Place()};
  };
  const json::Object &object = config->object();
  CHECK(matches(entry("architectures", {"X", "AForCausalLM"}), object));
  CHECK_FALSE(matches(entry("architectures", {"A*"}), object));
  CHECK(matches(entry("architectures", {"*ForCausalLM"}), object, /*globs=*/true));
  CHECK(matches(entry("n", {"3"}), object));
  CHECK(matches(entry("flag", {"true"}), object));
  CHECK(matches(entry("text_config.model_type", {"b"}), object));
  CHECK_FALSE(matches(entry("text_config.model_type", {"c"}), object));
  CHECK_FALSE(matches(entry("missing", {"a"}), object));
}

namespace {
struct TempFolder {
  std::filesystem::path path = std::filesystem::path(FLAGRELEASE_BINARY_DIR) / "recipes_model_test";
  TempFolder() {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path / "a" / "models");
    std::filesystem::create_directories(path / "b" / "models");
  }
  ~TempFolder() { std::filesystem::remove_all(path); }
  void write(const std::string &name, const std::string &text) { std::ofstream(path / name) << text; }
};
} // namespace

TEST_CASE("recipe set: the user's folder wins, ties are refused, unknown names get the nearest", "[recipes]") {
  TempFolder folder;
  auto recipe = [](const std::string &match) { return "# Title\nrecipe: 1\nmatch: " + match + "\ngraph: []\n"; };
  folder.write("a/models/one.yaml", recipe("[{architectures: [OneForCausalLM]}]"));
  folder.write("a/models/two.yaml", recipe("[{architectures: [TwoForCausalLM]}, {model_type: two, kind: special}]"));
  folder.write("a/models/twin.yaml", recipe("[{architectures: [TwoForCausalLM], twin: true}]"));
  folder.write("a/models/bad.yaml", "recipe: 1\nmatch: [\n");
  folder.write("a/models/_inert.yaml", "recipe: 1\ng: {reason: r, keys: [x, \"y_*\"]}\n");
  folder.write("a/models/_defaults.json",
               R"({"C": {"defaults": {"a": 1}, "attribute_map": {"hidden_size": "n_embd"}, "default_theta": 5e5}})");
  folder.write("b/models/one.yaml", recipe("[{architectures: [OneForCausalLM]}]"));
  Diagnostics diags;
  auto set = RecipeSet::load((folder.path / "a").string(), (folder.path / "b").string(), kGrammar, diags);
  REQUIRE(succeeded(set));
  CHECK(set->problems().errors().size() == 1);
  CHECK(set->heads().size() == 4);
  CHECK_FALSE(set->find("one")->shipped);
  CHECK(set->architectures() == std::vector<std::string>{"OneForCausalLM", "TwoForCausalLM"});

  auto ask = [&](StringRef text) { return set->match(json::parse(text, "c", diags)->object(), "config.json", diags); };
  CHECK((*ask(R"({"architectures": ["TwoForCausalLM"]})"))->name == "two");
  CHECK((*ask(R"({"architectures": ["TwoForCausalLM"], "twin": true})"))->name == "twin"); // more keys
  CHECK((*ask(R"({"model_type": "two", "kind": "special"})"))->name == "two");
  REQUIRE_FALSE(diags.hasErrors());
  CHECK(failed(ask(R"({"architectures": ["OneForCausalLm"]})")));
  CHECK(diags.errors()[0].where == "config.json: architectures");
  CHECK(diags.errors()[0].what == "unknown architecture 'OneForCausalLm', nearest known: OneForCausalLM, TwoForCausalLM");
  CHECK(failed(ask(R"({"model_type": "x"})")));
  CHECK(diags.errors()[1].what == "names no architecture (model_type 'x'), and no recipe fits its other keys");
  CHECK(failed(ask(R"({"architectures": ["TwoForCausalLM"], "twin": true, "model_type": "two", "kind": "special"})")));
  CHECK(diags.errors()[2].what.find("two recipes fit equally") == 0);
  diags.clear();

  CHECK(set->read("one", diags)->title == "Title");
  CHECK(failed(set->read("oen", diags)));
  CHECK(diags.errors()[0].what == "no model recipe 'oen', nearest known: one");
  CHECK(failed(set->read("bad", diags)));
  diags.clear();

  auto inert = set->inert(diags);
  CHECK((*inert)->reason("x") == "r");
  CHECK((*inert)->reason("y_z") == "r");
  CHECK((*inert)->reason("z").empty());
  auto defaults = set->defaultsOf("C", Place(), diags);
  CHECK((*defaults)->values.find("a")->integer() == 1);
  CHECK((*defaults)->defaultTheta == 5e5);
  CHECK((*defaults)->attributeMap[0].second == "n_embd");
  CHECK(failed(set->defaultsOf("D", Place(), diags)));
}

TEST_CASE("recipe set: the shipped recipes read, flatten and type-check", "[recipes]") {
  Diagnostics diags;
  auto set = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  REQUIRE(succeeded(set));
  for (const Problem &problem : set->problems().errors())
    FAIL_CHECK(problem.where << ": " << problem.what);
  for (const RecipeHead &head : set->heads()) {
    CAPTURE(head.name);
    Diagnostics mine;
    auto recipe = set->read(head.name, mine);
    for (const Problem &problem : mine.errors())
      FAIL_CHECK(problem.where << ": " << problem.what);
    REQUIRE(succeeded(recipe));
    CHECK_FALSE(recipe->title.empty());
    CHECK_FALSE(recipe->tasks.empty());
    if (!recipe->defaultsClass.empty())
      CHECK(succeeded(set->defaultsOf(recipe->defaultsClass, Place(), diags)));
  }
  CHECK(succeeded(set->inert(diags)));
}

TEST_CASE("recipe set: qwen3 over llama", "[recipes]") {
  Diagnostics diags;
  auto set = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  auto recipe = set->read("qwen3", diags);
  REQUIRE(succeeded(recipe));
  CHECK(recipe->files.size() == 2);
  const Step *layers = &recipe->graph[1];
  REQUIRE(layers->id == "layers");
  const Step &attention = layers->body[0].body[1];
  REQUIRE(attention.kind == "attention");
  CHECK(attention.find("qk_norm")->find("q")->nameTemplate->text() == "self_attn.q_norm");
  CHECK(attention.find("q")->nameTemplate->text() == "self_attn.q_proj"); // inherited
  CHECK_FALSE(attention.find("rope")->find("interleaved"));               // deleted
  CHECK(recipe->findTask("rerank"));
  CHECK(recipe->findTask("causal_lm")->match[0].keys[0].second[0] == "*ForCausalLM");

  // Windows: layer_types decides; else the upper layers, when windows are on.
  auto window = [&](StringRef config, int64_t i) {
    Scope values;
    values.bindAll(json::parse(config, "c", diags)->object());
    Scope loop(&values);
    loop.bind("i", json::Value(i));
    loop.bindLets(layers->let);
    auto value = attention.getInt("window", loop, diags);
    REQUIRE(succeeded(value));
    return value->value_or(0);
  };
  StringRef off = R"({"use_sliding_window": false, "sliding_window": 8, "max_window_layers": 1, "layer_types": null})";
  StringRef on = R"({"use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1})";
  StringRef list =
      R"({"use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1, "layer_types": ["sliding_attention", "full_attention"]})";
  CHECK(window(off, 5) == 0);
  CHECK(window(on, 0) == 0);
  CHECK(window(on, 1) == 8);
  CHECK(window(list, 0) == 8);
  CHECK(window(list, 1) == 0);
}
