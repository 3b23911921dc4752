// Real models: the reference in fp64 against the reference in fp32, taken for a device. No case, output or tap may be called
// wrong; and with one tensor changed the layer that holds it is named.
#include "devices/reference/ReferenceModel.h"
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Import.h"
#include "recipes/Scheme.h"
#include "tests/support/Fixture.h"
#include "tests/support/TempFolder.h"
#include "validators/Numbers.h"
#include "validators/ReferenceOracle.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <fstream>
#include <set>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
/// An artefact without cache whose engine is the reference. "taps" is the model with taps as outputs.
class ReferenceDevice final : public Device {
public:
  ReferenceDevice(ReferenceModel &model, std::vector<std::string> outputs, std::vector<std::string> taps)
      : model(model), outputs(std::move(outputs)), taps(std::move(taps)) {}
  StringRef name() const override { return "reference"; }
  EvidenceTier tier() const override { return EvidenceTier::T1; }
  std::string isolation() const override { return "in process"; }
  FailureOr<Probe> probe(Diagnostics &) override { return Probe(); }
  FailureOr<LoadedModel> load(StringRef artefact, const LoadOptions &, Diagnostics &) override {
    withTaps = artefact == "taps";
    LoadedModel loaded;
    for (const char *name : {"input_ids", "attention_mask", "position_ids"})
      loaded.inputs.push_back({name, DType::I64, {-1, -1}});
    for (const std::string &name : outputs)
      loaded.outputs.push_back({name, DType::F32, {-1, -1, -1}});
    if (withTaps)
      for (const std::string &name : taps)
        loaded.outputs.push_back({name, DType::F32, {-1, -1, -1}});
    return loaded;
  }
  FailureOr<NamedTensors> run(const NamedTensors &inputs, Diagnostics &diags) override {
    return model.run(inputs, {withTaps, false, {}}, diags);
  }
  DeviceFault lastFault() const override { return DeviceFault::None; }
  DeviceUsage usage() const override { return {}; }

private:
  ReferenceModel &model;
  std::vector<std::string> outputs, taps;
  bool withTaps = false;
};

struct Opened {
  mlir::MLIRContext context;
  Checkpoint checkpoint;
  Imported imported;
  std::unique_ptr<ReferenceModel> model;
  std::vector<std::string> taps, outputs;
};

std::unique_ptr<Opened> open(const std::string &folder, const std::string &task, ReferencePrecision precision,
                             Diagnostics &diags) {
  auto opened = std::make_unique<Opened>();
  FailureOr<RecipeSet> recipes = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder, diags);
  REQUIRE((succeeded(recipes) && succeeded(checkpoint)));
  opened->checkpoint = std::move(*checkpoint);
  ImportOptions options;
  options.task = task;
  if (task == "rerank")
    options.taskValues = {{"no_token", 11}, {"yes_token", 12}};
  FailureOr<Imported> imported = importHuggingFace(opened->checkpoint, *recipes, options, opened->context, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(imported));
  opened->imported = std::move(*imported);
  auto main = opened->imported.module->lookupSymbol<mlir::func::FuncOp>(kMainFunction);
  main.walk([&](fr::TapOp tap) { opened->taps.push_back(tap.getName().str()); });
  for (unsigned i = 0; i < main.getNumResults(); ++i)
    opened->outputs.push_back(main.getResultAttrOfType<mlir::StringAttr>(i, kNameAttr).str());
  FailureOr<std::unique_ptr<ReferenceModel>> model =
      ReferenceModel::open(*opened->imported.module, opened->checkpoint, precision, diags);
  REQUIRE(succeeded(model));
  opened->model = std::move(*model);
  return opened;
}

FailureOr<NumbersResult> compare(Opened &reference, Opened &measured, const std::string &task, Diagnostics &diags) {
  const std::vector<std::string> schemes = Schemes::load(FLAGRELEASE_SOURCE_DIR "/recipes/schemes", "", diags)->names();
  FailureOr<Gate> gate = readGate(FLAGRELEASE_SOURCE_DIR "/recipes/gates/default.yaml", schemes, diags);
  REQUIRE(succeeded(gate));
  ReferenceOracle oracle(*reference.model);
  ReferenceDevice device(*measured.model, measured.outputs, measured.taps);
  NumbersRequest request{oracle, device, "model", "taps", reference.taps, *gate};
  request.task = task;
  request.lengthDependent = reference.imported.lengthDependent;
  const json::Value *vocabulary = reference.imported.config.find("vocab_size"),
                    *pad = reference.imported.config.find("pad_token_id");
  request.vocabulary = vocabulary->integer();
  if (pad && pad->isInt())
    request.padId = pad->integer();
  request.maxLength = 64;
  return checkNumbers(request, diags);
}

std::string taskOf(const Golden &golden) {
  return golden.task == "text-classification"  ? "classification"
         : golden.task == "feature-extraction" ? "embedding"
                                               : "causal_lm";
}
} // namespace

TEST_CASE("no false alarm on fixtures") {
  const char *only = std::getenv("FLAGRELEASE_FIXTURE");
  for (const std::string &name : coreFixtureNames()) {
    if (only && name != only)
      continue;
    DYNAMIC_SECTION(name) {
      Diagnostics diags;
      FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
      TempFolder folder;
      REQUIRE(succeeded(golden));
      REQUIRE(succeeded(materialise(fixturePath(name), folder.path, diags)));
      std::unique_ptr<Opened> wide = open(folder.path, taskOf(*golden), ReferencePrecision::F64, diags),
                              narrow = open(folder.path, taskOf(*golden), ReferencePrecision::F32, diags);
      FailureOr<NumbersResult> result = compare(*wide, *narrow, taskOf(*golden), diags);
      INFO(textOf(diags));
      REQUIRE(succeeded(result));
      for (const CheckResult &check : result->checks) {
        INFO(gateCheckName(check.check).str() + ": " + check.reason);
        CHECK((check.state == CheckState::Passed || check.state == CheckState::NotApplicable));
      }
      CHECK(result->anomalies.empty());
      std::set<std::string> taps;
      for (const TapDistance &tap : result->taps) {
        INFO(tap.name);
        CHECK(tap.inside);
        taps.insert(tap.name);
      }
      CHECK(taps.size() == wide->taps.size());
      for (const NotRun &one : result->notRun)
        CHECK_FALSE(StringRef(one.check).starts_with("tap"));
    }
  }
}

TEST_CASE("one changed tensor is found, and its layer named") {
  Diagnostics diags;
  TempFolder right, wrong;
  const std::string fixture = fixturePath("qwen3-qwen3-0.6b");
  REQUIRE(succeeded(materialise(fixture, right.path, diags)));
  REQUIRE(succeeded(materialise(fixture, wrong.path, diags)));
  FailureOr<Checkpoint> checkpoint = openCheckpoint(wrong.path, diags);
  REQUIRE(succeeded(checkpoint));
  const CheckpointTensor *tensor = checkpoint->find("model.layers.1.self_attn.k_norm.weight");
  REQUIRE(tensor);
  {
    // Exponents of two bf16 numbers, one up.
    std::fstream file(checkpoint->files[tensor->file].path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(tensor->offset));
    char bytes[4];
    file.read(bytes, 4);
    bytes[0] ^= 0x40, bytes[2] ^= 0x40;
    file.seekp(static_cast<std::streamoff>(tensor->offset));
    file.write(bytes, 4);
  }
  std::unique_ptr<Opened> wide = open(right.path, "causal_lm", ReferencePrecision::F64, diags),
                          narrow = open(wrong.path, "causal_lm", ReferencePrecision::F32, diags);
  FailureOr<NumbersResult> result = compare(*wide, *narrow, "causal_lm", diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(result));
  REQUIRE(result->firstDivergence);
  CHECK(result->firstDivergence->op == "model.layers.1.self_attn");
  CHECK(result->checks.front().state == CheckState::Failed);
}
