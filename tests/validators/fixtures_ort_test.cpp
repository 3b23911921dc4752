// Every fixture, migrated by the program's own steps, on ONNX Runtime: against transformers' outputs where the fixture has them,
// and against the reference for shapes and pasts that it has not. FLAGRELEASE_FIXTURE chooses one fixture; FLAGRELEASE_PART=I/N
// takes every N-th, so that ctest runs parts beside each other.
#include "tests/support/Migrated.h"
#include "tests/support/Padded.h"
#include "validators/Generate.h"
#include "validators/ModelInputs.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
std::vector<std::string> chosenFixtures() {
  const char *only = std::getenv("FLAGRELEASE_FIXTURE"), *part = std::getenv("FLAGRELEASE_PART");
  std::vector<std::string> names;
  size_t index = 0, of = 1;
  if (part) {
    auto [i, n] = StringRef(part).split('/');
    REQUIRE((!i.getAsInteger(10, index) && !n.getAsInteger(10, of) && index < of));
  }
  for (auto [i, name] : llvm::enumerate(coreFixtureNames()))
    if (only ? name == only : i % of == index)
      names.push_back(name);
  return names;
}

/// The device, or null where a skip is allowed and was reported.
Device *device() {
  Diagnostics diags;
  Device *ort = ortCpu(diags);
  if (ort)
    return ort;
  if (std::getenv("FLAGRELEASE_NO_SKIPS"))
    FAIL("not run: " << textOf(diags));
  WARN("skipped: " << textOf(diags));
  return nullptr;
}

/// A loaded artefact with a dynamic cache, or without one, as a caller uses it.
class OrtText final : public Text {
public:
  /// `hidden`: outputs that are hidden.0, hidden.1, …
  OrtText(Device &device, const LoadedModel &model, std::vector<std::pair<std::string, std::string>> hidden = {})
      : device(device), model(model), hidden(std::move(hidden)) {}

  FailureOr<NamedTensors> call(const NamedTensors &given, bool first, Diagnostics &diags) override {
    NamedTensors inputs = given;
    if (first)
      states.clear();
    for (const auto &[name, value] : states)
      inputs[name] = value;
    if (failed(completeInputs(model, inputs, diags)))
      return failure();
    FailureOr<NamedTensors> outputs = device.run(inputs, diags);
    if (failed(outputs))
      return failure();
    NamedTensors result;
    for (auto &[name, value] : *outputs) {
      StringRef rest = name;
      if (rest.consume_front("present."))
        states["past_key_values." + rest.str()] = value;
      else
        result[name] = value;
    }
    for (const auto &[name, tap] : hidden)
      if (auto found = outputs->find(tap); found != outputs->end())
        result[name] = found->second;
    return result;
  }

private:
  Device &device;
  const LoadedModel &model;
  std::vector<std::pair<std::string, std::string>> hidden;
  NamedTensors states;
};

HostTensor ints(std::vector<int64_t> shape, const std::vector<int64_t> &values) {
  return HostTensor::ofInts(std::move(shape), values);
}

/// Ids of a batch, all of them in use: the fixture's own, turned.
std::vector<int64_t> idsFrom(const Golden &golden, int64_t count, int64_t from) {
  const HostTensor &ids = golden.tensors.at("input_ids");
  std::vector<int64_t> out;
  for (int64_t i = 0; i < count; ++i)
    out.push_back(ids.as<int64_t>()[(from + i * 5) % ids.shape[1]]);
  return out;
}

/// input_ids, attention_mask and position_ids of a call without padding.
NamedTensors callOf(const Golden &golden, int64_t batch, int64_t length, int64_t past) {
  std::vector<int64_t> positions;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t j = 0; j < length; ++j)
      positions.push_back(past + j);
  return {{"input_ids", ints({batch, length}, idsFrom(golden, batch * length, past))},
          {"attention_mask", ints({batch, past + length}, std::vector<int64_t>(batch * (past + length), 1))},
          {"position_ids", ints({batch, length}, positions)}};
}

void compareGolden(const Migrated &made, const NamedTensors &got, bool hidden, int &compared) {
  for (const std::string &output : made.golden.outputs) {
    std::string tensor = tensorOf(output, made.model.imported.hidden);
    if (tensor != output && !hidden)
      continue;
    INFO(output << " is " << tensor);
    REQUIRE(got.count(tensor));
    double error =
        nmse(withoutPads(got.at(tensor), made.golden.tensors), withoutPads(made.golden.tensors.at(output), made.golden.tensors));
    INFO("nmse " << error << ", tolerance " << made.golden.tolerance(output));
    CHECK(error <= made.golden.tolerance(output));
    ++compared;
  }
}

/// One export serves all of these shapes, without a past and behind five tokens.
void checkShapes(Migrated &made, Device &ort, const LoadedModel &loaded) {
  const bool cached = made.plan.pipeline.cache == PipelineOptions::Cache::Dynamic;
  const std::string output = made.golden.outputs.front();
  for (int64_t past : {0, 5}) {
    if (past && !cached)
      continue;
    for (auto [batch, length] : {std::pair<int64_t, int64_t>{1, 1}, {1, 7}, {3, 24}}) {
      INFO("shape (" << batch << ", " << length << "), past " << past);
      Diagnostics diags;
      OrtText text(ort, loaded);
      if (past) {
        NamedTensors before = callOf(made.golden, batch, past, 0);
        REQUIRE(succeeded(made.reference->run(before, {}, diags)));
        REQUIRE(succeeded(text.call(before, true, diags)));
      }
      NamedTensors inputs = callOf(made.golden, batch, length, past);
      FailureOr<NamedTensors> expected = made.reference->run(inputs, {.taps = false, .keepState = past > 0, .stop = {}}, diags);
      FailureOr<NamedTensors> got = text.call(inputs, past == 0, diags);
      INFO(textOf(diags));
      REQUIRE((succeeded(expected) && succeeded(got)));
      for (const auto &[name, value] : *expected) {
        REQUIRE(got->count(name));
        double error = nmse(got->at(name), value);
        INFO(name << ": nmse " << error << ", tolerance " << made.golden.tolerance(output));
        CHECK(error <= made.golden.tolerance(output));
      }
    }
  }
}

/// The golden prompt as a prefill of 19 and then one id at a time: the logits of transformers' one pass, where frequencies do not
/// depend on the length.
void checkDecode(Migrated &made, Device &ort, const LoadedModel &loaded) {
  const HostTensor &ids = made.golden.tensors.at("input_ids"), &logits = made.golden.tensors.at("logits");
  const int64_t batch = ids.shape[0], length = ids.shape[1], vocabulary = logits.shape[2], prompt = 19;
  OrtText text(ort, loaded);
  Diagnostics diags;
  for (int64_t from = 0; from < length; from = from ? from + 1 : prompt) {
    const int64_t count = from ? 1 : prompt;
    NamedTensors inputs = callOf(made.golden, batch, count, from);
    HostTensor part(DType::I64, {batch, count}), expected(DType::F32, {batch, count, vocabulary});
    for (int64_t b = 0; b < batch; ++b) {
      std::copy_n(ids.as<int64_t>() + b * length + from, count, part.as<int64_t>() + b * count);
      std::copy_n(logits.as<float>() + (b * length + from) * vocabulary, count * vocabulary,
                  expected.as<float>() + b * count * vocabulary);
    }
    inputs["input_ids"] = part;
    FailureOr<NamedTensors> got = text.call(inputs, from == 0, diags);
    INFO(textOf(diags));
    REQUIRE(succeeded(got));
    double error = nmse(got->at("logits"), expected);
    INFO("column " << from << ": nmse " << error << ", tolerance " << made.golden.tolerance("logits"));
    CHECK(error <= made.golden.tolerance("logits"));
  }
}

void checkGreedy(Migrated &made, Device &ort, const LoadedModel &loaded) {
  const HostTensor &ids = made.golden.tensors.at("input_ids");
  std::vector<int64_t> row(ids.as<int64_t>(), ids.as<int64_t>() + ids.shape[1]);
  Diagnostics diags;
  FailureOr<std::vector<std::vector<int64_t>>> tokens =
      generateGreedy(ort, loaded, {row}, static_cast<int64_t>(made.golden.greedy.size()), diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(tokens));
  CHECK(tokens->front() == made.golden.greedy);
}

/// The default gate: every check passed, or does not apply; all taps inside.
void checkAccepted(Migrated &made, Device &ort, const Gate &gate) {
  Diagnostics diags;
  FailureOr<NumbersResult> result = made.check(ort, gate, made.files, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(result));
  int passed = 0;
  for (const CheckResult &check : result->checks) {
    INFO(gateCheckName(check.check).str() + ": " + check.reason);
    CHECK((check.state == CheckState::Passed || check.state == CheckState::NotApplicable));
    passed += check.state == CheckState::Passed;
  }
  CHECK(passed > 0);
  for (const Anomaly &anomaly : result->anomalies)
    FAIL_CHECK(anomaly.kind << " " << anomaly.where << ": " << anomaly.what);
  std::set<std::string> taps;
  for (const TapDistance &tap : result->taps) {
    INFO(tap.name << " in " << tap.caseName << ", " << tap.phase << ": nmse " << tap.distance.nmse);
    CHECK(tap.inside);
    taps.insert(tap.name);
  }
  CHECK_FALSE(taps.empty());
  for (const NotRun &one : result->notRun)
    CHECK_FALSE(StringRef(one.check).starts_with("tap"));
  CHECK_FALSE(result->firstDivergence);
}
} // namespace

TEST_CASE("fixtures on ONNX Runtime equal transformers") {
  Device *ort = device();
  if (!ort)
    return;
  for (const std::string &name : chosenFixtures()) {
    DYNAMIC_SECTION(name) {
      Diagnostics diags;
      FailureOr<std::unique_ptr<Migrated>> migrated = Migrated::make(name, {}, diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(migrated));
      Migrated &made = **migrated;
      NamedTensors inputs;
      for (const std::string &input : made.golden.inputs)
        inputs[input] = made.golden.tensors.at(input);
      int compared = 0;

      FailureOr<LoadedModel> shipped = ort->load(made.files.shipped, {}, diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(shipped));
      FailureOr<NamedTensors> got = runOnce(*ort, *shipped, inputs, diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(got));
      compareGolden(made, *got, /*hidden=*/false, compared);
      CHECK(compared > 0);
      checkShapes(made, *ort, *shipped);
      if (made.model.imported.task == "causal_lm") {
        checkGreedy(made, *ort, *shipped);
        if (!made.model.imported.lengthDependent)
          checkDecode(made, *ort, *shipped);
      }

      FailureOr<LoadedModel> tapped = ort->load(made.files.taps, {}, diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(tapped));
      got = runOnce(*ort, *tapped, inputs, diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(got));
      compareGolden(made, *got, /*hidden=*/true, compared);
      if (hasPaddedGolden(fixturePath(name))) {
        FailureOr<PaddedGolden> padded = readPaddedGolden(fixturePath(name), diags);
        REQUIRE(succeeded(padded));
        OrtText text(*ort, *tapped, made.model.imported.hidden);
        int paddedCompared = 0;
        for (const std::string &problem :
             comparePadded(made.golden, *padded, made.model.imported.lengthDependent, text, paddedCompared))
          FAIL_CHECK(problem);
        CHECK(paddedCompared > 30);
      }
    }
  }
}

TEST_CASE("no false alarm on untouched fixtures") {
  Device *ort = device();
  if (!ort)
    return;
  for (const std::string &name : chosenFixtures()) {
    DYNAMIC_SECTION(name) {
      Diagnostics diags;
      FailureOr<std::unique_ptr<Migrated>> made = Migrated::make(name, {}, diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(made));
      checkAccepted(**made, *ort, defaultGate());
    }
  }
}

TEST_CASE("no false alarm with other stored types, schemes and caches") {
  Device *ort = device();
  if (!ort)
    return;
  struct One {
    const char *fixture;
    std::optional<DType> store;
    const char *scheme = "source", *cache = "";
  };
  const One ones[] = {
      {"llama-llama-3.1-8b", DType::F32},
      {"mistral-mistral-7b-v0.1", DType::F32},
      {"qwen2-qwen2.5-7b", DType::F32},
      {"qwen3-qwen3-0.6b", DType::F32},
      {"llama-llama-3.2-1b", DType::F16},
      {"mistral-mistral-nemo", DType::F16},
      {"qwen2-qwen2.5-0.5b", DType::F16},
      {"qwen3-qwen3-embedding-0.6b", DType::F16},
      {"qwen3-rope-yarn", std::nullopt, "fp32"},
      {"qwen2-stored-fp32", std::nullopt, "fp16"},
      {"qwen2-stored-fp32", std::nullopt, "bf16"},
      {"mistral-stored-fp16", std::nullopt, "bf16"},
      {"llama-mlp-bias", DType::F32, "bf16"},
      {"qwen3-layer-types", std::nullopt, "source", "static:64"},
      {"mistral-mistral-7b-v0.1", std::nullopt, "source", "static:64"},
      {"llama-rope-dynamic-within", std::nullopt, "source", "static:64"},
      {"qwen2-max-window-layers", std::nullopt, "source", "none"},
      {"llama-rope-longrope-crossing", std::nullopt, "source", "none"},
  };
  const char *part = std::getenv("FLAGRELEASE_PART"), *only = std::getenv("FLAGRELEASE_FIXTURE");
  for (auto [i, one] : llvm::enumerate(ones)) {
    if (only ? one.fixture != StringRef(only) : (part && i % 3 != static_cast<size_t>(part[0] - '0') % 3))
      continue;
    DYNAMIC_SECTION(one.fixture << " stored " << (one.store ? dtypeName(*one.store).str() : "as it is") << ", " << one.scheme
                                << " " << one.cache) {
      Diagnostics diags;
      MigrateOptions how;
      how.store.storeAs = one.store;
      how.scheme = one.scheme;
      how.kvCache = one.cache;
      FailureOr<std::unique_ptr<Migrated>> made = Migrated::make(one.fixture, how, diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(made));
      checkAccepted(**made, *ort, defaultGate());
    }
  }
}
