// A whole decoder with its cache: one export serves every batch, length and past, and equals the reference that keeps states.
#include "tests/exporters/OnnxCases.h"

#include "passes/Pipeline.h"
#include "passes/to_onnx/ToOnnx.h"
#include "tests/devices/Support.h"

#include "mlir/IR/MLIRContext.h"

#include <filesystem>
#include <sstream>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

constexpr int64_t kColumns = 40; // of the static cache

std::string problems(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors())
    text += problem.where + ": " + problem.what + "\n";
  return text;
}

std::string decoderText() {
  std::ifstream in(FLAGRELEASE_SOURCE_DIR "/tests/passes/Inputs/decoder.mlir");
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The calls of one conversation: tokens of each call, for all rows of the batch.
struct Talk {
  int64_t batch;
  std::vector<int64_t> calls;
};
const Talk kTalks[] = {{1, {1}}, {1, {7}}, {3, {24}}, {1, {5, 1, 1}}, {3, {5, 7, 1}}};

/// Inputs of one call, `before` tokens after the first. Row b is padded at the left by 2 * b tokens of the first call.
NamedTensors callInputs(int64_t batch, int64_t before, int64_t tokens, int64_t maskColumns) {
  auto hidden = [&](int64_t row, int64_t column) { return batch > 1 && column < 2 * row; };
  HostTensor ids(DType::I64, {batch, tokens}), positions(DType::I64, {batch, tokens}), mask(DType::I64, {batch, maskColumns});
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t s = 0; s < tokens; ++s) {
      ids.as<int64_t>()[b * tokens + s] = (7 * (before + s) + 3 * b + 1) % 32;
      positions.as<int64_t>()[b * tokens + s] = std::max<int64_t>(0, before + s - (batch > 1 ? 2 * b : 0));
    }
    for (int64_t t = 0; t < maskColumns; ++t)
      mask.as<int64_t>()[b * maskColumns + t] = t < before + tokens && !hidden(b, t);
  }
  return {{"input_ids", ids}, {"position_ids", positions}, {"attention_mask", mask}};
}

/// `skipped`: tokens [B, S] that are padding. What they see is the mean of all columns, which a static cache has more of.
void expectEqual(const NamedTensors &expected, const NamedTensors &got, const std::vector<bool> &skipped) {
  for (const auto &[name, tensor] : expected) {
    INFO(name);
    REQUIRE(got.count(name) == 1);
    REQUIRE(got.at(name).shape == tensor.shape);
    double worst = 0, largest = 0;
    int64_t features = tensor.elements() / static_cast<int64_t>(skipped.size());
    for (int64_t i = 0; i < tensor.elements(); ++i) {
      if (skipped[i / features])
        continue;
      worst = std::max(worst, std::abs(tensor.at(i) - got.at(name).at(i)));
      largest = std::max(largest, std::abs(tensor.at(i)));
    }
    CHECK(worst <= 2e-5 * std::max(1.0, largest));
  }
}

void converse(PipelineOptions::Cache cache, int64_t opset, Device &device) {
  mlir::MLIRContext context;
  auto original = parseModule(decoderText(), context), module = parseModule(decoderText(), context);
  REQUIRE(original);
  TestWeights weights(*original);
  Diagnostics diags;
  PipelineOptions options;
  options.cache = cache;
  options.cacheSize = kColumns;
  options.taps = PipelineOptions::Taps::Outputs;
  options.dropUnusedParams = true;
  OnnxTarget target;
  target.opset = opset;
  OnnxReport report;
  bool converted =
      succeeded(runPipeline(*module, options, "", diags)) && succeeded(convertToOnnx(*module, target, report, diags));
  INFO(problems(diags));
  REQUIRE(converted);
  REQUIRE(report.missing.empty());
  ExportRequest request;
  request.module = *module;
  request.checkpoint = &weights.checkpoint();
  FailureOr<ExportPlan> plan = findExporter("onnx")->run(request, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(plan));
  std::string folder = std::string(FLAGRELEASE_BINARY_DIR) + "/tests/exporters/models/decoder." +
                       std::to_string(static_cast<int>(cache)) + "." + std::to_string(opset);
  std::filesystem::remove_all(folder);
  writeArtefact(*plan, *original, weights, folder);
  FailureOr<LoadedModel> loaded = device.load(folder, {}, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(loaded));

  bool isStatic = cache == PipelineOptions::Cache::Static;
  for (const Talk &talk : kTalks) {
    if (cache == PipelineOptions::Cache::None && talk.calls.size() > 1)
      continue; // without a cache every call is a first one
    Interpreter<double> reference(*original, weights);
    NamedTensors past;
    if (cache != PipelineOptions::Cache::None)
      for (const char *name :
           {"past_key_values.0.key", "past_key_values.0.value", "past_key_values.1.key", "past_key_values.1.value"})
        past[name] = HostTensor(DType::F32, {talk.batch, 2, isStatic ? kColumns : 0, 4});
    int64_t before = 0;
    for (int64_t tokens : talk.calls) {
      INFO("batch " << talk.batch << ", " << tokens << " tokens after " << before);
      Interpreter<double>::Request withTaps;
      withTaps.taps = true;
      FailureOr<NamedTensors> expected =
          reference.run("main", callInputs(talk.batch, before, tokens, before + tokens), withTaps, diags);
      NamedTensors inputs = callInputs(talk.batch, before, tokens, isStatic ? kColumns : before + tokens);
      inputs.insert(past.begin(), past.end());
      if (isStatic) {
        inputs["cache_position"] = HostTensor(DType::I64, {tokens});
        for (int64_t i = 0; i < tokens; ++i)
          inputs["cache_position"].as<int64_t>()[i] = before + i;
      }
      FailureOr<NamedTensors> got = device.run(inputs, diags);
      INFO(problems(diags));
      REQUIRE(succeeded(expected));
      REQUIRE(succeeded(got));
      CHECK(expected->count("model.layers.1.self_attn") == 1);
      std::vector<bool> skipped(talk.batch * tokens);
      for (int64_t i = 0; isStatic && i < talk.batch * tokens; ++i)
        skipped[i] = inputs.at("attention_mask").at(i / tokens * kColumns + before + i % tokens) == 0;
      expectEqual(*expected, *got, skipped);
      for (auto &[name, tensor] : past)
        tensor = got->at("present" + name.substr(std::string("past_key_values").size()));
      before += tokens;
    }
  }
}

} // namespace

TEST_CASE("one export of a decoder serves every batch, length and past", "[numbers]") {
  if (!haveOrt())
    return;
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice("ort:cpu", testConfig(), diags);
  REQUIRE(succeeded(device));
  using Cache = PipelineOptions::Cache;
  for (Cache cache : {Cache::None, Cache::Dynamic, Cache::Static})
    for (int64_t opset : {13, 17, 23}) {
      INFO("cache " << static_cast<int>(cache) << ", opset " << opset);
      converse(cache, opset, **device);
    }
}
