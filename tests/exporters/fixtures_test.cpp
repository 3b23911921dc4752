// Every fixture of the families that have a recipe, as ONNX with its taps as outputs, against transformers' outputs. The weights
// stay in the checkpoint's own file; those that are quantised there are written beside it as plain floats.
#include "tests/exporters/OnnxCases.h"

#include "devices/MadeInputs.h"
#include "devices/reference/ReferenceModel.h"
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Import.h"
#include "passes/Pipeline.h"
#include "tests/devices/Support.h"
#include "tests/support/Fixture.h"
#include "weights/params/ParamEvaluator.h"

#include <cstdlib>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

std::string problems(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors())
    text += problem.where + ": " + problem.what + "\n";
  return text;
}

ImportOptions importOptions(const Golden &golden) {
  ImportOptions options;
  options.task = golden.task == "text-ranking" ? "rerank" : ""; // else the checkpoint says it
  if (!options.task.empty())
    options.taskValues = {{"no_token", 11}, {"yes_token", 12}};
  return options;
}

void writeDerived(const ExportedFile &file, mlir::ModuleOp module, const Checkpoint &checkpoint, const std::string &path) {
  Diagnostics diags;
  FailureOr<std::vector<std::shared_ptr<FileSource>>> sources = openSources(checkpoint, diags);
  REQUIRE(succeeded(sources));
  ParamEvaluator evaluator(checkpoint, *sources);
  std::vector<std::byte> bytes(file.bytes);
  for (const ExportedTensor &tensor : file.tensors) {
    llvm::MutableArrayRef<std::byte> part(bytes.data() + tensor.offset, tensor.bytes);
    LogicalResult read = evaluator.readBytes(module.lookupSymbol<fr::ParamOp>(tensor.param), 0, part, nullptr, diags);
    INFO(tensor.param << "\n" << problems(diags));
    REQUIRE(succeeded(read));
  }
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

void runFixture(const std::string &name, const RecipeSet &recipes, int64_t opset, Device &device) {
  Diagnostics diags;
  FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
  REQUIRE(succeeded(golden));
  TempFolder folder;
  REQUIRE(succeeded(materialise(fixturePath(name), folder.path, diags)));
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path, diags);
  REQUIRE(succeeded(checkpoint));
  mlir::MLIRContext context;
  FailureOr<Imported> imported = importHuggingFace(*checkpoint, recipes, importOptions(*golden), context, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(imported));

  PipelineOptions pipeline;
  pipeline.cache = PipelineOptions::Cache::Dynamic;
  pipeline.taps = PipelineOptions::Taps::Outputs;
  pipeline.dropUnusedParams = true;
  OnnxTarget target;
  target.opset = opset;
  OnnxReport report;
  bool lowered = succeeded(runPipeline(*imported->module, pipeline, "", diags)) &&
                 succeeded(convertToOnnx(*imported->module, target, report, diags));
  INFO(problems(diags));
  REQUIRE(lowered);
  ExportRequest request;
  request.module = *imported->module;
  request.checkpoint = &*checkpoint;
  FailureOr<ExportPlan> plan = findExporter("onnx")->run(request, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(plan));
  for (const ExportedFile &file : plan->files) {
    INFO(file.path);
    if (file.kind == ExportedFile::Kind::Derived) {
      writeDerived(file, *imported->module, *checkpoint, folder.path + "/" + file.path);
    }
    if (file.kind == ExportedFile::Kind::Written)
      std::ofstream(folder.path + "/" + file.path, std::ios::binary) << file.content;
  }

  FailureOr<LoadedModel> loaded = device.load(folder.path + "/model.onnx", {}, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(loaded));
  NamedTensors all, inputs;
  for (const std::string &input : golden->inputs)
    all[input] = golden->tensors.at(input);
  REQUIRE(succeeded(defaultInputs(all, 0, diags)));
  for (const TensorSpec &input : loaded->inputs) {
    if (all.count(input.name)) {
      inputs[input.name] = all.at(input.name);
      continue;
    }
    if (std::optional<HostTensor> made = makeInput(input.name, all)) {
      inputs[input.name] = std::move(*made);
      continue;
    }
    std::vector<int64_t> shape = input.shape; // a cache in which nothing is, or the states before the first token
    shape[0] = all.begin()->second.shape[0];
    for (int64_t &size : shape)
      size = std::max<int64_t>(size, 0);
    inputs[input.name] = HostTensor(input.type, shape);
  }
  FailureOr<NamedTensors> got = device.run(inputs, diags);
  INFO(problems(diags));
  REQUIRE(succeeded(got));
  for (const std::string &output : golden->outputs) {
    std::string tensor = tensorOf(output, imported->hidden);
    INFO(output << " is " << tensor);
    REQUIRE(got->count(tensor) == 1);
    double error = nmse(withoutPads(got->at(tensor), golden->tensors), withoutPads(golden->tensors.at(output), golden->tensors));
    INFO("nmse " << error << ", tolerance " << golden->tolerance(output));
    CHECK(error <= golden->tolerance(output));
  }
}

} // namespace

TEST_CASE("fixtures on ONNX Runtime", "[fixtures]") {
  if (!haveOrt())
    return;
  Diagnostics diags;
  FailureOr<RecipeSet> recipes = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  INFO(problems(diags));
  REQUIRE(succeeded(recipes));
  FailureOr<std::unique_ptr<Device>> device = openDevice("ort:cpu", testConfig(), diags);
  REQUIRE(succeeded(device));
  const char *only = std::getenv("FLAGRELEASE_FIXTURE");
  int seen = 0;
  const std::vector<std::string> core = coreFixtureNames();
  for (const std::string &name : fixtureNames())
    for (int64_t opset : {17, 23}) {
      if (opset == 23 && !llvm::is_contained(core, name))
        continue; // the newer operators are tried on the core
      if (only && name != only)
        continue;
      INFO(name << " at opset " << opset);
      runFixture(name, *recipes, opset, **device);
      ++seen;
    }
  CHECK(seen > 0);
}
