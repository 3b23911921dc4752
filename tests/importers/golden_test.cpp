// Every fixture of the families that have a recipe, on the reference device, against transformers' outputs.
#include "devices/reference/ReferenceModel.h"
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Import.h"
#include "tests/support/Fixture.h"
#include "tests/support/TempFolder.h"

#include "llvm/Support/raw_ostream.h"

#include <catch2/catch.hpp>
#include <cstdlib>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
std::string problemsOf(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors())
    text += problem.where + ": " + problem.what + "\n  " + problem.remedy + "\n";
  return text;
}

/// Sets what padded tokens gave to zero: which keys a pad sees is nobody's business.
HostTensor withoutPads(HostTensor value, const NamedTensors &golden) {
  auto mask = golden.find("attention_mask");
  if (mask == golden.end() || value.shape.size() != 3 || value.shape[1] != mask->second.shape[1])
    return value;
  int64_t width = value.shape[2];
  for (int64_t token = 0; token < mask->second.elements(); ++token)
    if (!mask->second.as<int64_t>()[token])
      std::fill_n(value.as<float>() + token * width, width, 0.0f);
  return value;
}

struct Opened {
  std::unique_ptr<mlir::MLIRContext> context = std::make_unique<mlir::MLIRContext>();
  std::unique_ptr<Checkpoint> checkpoint; // its address stays when this moves
  Imported imported;
  std::unique_ptr<ReferenceModel> model;
};

std::string taskOf(const Golden &golden) {
  if (golden.task == "text-classification")
    return "classification";
  if (golden.task == "feature-extraction")
    return "embedding";
  if (golden.task == "text-ranking")
    return "rerank";
  return "causal_lm";
}

FailureOr<Opened> openFixture(const std::string &folder, const Golden &golden, ReferencePrecision precision, Diagnostics &diags) {
  Opened opened;
  FailureOr<RecipeSet> recipes = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder, diags);
  if (failed(recipes) || failed(checkpoint))
    return failure();
  opened.checkpoint = std::make_unique<Checkpoint>(std::move(*checkpoint));
  ImportOptions options;
  options.task = taskOf(golden);
  if (options.task == "rerank")
    options.taskValues = {{"no_token", 11}, {"yes_token", 12}};
  FailureOr<Imported> imported = importHuggingFace(*opened.checkpoint, *recipes, options, *opened.context, diags);
  if (failed(imported))
    return failure();
  opened.imported = std::move(*imported);
  FailureOr<std::unique_ptr<ReferenceModel>> model =
      ReferenceModel::open(*opened.imported.module, *opened.checkpoint, precision, diags);
  if (failed(model))
    return failure();
  opened.model = std::move(*model);
  return opened;
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
      for (const std::string &output : golden->outputs) {
        std::string tensor = output;
        if (llvm::StringRef(output).starts_with("hidden.")) {
          size_t n = std::stoul(output.substr(7));
          REQUIRE(n < opened->imported.hidden.size());
          tensor = opened->imported.hidden[n];
        }
        INFO(output << " is " << tensor);
        REQUIRE(got->count(tensor));
        double error =
            nmse(withoutPads(got->at(tensor), golden->tensors), withoutPads(golden->tensors.at(output), golden->tensors));
        INFO("nmse " << error << ", tolerance " << golden->tolerance(output));
        CHECK(error <= golden->tolerance(output));
        ++compared;
      }
      CHECK(compared > 0);
      // Greedy tokens with the cache, after row 0.
      if (!golden->greedy.empty()) {
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
      }
    }
    ++seen;
  }
  CHECK(seen > 0);
}
