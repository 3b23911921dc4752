// Every fixture of the families that have a recipe, on the reference device, against transformers' outputs.
#include "importers/huggingface/Evidence.h"
#include "tests/importers/OpenFixture.h"
#include "tests/support/Padded.h"
#include "tests/support/TempFolder.h"

#include "llvm/Support/raw_ostream.h"

#include <catch2/catch.hpp>
#include <cstdlib>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
/// What the fixtures of this run have proven.
Evidence &proven() {
  static Evidence evidence;
  return evidence;
}

/// The reference, called as the padded goldens want it.
class ReferenceText final : public Text {
public:
  ReferenceText(ReferenceModel &model, const std::vector<std::pair<std::string, std::string>> &hidden)
      : model(model), hidden(hidden) {}
  FailureOr<NamedTensors> call(const NamedTensors &inputs, bool first, Diagnostics &diags) override {
    FailureOr<NamedTensors> outputs = model.run(inputs, {.taps = true, .keepState = !first, .stop = {}}, diags);
    if (failed(outputs))
      return failure();
    for (const auto &[name, tap] : hidden)
      (*outputs)[name] = outputs->at(tap);
    return outputs;
  }

private:
  ReferenceModel &model;
  const std::vector<std::pair<std::string, std::string>> &hidden;
};

/// Columns [from, from + count) of [B, S, ...].
HostTensor columns(const HostTensor &value, int64_t from, int64_t count) {
  int64_t batch = value.shape[0], length = value.shape[1], width = value.elements() / (batch * length) * byteWidth(value.type);
  HostTensor part = value;
  part.shape[1] = count;
  part.bytes.resize(batch * count * width);
  for (int64_t b = 0; b < batch; ++b)
    std::copy_n(value.bytes.data() + (b * length + from) * width, count * width, part.bytes.data() + b * count * width);
  return part;
}

HostTensor firstRow(const HostTensor &value) {
  HostTensor row = value;
  row.shape[0] = 1;
  row.bytes.resize(value.bytes.size() / value.shape[0]);
  return row;
}

int64_t argMaxOfLast(const HostTensor &logits) {
  int64_t vocabulary = logits.shape.back(), best = 0, from = logits.elements() - vocabulary;
  for (int64_t i = 1; i < vocabulary; ++i)
    if (logits.at(from + i) > logits.at(from + best))
      best = i;
  return best;
}
} // namespace

TEST_CASE("fixtures on the reference") {
  const char *only = std::getenv("FLAGRELEASE_FIXTURE");
  int seen = 0;
  for (const std::string &name : fixtureNames()) {
    if (only && name != only)
      continue;
    DYNAMIC_SECTION(name) {
      Diagnostics diags;
      FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
      REQUIRE(succeeded(golden));
      TempFolder folder;
      INFO(problemsOf(diags));
      REQUIRE(succeeded(materialise(fixturePath(name), folder.path, diags)));
      FailureOr<Opened> opened = openFixture(folder.path, *golden, ReferencePrecision::F32, diags);
      INFO(problemsOf(diags));
      REQUIRE(succeeded(opened));
      NamedTensors inputs;
      for (const std::string &input : golden->inputs)
        inputs[input] = golden->tensors.at(input);
      FailureOr<NamedTensors> got = opened->model->run(inputs, {.taps = true, .keepState = false, .stop = {}}, diags);
      INFO(problemsOf(diags));
      REQUIRE(succeeded(got));
      int compared = 0;
      bool right = true;
      for (const std::string &output : golden->outputs) {
        std::string tensor = tensorOf(output, opened->imported.hidden);
        INFO(output << " is " << tensor);
        REQUIRE(got->count(tensor));
        double error =
            nmse(withoutPads(got->at(tensor), golden->tensors), withoutPads(golden->tensors.at(output), golden->tensors));
        INFO("nmse " << error << ", tolerance " << golden->tolerance(output));
        CHECK(error <= golden->tolerance(output));
        right &= error <= golden->tolerance(output);
        ++compared;
      }
      CHECK(compared > 0);
      if (!golden->textInputs.empty()) {
        FailureOr<NamedTensors> text = opened->model->run(golden->textInputs, {}, diags);
        INFO(problemsOf(diags));
        REQUIRE(succeeded(text));
        double error = nmse(text->at("logits"), golden->tensors.at("text_logits"));
        INFO("text alone: nmse " << error);
        CHECK(error <= golden->tolerance("text_logits"));
        right &= error <= golden->tolerance("text_logits");
      }
      // Greedy tokens of a decoder behind an encoder, after its row 0.
      if (!golden->greedy.empty() && golden->tensors.count("decoder_input_ids")) {
        NamedTensors row;
        for (const std::string &input : golden->inputs)
          row[input] = firstRow(golden->tensors.at(input));
        const HostTensor &ids = row.at("decoder_input_ids");
        const size_t prompt = ids.shape[1];
        std::vector<int64_t> tokens(ids.as<int64_t>(), ids.as<int64_t>() + prompt);
        while (tokens.size() < prompt + golden->greedy.size()) {
          row["decoder_input_ids"] = HostTensor::ofInts({1, static_cast<int64_t>(tokens.size())}, tokens);
          FailureOr<NamedTensors> step = opened->model->run(row, {}, diags);
          INFO(problemsOf(diags));
          REQUIRE(succeeded(step));
          tokens.push_back(argMaxOfLast(step->at("logits")));
        }
        tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(prompt));
        CHECK(tokens == golden->greedy);
        right &= tokens == golden->greedy;
      }
      // Greedy tokens with the cache, after row 0.
      if (!golden->greedy.empty() && golden->inputs == std::vector<std::string>{"input_ids"}) {
        const HostTensor &ids = golden->tensors.at("input_ids");
        std::vector<int64_t> row(ids.as<int64_t>(), ids.as<int64_t>() + ids.shape[1]);
        if (golden->tensors.count("attention_mask")) {
          const int64_t *mask = golden->tensors.at("attention_mask").as<int64_t>();
          size_t real = 0;
          for (int64_t j = 0; j < ids.shape[1]; ++j)
            real += mask[j];
          row.resize(real);
        }
        FailureOr<NamedTensors> step =
            opened->model->run({{"input_ids", HostTensor::ofInts({1, (int64_t)row.size()}, row)}}, {}, diags);
        std::vector<int64_t> tokens;
        for (size_t t = 0; t < golden->greedy.size(); ++t) {
          INFO(problemsOf(diags));
          REQUIRE(succeeded(step));
          tokens.push_back(argMaxOfLast(step->at("logits")));
          step = opened->model->run({{"input_ids", HostTensor::ofInts({1, 1}, {tokens.back()})}},
                                    {.taps = false, .keepState = true, .stop = {}}, diags);
        }
        CHECK(tokens == golden->greedy);
        right &= tokens == golden->greedy;
      }
      // Decode with the cache equals transformers' one pass: a prompt of 19, then one id at a time.
      if (golden->outputs.front() == "logits" && opened->imported.task == "causal_lm" && golden->inputs.size() == 1 &&
          !opened->imported.lengthDependent) {
        const HostTensor &ids = golden->tensors.at("input_ids"), &logits = golden->tensors.at("logits");
        for (int64_t from = 0, count = 19; from < ids.shape[1]; from += count, count = 1) {
          FailureOr<NamedTensors> step = opened->model->run({{"input_ids", columns(ids, from, count)}},
                                                            {.taps = false, .keepState = from > 0, .stop = {}}, diags);
          REQUIRE(succeeded(step));
          double error = nmse(step->at("logits"), columns(logits, from, count));
          INFO("column " << from << ": nmse " << error);
          CHECK(error <= golden->tolerance("logits"));
          right &= error <= golden->tolerance("logits");
        }
      }
      if (hasPaddedGolden(fixturePath(name))) {
        FailureOr<PaddedGolden> padded = readPaddedGolden(fixturePath(name), diags);
        REQUIRE(succeeded(padded));
        ReferenceText text(*opened->model, opened->imported.hidden);
        int paddedCompared = 0;
        for (const std::string &problem :
             comparePadded(*golden, *padded, opened->imported.lengthDependent, text, paddedCompared)) {
          FAIL_CHECK(problem);
          right = false;
        }
        CHECK(paddedCompared > 30);
      }
      if (right)
        for (const std::string &option : optionsOf(opened->imported))
          if (std::vector<std::string> &fixtures = proven()[option]; fixtures.size() < 3)
            fixtures.push_back(name);
    }
    ++seen;
  }
  CHECK(seen > 0);
}

// recipes/models/_evidence.json says what the test above has seen; FLAGRELEASE_UPDATE=1 writes it.
TEST_CASE("the evidence is what the fixtures prove") {
  if (std::getenv("FLAGRELEASE_FIXTURE"))
    return;
  const std::string path = FLAGRELEASE_SOURCE_DIR "/recipes/models/_evidence.json", text = evidenceText(proven());
  if (std::getenv("FLAGRELEASE_UPDATE"))
    writeFile(path, text);
  Diagnostics diags;
  FailureOr<Evidence> written = readEvidence(path, diags);
  INFO(problemsOf(diags));
  REQUIRE(succeeded(written));
  CHECK(readFile(path) == text);
  CHECK(written->size() > 40);
}

TEST_CASE("options without a fixture are unproven") {
  Diagnostics diags;
  const std::string folder = FLAGRELEASE_SOURCE_DIR "/recipes/models/";
  const std::vector<std::string> options = {"qwen3: rope=default", "qwen3: rope=unheard-of"};
  auto unproven = [&](std::vector<RecipeText> recipe) { return *unprovenOptions(options, recipe, diags); };
  CHECK(unproven({{folder + "qwen3.yaml", true, ""}, {folder + "llama.yaml", true, ""}}) == std::vector<std::string>{options[1]});
  // A recipe of the user, or one that is made of both, has no fixture.
  TempFolder own;
  CHECK(unproven({{own / "qwen3.yaml", false, ""}}) == options);
  CHECK(unproven({{own / "qwen3.yaml", false, ""}, {folder + "llama.yaml", true, ""}}) == options);
  writeFile(own / "_evidence.json", "{\"qwen3: rope=default\": 7}");
  CHECK(failed(unprovenOptions(options, std::vector<RecipeText>{{own / "qwen3.yaml", false, ""}}, diags)));
}
