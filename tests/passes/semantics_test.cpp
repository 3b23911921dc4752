// What passes may and may not change, in numbers: a decoder of two layers run by the reference before and after.
#include "tests/passes/RunModule.h"

#include "passes/Mutate.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"

#include "mlir/Transforms/Passes.h"

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace flagrelease;
using namespace flagrelease::test;

std::string Module::decoder() {
  std::ifstream file(FLAGRELEASE_SOURCE_DIR "/tests/passes/Inputs/decoder.mlir");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

namespace {
// Two rows of 7 columns; the second has 2 of padding on the left.
constexpr int64_t kRows = 2, kColumns = 7, kPadding = 2, kVocabulary = 32;

NamedTensors inputs(int64_t first, int64_t count, int64_t maskColumns) {
  std::vector<int64_t> ids, positions, mask;
  for (int64_t row = 0; row < kRows; ++row) {
    int64_t padding = row ? kPadding : 0;
    for (int64_t c = first; c < first + count; ++c) {
      ids.push_back((7 * c + 11 * row + 3) % kVocabulary);
      positions.push_back(std::max<int64_t>(c - padding, 0));
    }
    for (int64_t c = 0; c < maskColumns; ++c)
      mask.push_back(c >= padding && c < first + count);
  }
  return {{"input_ids", HostTensor::ofInts({kRows, count}, ids)},
          {"position_ids", HostTensor::ofInts({kRows, count}, positions)},
          {"attention_mask", HostTensor::ofInts({kRows, maskColumns}, mask)}};
}

/// Columns [first, first + count) of the logits of real tokens.
double differenceOfLogits(const HostTensor &a, int64_t aFirst, const HostTensor &b, int64_t bFirst, int64_t count) {
  double worst = 0;
  int64_t width = a.shape[2];
  for (int64_t row = 0; row < kRows; ++row)
    for (int64_t c = 0; c < count; ++c)
      for (int64_t j = 0; j < width && (row == 0 || aFirst + c >= kPadding); ++j)
        worst = std::max(worst, std::fabs(a.at((row * a.shape[1] + aFirst + c) * width + j) -
                                          b.at((row * b.shape[1] + bFirst + c) * width + j)));
  return worst;
}

HostTensor wholeText() {
  Module module(Module::decoder());
  return Session(module.apply(createCacheNone())).run(inputs(0, kColumns, kColumns)).at("logits");
}
constexpr double kTolerance = 1e-12;
} // namespace

TEST_CASE("states, no cache, a growing and a static cache give the same numbers") {
  HostTensor whole = wholeText();
  const int64_t prefill = 5;

  SECTION("states") {
    Module module(Module::decoder());
    Session session(module);
    CHECK(differenceOfLogits(whole, 0, session.run(inputs(0, prefill, prefill)).at("logits"), 0, prefill) < kTolerance);
    for (int64_t c = prefill; c < kColumns; ++c)
      CHECK(differenceOfLogits(whole, c, session.run(inputs(c, 1, c + 1)).at("logits"), 0, 1) < kTolerance);
  }
  SECTION("growing cache") {
    Module module(Module::decoder());
    Session session(module.apply(createCacheDynamic()));
    NamedTensors call = inputs(0, prefill, prefill);
    for (int layer : {0, 1})
      for (const char *part : {"key", "value"})
        call["past_key_values." + std::to_string(layer) + "." + part] = HostTensor(DType::F32, {kRows, 2, 0, 4});
    NamedTensors out = session.run(call);
    CHECK(differenceOfLogits(whole, 0, out.at("logits"), 0, prefill) < kTolerance);
    for (int64_t c = prefill; c < kColumns; ++c) {
      call = inputs(c, 1, c + 1);
      for (int layer : {0, 1})
        for (const char *part : {"key", "value"}) {
          std::string name = std::to_string(layer) + "." + part;
          CHECK(out.at("present." + name).shape == std::vector<int64_t>{kRows, 2, c, 4});
          call["past_key_values." + name] = out.at("present." + name);
        }
      out = session.run(call);
      CHECK(differenceOfLogits(whole, c, out.at("logits"), 0, 1) < kTolerance);
    }
  }
  SECTION("static cache") {
    const int64_t columns = 9; // two stay empty
    Module module(Module::decoder());
    Session session(module.apply(createCacheStatic({columns})));
    auto at = [](int64_t first, int64_t count) {
      std::vector<int64_t> places;
      for (int64_t i = 0; i < count; ++i)
        places.push_back(first + i);
      return HostTensor::ofInts({count}, places);
    };
    NamedTensors call = inputs(0, prefill, columns), out;
    call["cache_position"] = at(0, prefill);
    for (int layer : {0, 1})
      for (const char *part : {"key", "value"}) // what an earlier text left behind must not matter
        call["past_key_values." + std::to_string(layer) + "." + part] = randomFloats({kRows, 2, columns, 4}, 5);
    out = session.run(call);
    CHECK(differenceOfLogits(whole, 0, out.at("logits"), 0, prefill) < kTolerance);
    for (int64_t c = prefill; c < kColumns; ++c) {
      call = inputs(c, 1, columns);
      call["cache_position"] = at(c, 1);
      for (int layer : {0, 1})
        for (const char *part : {"key", "value"}) {
          std::string name = std::to_string(layer) + "." + part;
          call["past_key_values." + name] = out.at("present." + name);
        }
      out = session.run(call);
      CHECK(differenceOfLogits(whole, c, out.at("logits"), 0, 1) < kTolerance);
    }
  }
}

TEST_CASE("passes that only rewrite keep every number") {
  HostTensor whole = wholeText();
  auto compare = [&](auto... passes) {
    Module module(Module::decoder());
    module.apply(createCacheNone(), std::move(passes)...);
    CHECK(differenceOfLogits(whole, 0, Session(module).run(inputs(0, kColumns, kColumns)).at("logits"), 0, kColumns) <
          kTolerance);
  };
  compare(createDropTaps());
  compare(createTapsToOutputs());
  compare(mlir::createCanonicalizerPass(), mlir::createCSEPass());
  compare(createStaticShapes({std::vector<std::string>{"B=2", "S=7"}}));
  compare(createDropUnusedParams());
  compare(createDecomposeComposites({{}, true}), mlir::createCSEPass());
}

TEST_CASE("the pipeline puts them in order") {
  Module module(Module::decoder());
  PipelineOptions options;
  options.cache = PipelineOptions::Cache::Static;
  options.cacheSize = 16;
  options.sizes = {{"B", 1}, {"S", 1}};
  options.taps = PipelineOptions::Taps::Drop;
  options.floats = DType::F16;
  options.dropUnusedParams = true;
  Diagnostics diags;
  REQUIRE(succeeded(runPipeline(*module.op, options, "", diags)));
  CHECK_FALSE(diags.hasErrors());
  std::map<std::string, int> count;
  module.op->walk([&](mlir::Operation *op) { ++count[op->getName().getStringRef().str()]; });
  CHECK(count["fr.tap"] == 0);
  CHECK(count["fr.state"] == 0);
  CHECK(count["fr.scatter"] == 4);
  CHECK(count["fr.rope_table"] == 1);
  CHECK(count["fr.param"] == 26);
  CHECK(count["fr.cast"] == 26);
  CHECK(count["fr.attention_mask"] == 2); // one with a window, one without
}

TEST_CASE("each step is written to the dump folder and can be read back") {
  namespace fs = std::filesystem;
  const fs::path dir = FLAGRELEASE_BINARY_DIR "/tests/passes/dump";
  fs::remove_all(dir);
  fs::create_directories(dir);
  Module module(Module::decoder());
  PipelineOptions options;
  options.cache = PipelineOptions::Cache::None;
  options.taps = PipelineOptions::Taps::Drop;
  Diagnostics diags;
  REQUIRE(succeeded(runPipeline(*module.op, options, dir.string(), diags)));
  std::vector<std::string> names;
  for (const fs::directory_entry &entry : fs::directory_iterator(dir))
    names.push_back(entry.path().filename().string());
  llvm::sort(names);
  CHECK(names ==
        std::vector<std::string>{"00-import.mlir", "01-fr-cache-none.mlir", "02-fr-drop-taps.mlir", "03-functions.mlir"});
  for (const std::string &name : names) {
    std::ifstream file(dir / name);
    std::stringstream text;
    text << file.rdbuf();
    Module again(text.str());
    CHECK(text.str().find("func.func @main") != std::string::npos);
  }
}

TEST_CASE("what a pass complains about becomes a problem with place and remedy") {
  Module module(R"(
    fr.state @a kv layer 0 part "key" axis 0 : tensor<?xf32, #fr.dims<P>>
    func.func @main(%x: tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<P + S>> {
      %0 = fr.state.append @a, %x : (tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<P + S>>
      %1 = fr.state.append @a, %x : (tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<P + S>>
      %2 = fr.add %0, %1 : (tensor<?xf32, #fr.dims<P + S>>, tensor<?xf32, #fr.dims<P + S>>) -> tensor<?xf32, #fr.dims<P + S>>
      return %2 : tensor<?xf32, #fr.dims<P + S>>
    })");
  PipelineOptions options;
  options.cache = PipelineOptions::Cache::Dynamic;
  Diagnostics diags;
  CHECK(failed(runPipeline(*module.op, options, "", diags)));
  REQUIRE(diags.errors().size() == 1);
  CHECK(diags.errors()[0].what == "'fr.state.append' op extends state 'a' a second time in one call");
  CHECK(diags.errors()[0].remedy == "first here");

  Module fine(Module::decoder());
  Diagnostics dump;
  CHECK(failed(runPipeline(*fine.op, options, "/nonexistent", dump)));
  REQUIRE(dump.errors().size() == 1);
  CHECK(dump.errors()[0].cause == Cause::Environment);
  CHECK(dump.errors()[0].where == "/nonexistent/00-import.mlir");
}

TEST_CASE("every mistake is seen where it says, and the tap of its layer is the first that differs") {
  // The decoder has no gelu; everything else applies to one of its layers.
  for (const Mutation &mutation : mutations()) {
    if (mutation.kind == "gelu")
      continue;
    CAPTURE(mutation.kind.str());
    const int64_t layer = 1; // the one with a window
    Module right(Module::decoder()), wrong(Module::decoder());
    REQUIRE(succeeded(mutate(*wrong.op, mutation.kind, layer)));
    right.apply(mlir::createCSEPass());
    wrong.apply(mlir::createCSEPass()); // copies for the layer stay apart

    // The first tap that differs in the last of some calls of one text.
    auto firstDifference = [&](const std::vector<NamedTensors> &calls) -> std::string {
      Session rightRun(right), wrongRun(wrong);
      NamedTensors a, b;
      for (const NamedTensors &call : calls) {
        a = rightRun.run(call, true);
        b = wrongRun.run(call, true);
      }
      for (const char *tap : {"model.layers.0", "model.layers.0.self_attn", "model.layers.0.mlp", "model.layers.1",
                              "model.layers.1.self_attn", "model.layers.1.mlp", "model.norm", "logits"})
        if (largestDifference(a.at(tap), b.at(tap)) > 1e-9)
          return tap;
      return "none";
    };
    auto unpadded = [](int64_t first, int64_t count) {
      NamedTensors call = inputs(first, count, first + count);
      call["attention_mask"] = HostTensor::ofInts({kRows, first + count}, std::vector<int64_t>(kRows * (first + count), 1));
      return call;
    };
    const std::string expected = mutation.kind == "gate-up" ? "model.layers.1.mlp" : "model.layers.1.self_attn";
    using Seen = Mutation::Seen;
    auto seenIn = [&](std::initializer_list<Seen> calls) {
      return llvm::is_contained(calls, mutation.seen) ? expected : std::string("none");
    };
    CHECK(firstDifference({unpadded(0, 5)}) == seenIn({Seen::Always, Seen::WithPrefill}));
    CHECK(firstDifference({unpadded(0, 5), unpadded(5, 1)}) == seenIn({Seen::Always, Seen::WithCache}));
    CHECK(firstDifference({inputs(0, 5, 5)}) == seenIn({Seen::Always, Seen::WithPrefill, Seen::WithPadding}));
  }
}

TEST_CASE("a recurrent state: in one call, in two, and handed over by the caller") {
  const char *text = R"(
    fr.state @h recurrent layer 3 part "sum" axis 0 : tensor<?x4xf32, #fr.dims<B, _>> {init = 0.5 : f64}
    func.func @main(%x: tensor<?x?x4xf32, #fr.dims<B, S, _>> {fr.name = "x"}) -> (tensor<?x?x4xf32, #fr.dims<B, S, _>> {fr.name = "y"}) {
      %h = fr.state.read @h : tensor<?x4xf32, #fr.dims<B, _>>
      %last, %all = fr.scan "sum" inits %h sequences %x axis 1
          : (tensor<?x4xf32, #fr.dims<B, _>>, tensor<?x?x4xf32, #fr.dims<B, S, _>>)
          -> (tensor<?x4xf32, #fr.dims<B, _>>, tensor<?x?x4xf32, #fr.dims<B, S, _>>) {
      ^bb0(%s: tensor<?x4xf32, #fr.dims<B, _>>, %xi: tensor<?x4xf32, #fr.dims<B, _>>):
        %next = fr.add %s, %xi : (tensor<?x4xf32, #fr.dims<B, _>>, tensor<?x4xf32, #fr.dims<B, _>>) -> tensor<?x4xf32, #fr.dims<B, _>>
        fr.scan.yield %next, %next : tensor<?x4xf32, #fr.dims<B, _>>, tensor<?x4xf32, #fr.dims<B, _>>
      }
      fr.state.update @h, %last : tensor<?x4xf32, #fr.dims<B, _>>
      return %all : tensor<?x?x4xf32, #fr.dims<B, S, _>>
    })";
  constexpr int64_t kSteps = 6, kFirst = 4, kWidth = 4;
  HostTensor x = randomFloats({1, kSteps, kWidth}, 3), expected(DType::F64, {1, kSteps, kWidth});
  for (int64_t i = 0; i < kSteps * kWidth; ++i)
    expected.as<double>()[i] = x.at(i) + (i < kWidth ? 0.5 : expected.at(i - kWidth));
  auto rows = [&](const HostTensor &of, int64_t from, int64_t count) {
    HostTensor part(DType::F64, {1, count, kWidth});
    std::copy_n(of.as<double>() + from * kWidth, count * kWidth, part.as<double>());
    return part;
  };
  SECTION("no state between calls") {
    Module module(text);
    Session session(module.apply(createCacheNone()));
    CHECK(largestDifference(session.run({{"x", x}}).at("y"), expected) < kTolerance);
    CHECK(largestDifference(session.run({{"x", x}}).at("y"), expected) < kTolerance);
  }
  SECTION("states") {
    Module module(text);
    Session session(module);
    CHECK(largestDifference(session.run({{"x", rows(x, 0, kFirst)}}).at("y"), rows(expected, 0, kFirst)) < kTolerance);
    CHECK(largestDifference(session.run({{"x", rows(x, kFirst, 2)}}).at("y"), rows(expected, kFirst, 2)) < kTolerance);
  }
  SECTION("inputs and outputs") {
    Module module(text);
    Session session(module.apply(createCacheDynamic()));
    HostTensor begin(DType::F64, {1, kWidth});
    std::fill_n(begin.as<double>(), kWidth, 0.5);
    NamedTensors out = session.run({{"x", rows(x, 0, kFirst)}, {"past_states.3.sum", begin}});
    CHECK(largestDifference(out.at("y"), rows(expected, 0, kFirst)) < kTolerance);
    out = session.run({{"x", rows(x, kFirst, 2)}, {"past_states.3.sum", out.at("present_states.3.sum")}});
    CHECK(largestDifference(out.at("y"), rows(expected, kFirst, 2)) < kTolerance);
  }
}

TEST_CASE("a scan may give back a param") {
  Module module(R"(
    fr.weights @source { fr.weight @w : tensor<4xf32> }
    fr.param @w : tensor<4xf32> {
      %0 = fr.get @source::@w : tensor<4xf32>
      fr.yield %0 : tensor<4xf32>
    }
    func.func @main(%x: tensor<3x4xf32> {fr.name = "x"}) -> (tensor<3x4xf32> {fr.name = "y"}, tensor<4xf32> {fr.name = "w"}) {
      %w = fr.use @w : tensor<4xf32>
      %y = fr.scan "same" sequences %x axis 0 : (tensor<3x4xf32>) -> tensor<3x4xf32> {
      ^bb0(%xi: tensor<4xf32>):
        %inner = fr.use @w : tensor<4xf32>
        fr.scan.yield %inner : tensor<4xf32>
      }
      return %y, %w : tensor<3x4xf32>, tensor<4xf32>
    })");
  NamedTensors out = Session(module).run({{"x", randomFloats({3, 4}, 1)}});
  for (int64_t i = 0; i < 12; ++i)
    CHECK(out.at("y").at(i) == out.at("w").at(i % 4));
}
