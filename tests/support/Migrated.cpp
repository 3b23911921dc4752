#include "tests/support/Migrated.h"

#include "validators/ReferenceOracle.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;

namespace flagrelease::test {

namespace {
/// Test programs lie deeper in the build folder than the program does: they say where the recipes are.
void sayHome() { ::setenv("FLAGRELEASE_HOME", FLAGRELEASE_HOME_OF_TESTS, /*overwrite=*/0); }

Console &silent() {
  static Console console([] {
    Options options;
    options.quiet = true;
    options.progress = "json";
    return options;
  }());
  return console;
}

const TargetRecipes &targets() {
  static const TargetRecipes recipes = [] {
    sayHome();
    Diagnostics diags;
    FailureOr<TargetRecipes> loaded = loadTargetRecipes({}, diags);
    if (failed(loaded)) {
      std::fprintf(stderr, "%s", textOf(diags).c_str());
      std::abort();
    }
    return std::move(*loaded);
  }();
  return recipes;
}
} // namespace

Device *ortCpu(Diagnostics &diags) {
  sayHome();
  static std::unique_ptr<Device> device;
  if (!device) {
    Options options;
    FailureOr<DeviceConfig> config = deviceConfig(options, silent(), "", diags);
    if (failed(config))
      return nullptr;
    FailureOr<std::unique_ptr<Device>> opened = openDevice("ort:cpu", *config, diags);
    if (failed(opened))
      return nullptr;
    device = std::move(*opened);
  }
  return device.get();
}

const Gate &defaultGate() {
  static const Gate gate = [] {
    Diagnostics diags;
    FailureOr<Gate> read = targets().gate("default", diags);
    if (failed(read)) {
      std::fprintf(stderr, "%s", textOf(diags).c_str());
      std::abort();
    }
    return std::move(*read);
  }();
  return gate;
}

std::string taskOf(const Golden &golden) {
  return golden.task == "text-classification"  ? "classification"
         : golden.task == "feature-extraction" ? "embedding"
         : golden.task == "text-ranking"       ? "rerank"
                                               : "causal_lm";
}

std::vector<std::string> taskOptionsOf(const Golden &golden) {
  return golden.task == "text-ranking" ? std::vector<std::string>{"no_token=11", "yes_token=12"} : std::vector<std::string>();
}

FailureOr<std::unique_ptr<Migrated>> Migrated::make(const std::string &fixture, const MigrateOptions &how, Diagnostics &diags) {
  sayHome();
  auto made = std::make_unique<Migrated>();
  FailureOr<Golden> golden = readGolden(fixturePath(fixture), diags);
  if (failed(golden))
    return failure();
  made->golden = std::move(*golden);
  made->options.quiet = true;
  made->options.progress = "json";
  made->console = std::make_unique<Console>(made->options);
  Options &options = made->options;
  options.source = made->folder / fixture;
  options.out = made->folder / "out";
  options.chip = "x86-64";
  options.format = "onnx";
  options.scheme = how.scheme;
  options.kvCache = how.kvCache;
  options.task = taskOf(made->golden);
  options.taskOptions = taskOptionsOf(made->golden);
  if (failed(materialise(fixturePath(fixture), options.source, diags, how.store)))
    return failure();
  FailureOr<Model> model = openModel(options, *made->console, diags);
  if (failed(model))
    return failure();
  made->model = std::move(*model);
  FailureOr<MigrationPlan> plan = choosePlan(options, made->model, targets(), diags);
  if (failed(plan))
    return failure();
  made->plan = std::move(*plan);
  FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> module = lower(made->model, made->plan, false, "", &made->plan, options, diags);
  if (failed(module))
    return failure();
  FailureOr<Artefact> artefact = layOut(made->model, made->plan, std::move(*module), diags);
  if (failed(artefact))
    return failure();
  made->artefact = std::move(*artefact);
  OutputOptions outputOptions;
  outputOptions.path = options.out;
  FailureOr<std::unique_ptr<OutputFolder>> out = OutputFolder::open(
      outputOptions, fingerprintOf(options, made->model, made->plan, made->artefact.moduleDigest, made->artefact.beside.digest()),
      diags);
  if (failed(out))
    return failure();
  made->out = std::move(*out);
  WorkOptions work;
  if (failed(writeArtefact(options, made->model, made->plan, made->artefact, *made->out, work, diags)))
    return failure();
  FailureOr<std::string> taps = writeTapModel(made->model, made->plan, *made->out, options, diags);
  if (failed(taps))
    return failure();
  made->files = {made->out->pathOf("model/model.onnx"), *taps + "/model.onnx"};
  FailureOr<std::unique_ptr<ReferenceModel>> reference =
      ReferenceModel::open(*made->model.imported.module, *made->model.checkpoint, ReferencePrecision::F32, diags);
  if (failed(reference))
    return failure();
  made->reference = std::move(*reference);
  return made;
}

FailureOr<std::string> Migrated::writeGraph(const std::string &name, bool taps, Diagnostics &diags) {
  FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> module = lower(model, plan, taps, "", nullptr, options, diags);
  if (failed(module))
    return failure();
  FailureOr<Artefact> graph = layOut(model, plan, std::move(*module), diags);
  if (failed(graph))
    return failure();
  fs::path to = fs::path(folder.path) / name;
  std::error_code error;
  fs::create_directories(to, error);
  for (const ExportedFile &file : graph->files.files) {
    if (file.kind == ExportedFile::Kind::Written) {
      std::ofstream(to / file.path, std::ios::binary) << file.content;
      continue;
    }
    fs::create_directories((to / file.path).parent_path(), error);
    fs::create_hard_link(out->pathOf("model/" + file.path), to / file.path, error);
    if (error || fs::file_size(to / file.path) != file.bytes)
      return diags.error(file.path, "is not the artefact's own: " + error.message(), "");
  }
  return (to / "model.onnx").string();
}

FailureOr<Migrated::Files> Migrated::exportChanged(const std::string &name,
                                                   llvm::function_ref<LogicalResult(mlir::ModuleOp)> change, Diagnostics &diags) {
  mlir::OwningOpRef<mlir::ModuleOp> untouched = std::move(model.imported.module);
  model.imported.module = mlir::cast<mlir::ModuleOp>(untouched.get()->clone());
  Files changed;
  bool good = succeeded(change(*model.imported.module));
  if (good) {
    FailureOr<std::string> shipped = writeGraph(name, false, diags);
    FailureOr<std::string> taps = writeGraph(name + "-taps", true, diags);
    good = succeeded(shipped) && succeeded(taps);
    if (good)
      changed = {*shipped, *taps};
  }
  model.imported.module = std::move(untouched);
  if (!good)
    return failure();
  return changed;
}

FailureOr<NumbersResult> Migrated::check(Device &device, const Gate &gate, const Files &checked, Diagnostics &diags,
                                         const std::function<void(NumbersRequest &)> &tune) {
  ReferenceOracle oracle(*reference);
  NumbersRequest request = numbersRequest(model, plan, oracle, device, gate, checked.shipped, checked.taps);
  if (tune)
    tune(request);
  return checkNumbers(request, diags);
}

} // namespace flagrelease::test
