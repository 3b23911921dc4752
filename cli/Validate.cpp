// Numbers on a device: an artefact against its checkpoint, or a checkpoint against outputs that somebody else computed.
#include "cli/Proof.h"
#include "cli/Verbs.h"
#include "devices/reference/ReferenceModel.h"
#include "text/Escape.h"
#include "text/Sizes.h"
#include "validators/Attestation.h"
#include "validators/ModelInputs.h"

using namespace flagrelease;

namespace {
WorkOptions workOf(const Options &options, Console &console, Diagnostics &diags) {
  WorkOptions work;
  if (FailureOr<uint64_t> memory = parseSize(options.memory, "--memory", diags); succeeded(memory))
    work.memory = boundedMemory(*memory);
  work.jobs = options.jobs ? options.jobs : defaultJobs();
  work.stop = &console.stop;
  work.progress = &console.progress;
  return work;
}

int print(const Report &report, const Options &options, Console &console) {
  if (options.json)
    console.result(validateJson(report));
  else
    printVerdict(report, console);
  return exitCodeOf(report.verdict.verdict);
}

/// A golden file decides: the reference, or an artefact on its device.
int golden(const Options &options, Console &console, Diagnostics &diags) {
  FailureOr<TargetRecipes> targets = loadTargetRecipes(options, diags);
  FailureOr<Gate> gate = failed(targets) ? FailureOr<Gate>(failure()) : targets->gate(options.gate, diags);
  if (failed(gate))
    return exitCodeOf(diags);
  Report report;
  report.gate = &*gate;
  report.tool = kTool;
  report.command = commandLine(options);
  GoldenRequest request{options.golden, {}, {}, {}, {}, *gate};
  std::unique_ptr<Device> device;
  FailureOr<Model> model = failure();
  std::unique_ptr<ReferenceModel> reference;
  std::string name = options.device.empty() ? "reference" : options.device;
  if (name == "reference" || name == "reference:fp64") {
    if (failed(model = openModel(options, console, diags)))
      return exitCodeOf(diags);
    FailureOr<std::unique_ptr<ReferenceModel>> opened =
        ReferenceModel::open(*model->imported.module, *model->checkpoint,
                             name == "reference" ? ReferencePrecision::F32 : ReferencePrecision::F64, diags);
    if (failed(opened))
      return exitCodeOf(diags);
    reference = std::move(*opened);
    auto main = model->imported.module->lookupSymbol<mlir::func::FuncOp>(kMainFunction);
    for (unsigned i = 0; i < main.getNumArguments(); ++i)
      request.inputNames.push_back(main.getArgAttrOfType<mlir::StringAttr>(i, kNameAttr).str());
    for (unsigned i = 0; i < main.getNumResults(); ++i)
      request.outputNames.push_back(main.getResultAttrOfType<mlir::StringAttr>(i, kNameAttr).str());
    request.hidden = model->imported.hidden;
    model->imported.module.get().walk([&](fr::TapOp tap) { request.tapOrder.push_back(tap.getName().str()); });
    request.run = [&](const NamedTensors &inputs, bool taps, Diagnostics &d) {
      return reference->run(inputs, {taps, false, [&] { return console.stop.requested(); }}, d);
    };
  } else {
    // Numbers of bytes that are not the artefact's would say nothing about it.
    FailureOr<Manifest> manifest = readManifest(options.source, diags);
    if (failed(manifest) || failed(verifyManifest(options.source, *manifest, workOf(options, console, diags), diags)))
      return exitCodeOf(diags);
    FailureOr<DeviceConfig> config = deviceConfig(options, console, "", diags);
    if (failed(config) || failed(checkDevice(name, formatOf(*manifest), *config, diags)) ||
        failed(guardLinks(*manifest, name, *config, diags)))
      return exitCodeOf(diags);
    FailureOr<std::unique_ptr<Device>> opened = openDevice(name, *config, diags);
    if (failed(opened))
      return exitCodeOf(diags);
    device = std::move(*opened);
    FailureOr<LoadedModel> loaded = device->load(modelPathOf(options.source, *manifest), {}, diags);
    if (failed(loaded))
      return exitCodeOf(diags);
    loaded->stateInit = stateInitOf(options.source);
    for (const TensorSpec &spec : loaded->inputs)
      request.inputNames.push_back(spec.name);
    for (const TensorSpec &spec : loaded->outputs)
      request.outputNames.push_back(spec.name);
    if (auto scheme = manifest->build.options.find("scheme"); scheme != manifest->build.options.end())
      request.scheme = scheme->second;
    FailureOr<Probe> probe = device->probe(diags);
    if (failed(probe))
      return exitCodeOf(diags);
    report.where = whereMeasured(nullptr, *device, *probe);
    request.run = [&device, loaded = *loaded](const NamedTensors &inputs, bool, Diagnostics &d) {
      return runOnce(*device, loaded, inputs, d);
    };
    FailureOr<GoldenResult> result = checkGolden(request, diags);
    if (failed(result))
      return exitCodeOf(diags);
    report.golden = std::move(*result);
  }
  if (reference) {
    report.where.device = name;
    report.where.tier = Tier::T1;
    FailureOr<GoldenResult> result = checkGolden(request, diags);
    if (failed(result))
      return exitCodeOf(diags);
    report.golden = std::move(*result);
  }
  bool passed = report.golden->passed();
  report.verdict.verdict = !report.golden->anomalies.empty() ? Verdict::Anomalous : passed ? Verdict::Pass : Verdict::Regression;
  for (const GoldenComparison &comparison : report.golden->comparisons)
    if (!comparison.inside)
      report.verdict.reasons.push_back(comparison.name + ": " + comparison.exceeded);
  if (passed)
    report.verdict.reasons.push_back(std::to_string(report.golden->comparisons.size()) + " tensors of the file are inside");
  int code = print(report, options, console);
  if (!options.json)
    for (const GoldenComparison &comparison : report.golden->comparisons) {
      char text[80];
      std::snprintf(text, sizeof text, ": nmse %.2e (at most %.2e)", comparison.distance.nmse, comparison.nmseBound);
      // Names are the file's.
      std::string named = comparison.as == comparison.name ? comparison.name : comparison.name + " is " + comparison.as;
      console.result("  " + escape::terminal(named) + text);
    }
  if (!options.json)
    for (const NotRun &left : report.golden->notCompared)
      console.result("  not compared: " + escape::terminal(left.check) + ": " + escape::terminal(left.reason));
  if (report.golden->firstDivergence && !options.json)
    console.result("  first outside: " + escape::terminal(report.golden->firstDivergence->op));
  return code;
}

/// An artefact against the checkpoint that it was made from.
int against(const Options &given, Console &console, Diagnostics &diags) {
  FailureOr<Manifest> manifest = readManifest(given.source, diags);
  if (failed(manifest))
    return exitCodeOf(diags);
  WorkOptions work = workOf(given, console, diags);
  console.stage("hash " + given.source);
  if (failed(verifyManifest(given.source, *manifest, work, diags))) {
    if (given.json && static_cast<Cause>(exitCodeOf(diags)) == Cause::Answer) {
      Report report;
      report.verdict.verdict = Verdict::Regression;
      for (const Problem &problem : diags.errors())
        report.verdict.reasons.push_back(problem.where + ": " + problem.what);
      console.result(validateJson(report));
    }
    return exitCodeOf(diags);
  }
  // What the manifest says about the build is what the artefact is compared as.
  Options options = given;
  options.source = given.against;
  const std::map<std::string, std::string> &built = manifest->build.options;
  auto set = [&](const char *key, std::string &into) {
    if (auto it = built.find(key); it != built.end() && into.empty())
      into = it->second;
  };
  options.scheme.clear();
  set("chip", options.chip);
  set("format", options.format);
  set("scheme", options.scheme);
  set("task", options.task);
  set("kv-cache", options.kvCache);
  set("shard-size", options.shardSize);
  std::string number;
  set("context", number);
  if (!number.empty())
    options.context = std::stoll(number);
  number.clear();
  set("batch", number);
  if (!number.empty())
    options.batch = std::stoll(number);
  options.allowTypeFallback |= built.count("allow-type-fallback") != 0;
  options.allowRequantize |= built.count("allow-requantize") != 0;
  for (const auto &[key, value] : built) {
    StringRef name = key;
    if (name.consume_front("assume-inert "))
      options.assumeInert.push_back(name.str());
    else if (name.consume_front("task-option "))
      options.taskOptions.push_back(name.str() + "=" + value);
  }
  FailureOr<Model> model = openModel(options, console, diags);
  FailureOr<TargetRecipes> targets = failed(model) ? FailureOr<TargetRecipes>(failure()) : loadTargetRecipes(options, diags);
  FailureOr<Gate> gate = failed(targets) ? FailureOr<Gate>(failure()) : targets->gate(options.gate, diags);
  FailureOr<MigrationPlan> plan =
      failed(gate) ? FailureOr<MigrationPlan>(failure()) : choosePlan(options, *model, *targets, diags);
  if (failed(plan))
    return exitCodeOf(diags);
  FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> module = lower(*model, *plan, false, "", &*plan, options, diags);
  if (failed(module))
    return exitCodeOf(diags);
  FailureOr<Artefact> artefact = layOut(*model, *plan, std::move(*module), diags);
  if (failed(artefact))
    return exitCodeOf(diags);
  artefact->manifest = *manifest;
  FailureOr<DeviceConfig> devices = deviceConfig(options, console, "", diags);
  if (failed(devices) || (!options.device.empty() && failed(checkDevice(options.device, plan->format, *devices, diags))))
    return exitCodeOf(diags);
  DeviceChoice device = chooseDevice(options, *plan->chip, plan->format, *devices);
  FailureOr<Report> report =
      prove({options, *model, *plan, *artefact, *gate, given.source, nullptr, device}, console, work, diags);
  if (failed(report) || failed(writeAttestation(given.source, attestationOf(*report, *manifest), diags)))
    return exitCodeOf(diags);
  (void)print(*report, options, console);
  return exitCodeOf(*report, options);
}

int run(const Options &options, Console &console, Diagnostics &diags) {
  if (failed(parseSize(options.memory, "--memory", diags)))
    return exitCodeOf(diags);
  if (options.golden.empty() == options.against.empty()) {
    (void)diags.error("validate", "needs --golden FILE or --against CHECKPOINT", "see `flagrelease validate --help`");
    return exitCodeOf(diags);
  }
  return options.golden.empty() ? against(options, console, diags) : golden(options, console, diags);
}

void declare(CLI::App &app, Options &options) {
  declareSource(app, options);
  app.add_option("--golden", options.golden, "a safetensors file with inputs and the outputs they should give")
      ->type_name("FILE");
  app.add_option("--against", options.against, "the checkpoint that the artefact was made from")->type_name("SRC");
  declareProof(app, options);
  declareWork(app, options);
}
} // namespace

const Verb flagrelease::kValidate = {"validate", "compare numbers: an artefact with its checkpoint, or either with a golden file",
                                     declare, run};
