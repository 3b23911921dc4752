// Steps of recipes and what becomes of them: small recipes over one tiny checkpoint, their mistakes and what some of them build.
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Import.h"
#include "tests/support/TempFolder.h"
#include "weights/Safetensors.h"

#include "llvm/Support/raw_ostream.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

// x [B, S, 8] and n [B, S] come in; steps begin in line 7.
const std::string kHead = "recipe: 1\n"
                          "match: [{architectures: [X]}]\n"
                          "inputs:\n"
                          "  x: {dtype: float32, dims: [B, S, 8]}\n"
                          "  n: {dtype: int64, dims: [B, S]}\n"
                          "graph:\n";
const std::string kTasks = "tasks: {lm: {match: {architectures: X}, do: [], outputs: {y: stream}}}\n"
                           "ignore: {\"*\": \"tests use some\"}\n";
const std::string kConfig = R"({"architectures": ["X"]})";

struct Outcome {
  std::vector<std::string> problems; ///< "x.yaml:7:5: what", the folder left out
  std::string module;
  std::map<std::string, int64_t> sizes;
  std::vector<std::string> hidden;
  json::Object config;
};

/// Imports a folder with tensors w [4, 8], v [4, 8], s [8], c.weight [4, 3, 2] and e.{0,1}.{up,down} by the recipe x.
Outcome import(const std::string &recipe, const std::string &config = kConfig) {
  TempFolder folder;
  writeFile(folder / "models/x.yaml", recipe);
  writeFile(folder / "models/_inert.yaml", "recipe: 1\ng: {reason: r, keys: [transformers_version]}\n");
  writeFile(folder / "models/_defaults.json", R"({"TextConfig": {"defaults": {"width": 8, "depth": 2}}})");
  writeFile(folder / "source/config.json", config);
  NamedTensors tensors;
  auto add = [&](const std::string &name, std::vector<int64_t> shape) {
    tensors[name] = HostTensor(DType::F32, std::move(shape));
  };
  add("w", {4, 8}), add("v", {4, 8}), add("c.weight", {4, 3, 2}), add("s", {8});
  for (const char *e : {"0", "1"})
    add(std::string("e.") + e + ".up", {4, 8}), add(std::string("e.") + e + ".down", {8, 4});
  Diagnostics diags;
  REQUIRE(succeeded(writeSafetensors(folder / "source/model.safetensors", tensors, {{"format", "pt"}}, diags)));
  FailureOr<RecipeSet> recipes = RecipeSet::load(folder.path, "", importerGrammar(), diags);
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder / "source", diags);
  REQUIRE(succeeded(recipes));
  REQUIRE(succeeded(checkpoint));
  mlir::MLIRContext context;
  FailureOr<Imported> imported = importHuggingFace(*checkpoint, *recipes, {}, context, diags);
  Outcome out;
  for (const Problem &problem : diags.errors()) {
    std::string where = problem.where;
    if (size_t at = where.find(folder.path + "/models/"); at != std::string::npos)
      where.erase(at, folder.path.size() + 8);
    out.problems.push_back(where + ": " + problem.what);
  }
  CHECK(failed(imported) == !out.problems.empty());
  if (succeeded(imported)) {
    llvm::raw_string_ostream stream(out.module);
    imported->module->print(stream);
    out.sizes = imported->sizes;
    out.config = imported->config;
    for (const auto &[name, tap] : imported->hidden)
      out.hidden.push_back(name + "=" + tap);
  }
  return out;
}

std::string graph(const std::string &steps) { return kHead + steps + kTasks; }

} // namespace

TEST_CASE("steps: what does not fit is said with its place and its sizes", "[steps]") {
  struct Row {
    std::string steps;
    std::vector<std::string> problems;
  };
  const std::string first = "  - select: {in: x, axis: 1, index: 0, out: first}\n"; // [B, 8]
  const Row rows[] = {
      // shapes
      {"  - reshape: {in: x, like: nothing}\n", {"x.yaml:7:28: 'like': no value 'nothing' here"}},
      {"  - reshape: {in: x, dims: [0, 0, 3, -1]}\n", {"x.yaml:7:5: 8*B*S elements do not fill rows of 3"}},
      {"  - reshape: {in: x, dims: [0, 0, 4]}\n", {"x.yaml:7:5: [B, S, 8] cannot become [B, S, 4]"}},
      {"  - reshape: {in: x, dims: [-1, -1]}\n", {"x.yaml:7:5: size -1 at place 1 of `dims`"}},
      {"  - reshape: {in: x, dims: [0, 0, 0, 0]}\n", {"x.yaml:7:5: size 0 at place 3 of `dims`"}},
      {"  - reshape: {in: x}\n", {"x.yaml:7:5: 'reshape' lacks its sizes"}},
      {"  - reshape: {in: x, to: [B, \"S -\", 8]}\n", {"x.yaml:7:30: 'S -' is no size"}},
      {"  - reshape: {in: x, to: [B, T, 8]}\n", {"x.yaml:7:5: [B, S, 8] cannot become [B, T, 8]"}},
      {"  - expand: {in: x, to: [B, S, 16]}\n", {"expand: 'fr.broadcast' op cannot repeat a size 8 to 16"}},
      {"  - split: {in: x, axis: -1, sizes: [3, 4], out: [a, b]}\n", {"x.yaml:7:5: parts of 7 elements for a size 8"}},
      {"  - split: {in: x, axis: 1, sizes: [1, 2], out: [a, b]}\n", {"x.yaml:7:5: parts of 3 elements for a size S"}},
      {"  - split: {in: x, axis: -1, sizes: [9, -1], out: [a, b]}\n",
       {"split: slice [0, 9) of a size 8", "x.yaml:7:5: \'split\' does not fit its inputs [B, S, 8]"}},
      {"  - select: {in: x, axis: 3, index: 0}\n", {"x.yaml:7:27: axis 3 is outside a value of rank 3"}},
      {"  - select: {in: x, axis: -1, index: 8}\n",
       {"select: slice [8, 9) of a size 8", "x.yaml:7:5: \'select\' does not fit its inputs [B, S, 8]"}},
      {"  - slice: {in: x, axis: 1, step: 2}\n", {"x.yaml:7:5: a step of 2 along a size S"}},
      {"  - slice: {in: x, axis: 2, step: 0}\n", {"x.yaml:7:5: a step of 0 along a size 8"}},
      {"  - constant: {value: \"[1, 2, 3]\", shape: [2]}\n", {"x.yaml:7:23: 3 numbers for 2 places"}},
      {"  - constant: {value: \"'a'\"}\n", {"x.yaml:7:23: a constant holds numbers, not \"a\""}},
      {"  - constant: {value: 1, shape: [-1]}\n", {"x.yaml:7:5: 'shape' holds -1"}},
      {"  - param: {weight: w, shape: [8, 4]}\n", {"w: has shape [4, 8], config.json says [8, 4]"}},
      {"  - transpose: {in: x, order: [0, 1]}\n",
       {"transpose: permutation has 2 entries for rank 3", "x.yaml:7:5: \'transpose\' does not fit its inputs [B, S, 8]"}},
      {"  - concat: {in: [x, n], axis: 1}\n",
       {"concat: concat of different element types", "x.yaml:7:5: \'concat\' does not fit its inputs [B, S, 8], [B, S]"}},
      {"  - stack: {in: [x, n], axis: 1}\n",
       {"stack: concat of different element types", "x.yaml:7:5: \'stack\' does not fit its inputs [B, S, 8], [B, S]"}},
      {"  - gather: {in: x, axis: 1}\n", {"x.yaml:7:5: 'gather' takes 2 values, `in` gives 1"}},
      {"  - gather: {in: [x, n], axis: 0, batch_dims: 1}\n",
       {"gather: batch_dims 1 does not fit axis 0", "x.yaml:7:5: \'gather\' does not fit its inputs [B, S, 8], [B, S]"}},
      {"  - pad: {in: x, low: [1], high: [0, 0, 0]}\n",
       {"pad: a margin has one entry for each of 3 dimensions", "x.yaml:7:5: \'pad\' does not fit its inputs [B, S, 8]"}},
      // arithmetic
      {"  - matmul: {in: [x, x]}\n",
       {"matmul: inner sizes do not fit", "x.yaml:7:5: \'matmul\' does not fit its inputs [B, S, 8], [B, S, 8]"}},
      {"  - add: {in: [x, n]}\n",
       {"add: sizes 8 and S do not broadcast", "x.yaml:7:5: \'add\' does not fit its inputs [B, S, 8], [B, S]"}},
      {"  - top_k: {in: x, k: 9, out: [a, b]}\n",
       {"top_k: the 9 largest of 8", "x.yaml:7:5: \'top_k\' does not fit its inputs [B, S, 8]"}},
      {"  - reduce: {in: x, kind: sum, axes: [5]}\n", {"x.yaml:7:5: axis 5 is outside a value of rank 3"}},
      {"  - scale_by: {in: x, weight: w, axis: 1}\n", {"x.yaml:7:5: the features have no fixed size here: S"}},
      {"  - einsum: {in: [x, x], equation: \"bs,bsd->bsd\"}\n", {"x.yaml:7:5: 'bs' names 2 axes of 3"}},
      {"  - einsum: {in: [x, x], equation: \"bsd,bsk->bs\"}\n",
       {"x.yaml:7:5: axis 'd' is in one input only and not in the result"}},
      {"  - einsum: {in: [x, x], equation: \"bsd,bsd->bsz\"}\n", {"x.yaml:7:5: axis 'z' of the result is in no input"}},
      {"  - einsum: {in: [x, x], equation: \"bsd,bde->bse\"}\n", {"x.yaml:7:5: axis 'd' has sizes 8 and S"}},
      {"  - einsum: {in: [x, x], equation: \"bsd,bsd\"}\n", {"x.yaml:7:5: 'bsd,bsd' is no equation of two inputs and a result"}},
      {"  - einsum: {in: [x, x], equation: \"bsd,bsd->bsb\"}\n", {"x.yaml:7:5: 'bsb' names axis 'b' twice"}},
      {"  - einsum: {in: [n, n], equation: \"bb,bs->s\"}\n", {"x.yaml:7:5: 'bb' names axis 'b' twice"}},
      {"  - einsum: {in: x, equation: \"bsd,bsd->b\"}\n", {"x.yaml:7:5: 'einsum' takes 2 values, `in` gives 1"}},
      // over spatial axes
      {"  - conv2d: {in: x, weight: c}\n", {"x.yaml:7:5: takes [batch, channels] and 2 spatial axes, not rank 3"}},
      {"  - conv_transpose2d: {in: x, weight: c}\n", {"x.yaml:7:5: takes [batch, channels] and 2 spatial axes, not rank 3"}},
      {"  - batch_norm: {in: x, weight: c, eps: 1e-5}\n", {"x.yaml:7:5: the channels have no fixed size here: S"}},
      {"  - group_norm: {in: n, groups: 2, eps: 1e-5}\n", {"x.yaml:7:5: the channels have no fixed size here: S"}},
      {"  - pool2d: {in: x, kind: max, kernel: 2}\n",
       {"pool2d: attributes have one entry for each of 1 spatial dimensions",
        "x.yaml:7:5: 'pool2d' does not fit its inputs [B, S, 8]"}},
      {"  - conv1d: {in: x, weight: c, stride: \"[1, 2]\"}\n", {"x.yaml:7:5: 'stride' is an int or a list of 1 ints"}},
      {"  - transpose: {in: x, order: [0, 2, 1]}\n  - conv1d: {weight: c}\n",
       {"c.weight: has shape [4, 3, 2], config.json says [4, 8, 2] (channels 4, groups 1)"}},
      {"  - transpose: {in: x, order: [0, 2, 1]}\n  - conv1d: {weight: c, groups: 0}\n", {"x.yaml:8:5: 0 groups of channels"}},
      {"  - transpose: {in: x, order: [0, 2, 1]}\n  - conv_transpose1d: {weight: c, groups: -1}\n",
       {"x.yaml:8:5: -1 groups of channels"}},
      {"  - interpolate: {in: n, factor: 2, mode: linear}\n",
       {"x.yaml:7:5: takes [batch, channels] and spatial axes, not rank 2"}},
      {"  - transpose: {in: x, order: [0, 2, 1]}\n  - interpolate: {to: [4, 4], mode: linear}\n",
       {"x.yaml:8:5: 2 sizes for 1 spatial axes"}},
      {"  - transpose: {in: x, order: [0, 2, 1]}\n  - group_norm: {groups: 3, eps: 1e-5}\n",
       {"group_norm: 3 groups do not divide the channels", "x.yaml:8:5: \'group_norm\' does not fit its inputs [B, 8, S]"}},
      // heads and experts
      {"  - heads: {in: x, count: 3}\n", {"x.yaml:7:5: 3 heads do not fit 8 features"}},
      {"  - heads: {in: x, count: 2, dim: 3}\n", {"x.yaml:7:5: 2 heads do not fit 8 features"}},
      {"  - heads: {in: x, count: 2, out: q}\n  - slice: {in: n, axis: 1, to: 3, out: m}\n  - attend: {in: [q, q, q], cache: "
       "false, padding: m}\n",
       {"x.yaml:9:5: the padding mask has 3 columns for S keys"}},
      {"  - moe: {in: [x, n, x], experts: 2, width: 4, down: \"e.{e}.down\", act: silu}\n",
       {"x.yaml:7:5: 'moe' lacks `up` or `gate_up`"}},
      {"  - moe: {in: [x, n, x], experts: 2, width: 4, up: \"e.{e}.up\", down: \"e.{e}.down\", act: silu}\n",
       {"moe: indices and scores have one entry for each token and choice",
        "x.yaml:7:5: \'moe\' does not fit its inputs [B, S, 8], [B, S], [B, S, 8]"}},
      // states
      {"  - update_state: {in: x, name: h}\n", {"x.yaml:7:5: no step of this layer reads the state 'h'"}},
      {"  - state: {kind: recurrent, name: h, shape: [B, 8]}\n  - update_state: {in: x, name: h}\n",
       {"x.yaml:8:5: the state 'h' changes its type"}},
      {"  - state: {kind: kv, name: h, shape: [B, 8]}\n", {"x.yaml:7:19: 'kind' is one of conv, recurrent, window; got 'kv'"}},
      // scans
      {first +
           "  - scan: {name: s, axis: 1, over: {xi: x}, carry: {h: first}}\n    do: [{concat: {in: [h, h], axis: 1, out: h}}]\n",
       {"x.yaml:8:5: the state 'h' changes its shape from one step to the next"}},
      {"  - scan: {name: s, axis: 3, over: {xi: x}}\n    do: [{act: {in: xi, kind: neg}}]\n",
       {"x.yaml:7:5: the sequences of a scan have the same size along `axis`"}},
      {first + "  - scan: {name: s, axis: 1, over: {xi: x, f: first}}\n    do: [{add: {in: [xi, f]}}]\n",
       {"x.yaml:8:5: the sequences of a scan have the same size along `axis`"}},
      {first + "  - scan: {name: s, axis: 1, over: {}, carry: {h: first}}\n    do: [{add: {in: [h, h], out: h}}]\n",
       {"x.yaml:8:5: a scan without a sequence has no steps"}},
      {"  - scan: {name: s, axis: 1, over: {xi: x}}\n    do: [{constant: {value: 1}}]\n  - reshape: {in: x, dims: [3]}\n",
       {"x.yaml:7:5: what the body makes has no place for axis 1"}},
      {"  - scan: {name: s, axis: 1, over: {xi: z}}\n    do: [{act: {in: xi, kind: neg}}]\n",
       {"x.yaml:7:41: 'xi': no value 'z' here"}},
      {"  - scan: {name: s, axis: 1, over: {xi: x}}\n    do: [{matmul: {in: [xi, xi]}}]\n",
       {"matmul: inner sizes do not fit", "x.yaml:8:11: \'matmul\' does not fit its inputs [B, 8], [B, 8]"}},
  };
  for (const Row &row : rows) {
    CAPTURE(row.steps);
    CHECK(import(graph(row.steps)).problems == row.problems);
  }
}

TEST_CASE("steps: what they build", "[steps]") {
  struct Row {
    std::string steps;
    std::vector<std::string> parts; ///< of the module's text, in this order
  };
  const std::string first = "  - select: {in: x, axis: 1, index: 0, out: first}\n";
  const Row rows[] = {
      {"  - reshape: {in: x, dims: [0, 0, 2, -1]}\n", {"-> tensor<?x?x2x4xf32, #fr.dims<B, S, _, _>>"}},
      {"  - reshape: {in: x, dims: [-1, 8]}\n", {"-> tensor<?x8xf32, #fr.dims<B*S, _>>"}},
      {"  - slice: {in: x, axis: 1, from: -1}\n", {"fr.narrow", "start \"S + -1\" size \"1\""}},
      {"  - slice: {in: x, axis: 2, from: 1, to: -1, step: 2}\n", {"axis 2 start 1 size 6", "dense<[0, 2, 4]>", "fr.gather"}},
      {"  - roll: {in: x, axis: 1, by: 1}\n", {"start \"0\" size \"S + -1\"", "start \"S + -1\" size \"1\"", "fr.concat"}},
      {"  - einsum: {in: [x, x], equation: \"bsd,btd->bts\"}\n", {"fr.matmul", "-> tensor<?x?x?xf32, #fr.dims<B, S, S>>"}},
      {"  - param: {weight: nowhere, shape: [3], optional: true, out: p}\n  - identity: {in: x}\n", {"func.func @main"}},
      {first + "  - scan: {name: sums, axis: 1, over: {xi: x}, carry: {h: first}, out: [last, all]}\n    do: [{add: {in: [h, "
               "xi], out: h}}, "
               "{identity: {in: h}}]\n  - identity: {in: all}\n",
       {"fr.scan \"sums\" inits", "axis 1", "fr.add", "fr.scan.yield", "return"}},
      // A name of the body hides one outside for the body's length only.
      {first + "  - scan: {name: hides, axis: 1, over: {first: x}, out: all}\n    do: [{act: {in: first, kind: neg}}]\n  - "
               "identity: {in: first}\n",
       {"return", "tensor<?x8xf32, #fr.dims<B, _>>"}},
      // What a body reads of the checkpoint stands before the first step.
      {"  - scan: {name: reads, axis: 1, over: {xi: x}}\n    do: [{scale_by: {in: xi, weight: s}}]\n",
       {"fr.use @s", "fr.scan \"reads\"", "fr.mul"}},
      {"  - state: {kind: recurrent, name: h, shape: [B, 8], init: 2, out: h}\n" + first +
           "  - add: {in: [h, first]}\n  - update_state: {name: h}\n",
       {"fr.state @", "recurrent layer 0 part \"h\"", "init = 2.0", "fr.state.read", "fr.state.update"}},
  };
  for (const Row &row : rows) {
    CAPTURE(row.steps);
    Outcome outcome = import(graph(row.steps));
    CHECK(outcome.problems == std::vector<std::string>{});
    size_t at = 0;
    for (const std::string &part : row.parts) {
      INFO(part << " in\n" << outcome.module);
      size_t found = outcome.module.find(part, at);
      REQUIRE(found != std::string::npos);
      at = found + part.size();
    }
  }
}

TEST_CASE("members of config.json with classes of their own, sizes and lists of hidden values", "[steps]") {
  const std::string recipe = "recipe: 1\n"
                             "match: [{architectures: [X]}]\n"
                             "configs: {text_config: {defaults: TextConfig, flat: true}, vision_config: {defaults: TextConfig}}\n"
                             "sizes: {L: 2 * width, K: vision_config.depth}\n"
                             "inputs: {x: {dtype: float32, dims: [B, S, \"{width}\"]}}\n"
                             "graph:\n"
                             "  - identity: {in: x}\n"
                             "  - repeat: {id: layers, times: depth, index: i}\n"
                             "    do: [{add: {id: more, in: [stream, x]}}]\n"
                             "  - repeat: {id: patches, times: vision_config.depth, index: i}\n"
                             "    do: [{add: {id: also, in: [stream, x]}}]\n"
                             "hidden: {hidden: [layers], vision: [patches.out]}\n" +
                             kTasks;
  SECTION("the member speaks for the top, its class fills what is absent") {
    Outcome outcome = import(recipe, R"({"architectures": ["X"], "text_config": {"width": 4}, "vision_config": {"depth": 3}})");
    CHECK(outcome.problems == std::vector<std::string>{});
    CHECK(outcome.config.find("width")->integer() == 4);
    CHECK(outcome.config.find("depth")->integer() == 2);
    CHECK(outcome.config.find("vision_config")->find("width")->integer() == 8);
    CHECK(outcome.sizes == std::map<std::string, int64_t>{{"L", 8}, {"K", 3}});
    CHECK(outcome.hidden == std::vector<std::string>{"hidden.0=layers.0", "hidden.1=layers.1", "vision.0=patches.0.out",
                                                     "vision.1=patches.1.out", "vision.2=patches.2.out"});
  }
  SECTION("without the member the top of the file is that config") {
    Outcome outcome = import(recipe, R"({"architectures": ["X"], "width": 16, "vision_config": {}})");
    CHECK(outcome.problems == std::vector<std::string>{});
    CHECK(outcome.config.find("width")->integer() == 16);
    CHECK(outcome.config.find("depth")->integer() == 2);
    CHECK(outcome.sizes.at("L") == 32);
  }
  SECTION("mistakes") {
    using Problems = std::vector<std::string>;
    CHECK(import(recipe, R"({"architectures": ["X"], "text_config": [1]})").problems ==
          Problems{"config.json: text_config: is a list, not a mapping"});
    CHECK(import(recipe, R"({"architectures": ["X"], "text_config": {"width": 4, "wdith": 3}})").problems ==
          Problems{"config.json: text_config.wdith: recipe x does not know this key, and its value is not the default: 3"});
    std::string other = recipe;
    other.replace(other.find("defaults: TextConfig"), 20, "defaults: TxtConfig ");
    CHECK(import(other).problems == Problems{"x.yaml: _defaults.json has no class 'TxtConfig', nearest known: TextConfig"});
    other = recipe;
    other.replace(other.find("2 * width"), 9, "width / 3");
    CHECK(import(other).problems == Problems{"x.yaml:4:12: `width / 3` must be an int, got double 2.6666666666666665"});
  }
}
