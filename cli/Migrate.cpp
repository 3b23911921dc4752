// source -> import -> plan -> passes -> export -> validate -> report
#include "cli/Proof.h"
#include "cli/Verbs.h"
#include "text/Escape.h"
#include "text/Json.h"
#include "text/Sizes.h"
#include "validators/Attestation.h"
#include "weights/OutputPlace.h"

#include <filesystem>

using namespace flagrelease;

namespace {
/// "90s", "10m", "2h", "45" (seconds).
FailureOr<std::chrono::seconds> parseWait(StringRef given, Diagnostics &diags) {
  StringRef text = given;
  int64_t scale = text.consume_back("h") ? 3600 : text.consume_back("m") ? 60 : (text.consume_back("s"), 1), count = 0;
  if (!given.empty() && (text.getAsInteger(10, count) || count < 0 || count > (1 << 20)))
    return diags.error("--wait", "'" + given + "' is not a time", "for example --wait 10m");
  return std::chrono::seconds(count * scale);
}

/// An answer that needed no artefact: the keys that `validate --json` has too.
void shortAnswer(const Options &options, const MigrationPlan &plan, const std::string &device, const std::string &verdict,
                 const std::vector<std::string> &reasons, Console &console) {
  if (!options.json) {
    console.result(verdict + " for " + plan.chip->name + " through " + plan.toolchain->engine);
    for (const std::string &reason : reasons)
      console.result("  " + escape::terminal(reason));
    return;
  }
  json::Object root;
  json::Array list;
  for (const std::string &reason : reasons)
    list.emplace_back(reason);
  root.set("verdict", verdict);
  root.set("chip", plan.chip->name);
  root.set("device", device);
  root.set("reasons", list);
  root.set("ran", false);
  console.result(json::toText(json::Value(root)));
}

int run(const Options &given, Console &console, Diagnostics &diags) {
  Options options = given;
  WorkOptions work;
  FailureOr<uint64_t> memory = parseSize(options.memory, "--memory", diags);
  FailureOr<std::chrono::seconds> wait = parseWait(options.wait, diags);
  if (failed(memory) || failed(wait))
    return exitCodeOf(diags);
  work.jobs = options.jobs ? options.jobs : defaultJobs();
  work.memory = boundedMemory(*memory);
  work.stop = &console.stop;
  work.progress = &console.progress;

  // source, import
  console.stage("read " + options.source);
  FailureOr<Model> model = openModel(options, console, diags);
  if (failed(model))
    return exitCodeOf(diags);

  // plan, passes
  FailureOr<TargetRecipes> targets = loadTargetRecipes(options, diags);
  if (failed(targets))
    return exitCodeOf(diags);
  FailureOr<Gate> gate = targets->gate(options.gate, diags);
  FailureOr<MigrationPlan> plan =
      failed(gate) ? FailureOr<MigrationPlan>(failure()) : choosePlan(options, *model, *targets, diags);
  if (failed(plan))
    return exitCodeOf(diags);
  console.stage("plan for " + plan->chip->name + " (" + plan->toolchain->engine + ")");
  FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> module = lower(*model, *plan, false, options.dumpDir, &*plan, options, diags);
  if (failed(module))
    return exitCodeOf(diags);
  for (const auto &[tensor, reason] : plan->fallbacks)
    diags.note(tensor, reason);
  if (plan->verdict == PlanVerdict::Infeasible) {
    shortAnswer(options, *plan, "", "INFEASIBLE", plan->reasons, console);
    return 1;
  }
  FailureOr<Artefact> artefact = layOut(*model, *plan, std::move(*module), diags);
  if (failed(artefact))
    return exitCodeOf(diags);

  // export
  if (options.out.empty())
    options.out = "./" + std::filesystem::path(model->source.name).stem().string() + "-" + plan->chip->name + "-" + plan->format +
                  "-" + plan->scheme->name;
  if (failed(checkOutputPlace(options.out, {model->source.folder}, diags)))
    return exitCodeOf(diags);
  FailureOr<DeviceConfig> devices = deviceConfig(options, console, "", diags);
  if (failed(devices))
    return exitCodeOf(diags);
  // A name that nobody knows is found before a byte is written.
  if (!options.device.empty() && failed(checkDevice(options.device, plan->format, *devices, diags)))
    return exitCodeOf(diags);
  DeviceChoice device = chooseDevice(options, *plan->chip, plan->format, *devices);
  if (options.link && options.validate == "numbers" && !device.name.empty())
    for (const ExportedFile &file : artefact->files.files)
      if (file.kind == ExportedFile::Kind::Placed &&
          failed(guardLink("--link", "model/" + file.path, device.name, *devices, diags)))
        return exitCodeOf(diags);
  OutputOptions outputOptions;
  outputOptions.path = options.out;
  outputOptions.force = options.force;
  outputOptions.stop = &console.stop;
  outputOptions.wait = *wait;
  FailureOr<std::unique_ptr<OutputFolder>> out = OutputFolder::open(
      outputOptions, fingerprintOf(options, *model, *plan, artefact->moduleDigest, artefact->beside.digest()), diags);
  if (failed(out))
    return exitCodeOf(diags);
  std::string key = validationKey(options, device, *gate);
  bool finished = (*out)->state() == OutputFolder::State::Finished;
  if (finished) {
    if (std::optional<Finish> end = (*out)->finishOf(key)) {
      shortAnswer(options, *plan, device.name, end->verdict, {options.out + " is finished, nothing was done"}, console);
      return end->exitCode;
    }
    FailureOr<Manifest> manifest = readManifest(options.out, diags);
    if (failed(manifest))
      return exitCodeOf(diags);
    artefact->manifest = std::move(*manifest);
  } else {
    console.stage("write " + options.out);
    if (failed(writeArtefact(options, *model, *plan, *artefact, **out, work, diags)))
      return exitCodeOf(diags);
  }

  // validate
  FailureOr<Report> report =
      prove({options, *model, *plan, *artefact, *gate, (*out)->path(), out->get(), device}, console, work, diags);
  if (failed(report))
    return exitCodeOf(diags);

  // report
  Attestation attestation = attestationOf(*report, artefact->manifest);
  FailureOr<std::string> text = reportJson(*report, diags);
  if (failed(text) || failed(writeAttestation((*out)->path(), attestation, diags)) ||
      failed((*out)->writeText("report.json", *text, diags)) ||
      failed((*out)->writeText("README.md", cardOf(*report, *model), diags)) ||
      failed(writeManifest(**out, artefact->manifest, isRejection(report->verdict.verdict), diags)))
    return exitCodeOf(diags);
  int code = exitCodeOf(*report, options);
  if (failed((*out)->finish({key, verdictName(report->verdict.verdict).str(), code}, diags)))
    return exitCodeOf(diags);
  if (options.json)
    console.result(validateJson(*report));
  else {
    printVerdict(*report, console);
    console.result("  in " + escape::terminal(options.out));
  }
  return code;
}

void declare(CLI::App &app, Options &options) {
  declareSource(app, options);
  declareTarget(app, options);
  declareOutput(app, options);
  declareProof(app, options);
  declareWork(app, options);
}
} // namespace

const Verb flagrelease::kMigrate = {"migrate", "read a checkpoint, write it for a chip, prove it", declare, run};
