#include "validators/Golden.h"

#include "devices/TensorFile.h"
#include "tests/support/TempFolder.h"
#include "tests/validators/FakeModel.h"
#include "validators/ModelInputs.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
Gate gateOf() {
  Gate gate;
  gate.name = "test";
  Tolerance one;
  one.nmse = 1e-9;
  one.schemes = {"source", "fp32"};
  one.from = "the test";
  gate.tolerances = {one};
  gate.anomalies.constantSpread = 1e-6;
  gate.anomalies.referenceSpread = 1e-3;
  return gate;
}

/// ids, what the oracle says of them, and what somebody else may have written beside it.
NamedTensors fileOf(bool padded = false) {
  NamedTensors file{{"input_ids", HostTensor::ofInts({2, 3}, {1, 2, 3, 4, 5, 6})}};
  if (padded)
    file["attention_mask"] = HostTensor::ofInts({2, 3}, {1, 1, 1, 1, 1, 0});
  FakeOracle oracle;
  Diagnostics diags;
  NamedTensors outputs = *oracle.run(file, {true, false, {}}, diags);
  auto narrow = [](const HostTensor &wide) {
    HostTensor tensor(DType::F32, wide.shape);
    for (int64_t i = 0; i < wide.elements(); ++i)
      tensor.as<float>()[i] = static_cast<float>(wide.at(i));
    return tensor;
  };
  file["logits"] = narrow(outputs["logits"]);
  file["hidden.0"] = narrow(outputs["embed"]);
  file["layers.0"] = narrow(outputs["layers.0"]);
  return file;
}

struct Run {
  NamedTensors file = fileOf();
  std::map<std::string, std::string> metadata;
  Mistake mistake = Mistake::None;
  Gate gate = gateOf();
  std::string scheme = "source";
  Diagnostics diags;

  FailureOr<GoldenResult> go() {
    TempFolder folder;
    REQUIRE(succeeded(writeTensorFile(folder / "golden.safetensors", file, diags, metadata)));
    FakeDevice device({.cached = true}, mistake);
    GoldenRequest request{folder / "golden.safetensors",
                          {"input_ids", "attention_mask", "position_ids"},
                          {"logits"},
                          {{"hidden.0", "embed"}},
                          {"embed", "layers.0"},
                          gate};
    request.scheme = scheme;
    request.run = [&](const NamedTensors &inputs, bool taps, Diagnostics &own) -> FailureOr<NamedTensors> {
      FailureOr<LoadedModel> model = device.load(taps ? "taps" : "model", {}, own);
      return runOnce(device, *model, inputs, own);
    };
    return checkGolden(request, diags);
  }
};

std::string namesOf(const GoldenResult &result) {
  std::string text;
  for (const GoldenComparison &one : result.comparisons)
    text += one.name + "=" + one.as + (one.inside ? " " : "! ");
  for (const NotRun &one : result.notCompared)
    text += "(" + one.check + ") ";
  return text;
}
} // namespace

TEST_CASE("a golden file of the same model passes") {
  Run run;
  run.file["hidden.1"] = run.file["hidden.0"];
  run.file["attentions"] = run.file["hidden.0"];
  FailureOr<GoldenResult> result = run.go();
  INFO(textOf(run.diags));
  REQUIRE(succeeded(result));
  // Taps in graph order, outputs last; what nobody knows is listed.
  CHECK(namesOf(*result) == "hidden.0=embed layers.0=layers.0 logits=logits (attentions) (hidden.1) ");
  CHECK(result->passed());
  CHECK(result->digest.size() == 64);
  CHECK_FALSE(result->firstDivergence);
  CHECK(result->comparisons[0].boundFrom == "the test");
}

TEST_CASE("padding is not compared") {
  Run run;
  run.file = fileOf(true);
  // Whatever the file has at the padded column.
  for (int64_t v = 0; v < kFakeVocabulary; ++v)
    run.file["logits"].as<float>()[5 * kFakeVocabulary + v] = 77;
  FailureOr<GoldenResult> result = run.go();
  INFO(textOf(run.diags));
  REQUIRE(succeeded(result));
  CHECK(result->passed());
  run.file["logits"].as<float>()[4 * kFakeVocabulary] = 77;
  CHECK_FALSE(run.go()->passed());
}

TEST_CASE("differences are named in graph order") {
  Run layer;
  layer.mistake = Mistake::OnePercent;
  FailureOr<GoldenResult> result = layer.go();
  REQUIRE(succeeded(result));
  CHECK(namesOf(*result) == "hidden.0=embed layers.0=layers.0! logits=logits! ");
  CHECK_FALSE(result->passed());
  CHECK(result->firstDivergence->op == "layers.0");
  CHECK(*result->firstDivergence->accumulated == Approx(1e-4).epsilon(1e-2));

  Run nan;
  nan.mistake = Mistake::NotANumber;
  result = nan.go();
  REQUIRE(succeeded(result));
  REQUIRE(result->anomalies.size() == 1);
  CHECK(result->anomalies[0].kind == "not-finite");
  Run constant;
  constant.mistake = Mistake::Constant;
  CHECK(constant.go()->anomalies.at(0).kind == "constant");
  Run shape;
  shape.mistake = Mistake::Shape;
  result = shape.go();
  REQUIRE(succeeded(result));
  CHECK(result->comparisons.back().exceeded == "has shape [2, 3, 31], the file's is [2, 3, 32]");
}

TEST_CASE("noise that the file states replaces the gate's bound") {
  Run run;
  run.metadata["noise"] = R"({"logits": 3e-5})";
  run.file["logits"].as<float>()[7] *= 1.0001f;
  FailureOr<GoldenResult> result = run.go();
  INFO(textOf(run.diags));
  REQUIRE(succeeded(result));
  CHECK(result->comparisons.back().nmseBound == Approx(9e-8));
  CHECK(StringRef(result->comparisons.back().boundFrom).contains("noise 3e-05 stated by the file"));
  CHECK(result->comparisons.front().boundFrom == "the test");
  run.metadata["noise"] = R"({"logits": 0.0})";
  CHECK(run.go()->comparisons.back().nmseBound == 1e-12);
}

TEST_CASE("files that decide nothing") {
  struct {
    const char *name;
    void (*change)(Run &);
    const char *message;
  } const forms[] = {
      {"no output", [](Run &run) { run.file.erase("logits"), run.file.erase("hidden.0"), run.file.erase("layers.0"); },
       "[2] FILE: holds nothing that can be compared"},
      {"no input", [](Run &run) { run.file.erase("input_ids"); },
       "[2] FILE: has no tensor input_ids, which is an input of the model"},
      {"noise is no JSON", [](Run &run) { run.metadata["noise"] = "{"; }, "__metadata__.noise"},
      {"noise is no mapping", [](Run &run) { run.metadata["noise"] = "3"; }, "is a int, not a mapping"},
      {"noise is huge", [](Run &run) { run.metadata["noise"] = R"({"logits": 1.0})"; },
       "__metadata__.noise.logits: is not a number from 0 to 0.001"},
      {"no tolerance", [](Run &run) { run.scheme = "bf16"; }, "the gate has no tolerance for computing in fp32 with scheme bf16"},
      {"only a tap that the device lacks",
       [](Run &run) {
         run.mistake = Mistake::MissingTap;
         run.file.erase("logits"), run.file.erase("hidden.0");
       },
       "holds nothing that this device returns"},
  };
  for (const auto &form : forms) {
    INFO(form.name);
    Run run;
    form.change(run);
    CHECK(failed(run.go()));
    std::string text = textOf(run.diags);
    if (size_t at = text.find("] /"), end = text.find("golden.safetensors"); at != std::string::npos && end != std::string::npos)
      text.replace(at + 2, end + 18 - at - 2, "FILE");
    INFO(text);
    CHECK(StringRef(text).contains(form.message));
    CHECK(run.diags.errors().front().cause == Cause::Input);
  }
}

TEST_CASE("inputs that the caller of a model makes") {
  FakeDevice device({.cached = true, .cacheColumns = 6}, Mistake::None);
  Diagnostics diags;
  LoadedModel model = *device.load("model", {}, diags);
  NamedTensors inputs{{"input_ids", HostTensor::ofInts({2, 3}, {1, 2, 3, 4, 5, 6})},
                      {"attention_mask", HostTensor::ofInts({2, 3}, {0, 1, 1, 1, 1, 1})},
                      {"token_type_ids", HostTensor::ofInts({2, 3}, {0, 0, 0, 0, 0, 0})}};
  REQUIRE(succeeded(completeInputs(model, inputs, diags)));
  auto ints = [&](const char *name) {
    std::vector<int64_t> values;
    for (int64_t i = 0; i < inputs.at(name).elements(); ++i)
      values.push_back(static_cast<int64_t>(inputs.at(name).at(i)));
    return values;
  };
  CHECK(ints("position_ids") == std::vector<int64_t>{1, 0, 1, 0, 1, 2});
  CHECK(ints("attention_mask") == std::vector<int64_t>{0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0});
  CHECK(inputs.at("attention_mask").type == DType::I32);
  CHECK(ints("cache_position") == std::vector<int64_t>{0, 1, 2});
  CHECK(inputs.at("past_key_values.0.key").shape == std::vector<int64_t>{2, 1, 6, 5});
  CHECK(inputs.count("token_type_ids") == 0);

  NamedTensors wrong{{"input_ids", HostTensor::ofInts({1, 3}, {1, 2, 3})},
                     {"attention_mask", HostTensor::ofInts({2, 3}, {0, 1, 1, 1, 1, 1})}};
  CHECK(failed(completeInputs(model, wrong, diags)));
  NamedTensors none;
  CHECK(failed(completeInputs(model, none, diags)));
  CHECK(StringRef(textOf(diags)).contains("input_ids: the model takes this input and it is not given"));
}
