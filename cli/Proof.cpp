#include "cli/Proof.h"

#include "devices/DevicesYaml.h"
#include "devices/reference/ReferenceModel.h"
#include "text/Escape.h"
#include "text/Nearest.h"
#include "validators/Attestation.h"
#include "validators/ReferenceOracle.h"
#include "weights/Digest.h"

#include "llvm/ADT/StringExtras.h"

#include <chrono>
#include <filesystem>
#include <sys/resource.h>

using namespace flagrelease;
namespace fs = std::filesystem;

FailureOr<DeviceConfig> flagrelease::deviceConfig(const Options &options, Console &console, const std::string &logFolder,
                                                  Diagnostics &diags) {
  FailureOr<std::string> home = homeFolder(diags);
  FailureOr<std::vector<DeviceEntry>> entries = loadDevices(options.devicesFile, diags);
  if (failed(home) || failed(entries))
    return failure();
  DeviceConfig config;
  config.entries = std::move(*entries);
  config.runnersFolder = *home + "/devices/runners";
  config.logFolder = logFolder;
  config.noSandbox = options.noSandbox;
  config.stop = &console.stop.asAtomic();
  return config;
}

LogicalResult flagrelease::checkDevice(const std::string &name, StringRef format, const DeviceConfig &config,
                                       Diagnostics &diags) {
  std::vector<std::string> known = {"none"};
  for (const ShippedDevice &device : shippedDevices())
    known.push_back(device.name);
  for (const DeviceEntry &device : config.entries)
    known.push_back(device.name);
  if (llvm::is_contained(known, name)) {
    // An entry of devices.yaml may stand before a shipped device of its name, and may use its runner.
    const ShippedDevice *shipped = findShippedDevice(name);
    for (const DeviceEntry &entry : config.entries)
      if (entry.name == name) {
        shipped = nullptr;
        for (const ShippedDevice &one : shippedDevices())
          if (entry.runner == one.runner)
            shipped = &one;
      }
    if (!shipped || format == shipped->format)
      return success();
    std::vector<std::string> others;
    for (const ShippedDevice &one : shippedDevices())
      if (format == one.format)
        others.push_back(one.name);
    return diags.error("--device", "'" + name + "' loads " + shipped->format + ", the artefact is " + format,
                       "for " + format + " there is: " + (others.empty() ? "none" : listed(others)));
  }
  return diags.error("--device", "unknown device '" + name + "'" + nearestNote(name, llvm::ArrayRef<std::string>(known)),
                     "known are: " + listed(known) + "; add others to devices.yaml (devices/README.md)");
}

LogicalResult flagrelease::guardLink(const std::string &where, const std::string &file, const std::string &device,
                                     const DeviceConfig &config, Diagnostics &diags) {
  if (!deviceCouldWrite(device, config))
    return success();
  return diags.error(where,
                     "nothing keeps device " + device + " from writing into " + file +
                         ", which is a hard link: it would write into the source",
                     "migrate without --link, send the files (push: true in devices.yaml), or ask for --device none");
}

LogicalResult flagrelease::guardLinks(const Manifest &manifest, const std::string &device, const DeviceConfig &config,
                                      Diagnostics &diags) {
  for (const ManifestFile &file : manifest.files)
    if (file.linked)
      return guardLink("--device", file.path, device, config, diags);
  return success();
}

DeviceChoice flagrelease::chooseDevice(const Options &options, const ChipRecipe &chip, StringRef format,
                                       const DeviceConfig &config) {
  if (options.device == "none")
    return {"", false, false, "--device none was given"};
  if (!options.device.empty())
    return {options.device, true, false, ""};
  for (const DeviceEntry &entry : config.entries)
    if (entry.chip == chip.name || llvm::is_contained(chip.aka, entry.chip))
      return {entry.name, false, false, ""};
  // A stand-in runs the same graph. An engine that loads a checkpoint has its own, so it stands in for nothing; and it is
  // optional: where it is not installed, that check did not run.
  const bool checkpoint = findExporter(format)->checkpoint;
  for (const ShippedDevice &shipped : shippedDevices())
    if (format == shipped.format && (chip.isHostCpu() || !checkpoint))
      return {shipped.name, chip.isHostCpu() && !checkpoint, !chip.isHostCpu(), ""};
  return {"", false, false, "no device of chip " + chip.name + " is in devices.yaml"};
}

std::string flagrelease::validationKey(const Options &options, const DeviceChoice &device, const Gate &gate) {
  // That nobody was found to measure is another answer than that nobody was to.
  std::string where = !device.name.empty() ? device.name : options.device == "none" ? "no device" : "no known device";
  return options.validate + " on " + where + " by " + gate.name + " " + gateDigest(gate);
}

std::string flagrelease::commandLine(const Options &options) {
  std::string text = "flagrelease";
  for (llvm::StringRef word : llvm::ArrayRef(options.argv).drop_front()) {
    std::string shown = word.str();
    // Folders of this machine say nothing elsewhere: their last part does.
    if (word.starts_with("/"))
      shown = fs::path(shown).filename().string();
    text += " " + escape::shell(shown);
  }
  return text;
}

namespace {
/// Lengths at which something begins that shorter texts do not show: the end of a window, of the original rope context.
std::vector<int64_t> longLengths(const Model &model) {
  std::set<int64_t> lengths;
  model.imported.module.get().walk([&](mlir::Operation *op) {
    if (auto mask = mlir::dyn_cast<fr::AttentionMaskOp>(op); mask && mask.getWindow())
      lengths.insert(*mask.getWindow() + 8);
    if (auto rope = mlir::dyn_cast<fr::RopeTableOp>(op); rope && rope.getOriginalMax() && rope.getKind() != fr::RopeKind::Llama3)
      lengths.insert(*rope.getOriginalMax() + 8);
  });
  std::vector<int64_t> out;
  for (int64_t length : lengths)
    // The reference computes every score: what is longer than this belongs to a gate that asks for it.
    if (length <= 4096)
      out.push_back(length);
  return out;
}

std::vector<LogFile> logsIn(const std::string &outFolder) {
  std::vector<LogFile> logs;
  std::error_code error;
  for (const fs::directory_entry &entry : fs::directory_iterator(outFolder + "/logs", error)) {
    if (!entry.is_regular_file())
      continue;
    Diagnostics ignored;
    FailureOr<std::string> digest = sha256File(entry.path().string(), ignored);
    if (succeeded(digest))
      logs.push_back({"logs/" + entry.path().filename().string(), entry.file_size(), *digest});
  }
  llvm::sort(logs, [](const LogFile &a, const LogFile &b) { return a.name < b.name; });
  return logs;
}

std::vector<std::string> tapOrderOf(const Model &model) {
  std::vector<std::string> order;
  model.imported.module.get().walk([&](fr::TapOp tap) { order.push_back(tap.getName().str()); });
  return order;
}

ReportOperators operatorsOf(const MigrationPlan &plan) {
  ReportOperators out;
  if (!plan.table) {
    out.reason = "the engine owns the graph: operators not checked";
    return out;
  }
  out.verdict = planVerdictName(plan.verdict).str();
  for (const PlannedOperator &op : plan.operators)
    out.count[opVerdictName(op.level).str()] += op.count;
  return out;
}
} // namespace

/// What the engine multiplies in: fp32, or what most bytes of the matrices are stored in where its arithmetic follows them.
static NumberFormat computeOf(const Model &model, const MigrationPlan &plan) {
  if (!plan.toolchain->arithmeticOfWeights || plan.scheme->weights)
    return NumberFormat::FP32; // of small integers the gate speaks by scheme
  std::map<DType, uint64_t> bytes;
  for (const CheckpointTensor &tensor : model.checkpoint->tensors)
    if (tensor.shape.size() > 1)
      bytes[plan.scheme->storedAs(tensor.type)] += tensor.bytes;
  DType most = DType::F32;
  for (const auto &[type, size] : bytes)
    if (size > bytes[most])
      most = type;
  return most == DType::F16 ? NumberFormat::FP16 : most == DType::BF16 ? NumberFormat::BF16 : NumberFormat::FP32;
}

NumbersRequest flagrelease::numbersRequest(const Model &model, const MigrationPlan &plan, Oracle &reference, Device &device,
                                           const Gate &gate, std::string shipped, std::string taps) {
  NumbersRequest request{reference, device, std::move(shipped), std::move(taps), tapOrderOf(model), gate};
  request.scheme = plan.rounds ? plan.scheme->name : "source";
  request.compute = computeOf(model, plan);
  request.task = model.imported.task;
  request.vocabulary = model.vocabulary();
  request.maxLength = model.maxLength();
  request.layers = model.configInt("num_hidden_layers", 0);
  request.features = model.configInt("hidden_size", 0);
  request.padId = model.padId();
  request.lengthDependent = model.imported.lengthDependent;
  request.extraLengths = longLengths(model);
  auto main = model.imported.module.get().lookupSymbol<mlir::func::FuncOp>(kMainFunction);
  for (unsigned i = 0; i < main.getNumArguments(); ++i) {
    mlir::Type type = main.getArgument(i).getType(), element = elementOf(type);
    ModelInput input;
    input.name = main.getArgAttrOfType<mlir::StringAttr>(i, kNameAttr).str();
    input.type = element.isInteger(1) ? DType::Bool : mlir::isa<mlir::IntegerType>(element) ? DType::I64 : DType::F32;
    for (const DimExpr &dim : dimsOf(type))
      input.dims.push_back(dim.substitute({{"P", 0}}));
    auto numbers = [&](llvm::StringRef name, std::vector<double> &into) {
      if (auto list = main.getArgAttrOfType<mlir::DenseF64ArrayAttr>(i, name))
        into.assign(list.asArrayRef().begin(), list.asArrayRef().end());
    };
    numbers(kRangeAttr, input.range);
    numbers(kExampleAttr, input.example);
    request.inputs.push_back(std::move(input));
  }
  request.sizes = model.imported.sizes;
  model.imported.module.get().walk([&](fr::StateOp state) {
    if (double init = state.getInit().convertToDouble(); init != 0)
      request.stateInit[("past_states." + llvm::Twine(state.getLayer()) + "." + state.getPart()).str()] = init;
  });
  return request;
}

FailureOr<Report> flagrelease::prove(ProofRequest request, Console &console, const WorkOptions &work, Diagnostics &diags) {
  auto started = std::chrono::steady_clock::now();
  const Options &options = request.options;
  Report report;
  report.gate = &request.gate;
  report.tool = kTool;
  report.command = commandLine(options);
  report.where.chip = request.plan.chip->name;
  std::vector<NotRun> notRun;

  bool bytes = options.validate != "none", numbers = options.validate == "numbers";
  if (bytes) {
    console.stage("bytes: derive every tensor again and compare");
    std::map<std::string, std::string> left;
    for (const TensorTable::Ignored &ignored : request.model.imported.ignored)
      left[ignored.name] = ignored.reason;
    mlir::ModuleOp module = *request.artefact.module;
    FailureOr<BytesResult> result =
        checkBytes({request.artefact.manifest, request.outFolder, module, *request.model.checkpoint, left, work}, diags);
    if (failed(result))
      return failure();
    report.bytes = std::move(*result);
    report.checks.push_back(report.bytes->check());
  }

  if (!numbers || request.device.name.empty()) {
    std::string reason = !numbers ? "--validate " + options.validate + " was given" : request.device.why;
    for (GateCheck check : request.gate.required)
      if (check != GateCheck::Bytes || !bytes)
        notRun.push_back({gateCheckName(check).str(), reason});
  } else {
    std::string logFolder = request.outFolder + "/logs";
    std::error_code error;
    fs::create_directories(logFolder, error);
    FailureOr<DeviceConfig> config = deviceConfig(options, console, logFolder, diags);
    if (failed(config) || failed(guardLinks(request.artefact.manifest, request.device.name, *config, diags)))
      return failure();
    console.stage("numbers: start " + request.device.name);
    Diagnostics starting;
    FailureOr<std::unique_ptr<Device>> device = openDevice(request.device.name, *config, starting);
    if (failed(device)) {
      if (request.device.must) {
        // A device that was asked for and cannot start is a matter of this machine, also where the runner's words are what is
        // wrong.
        for (const Problem &problem : starting.errors())
          (void)diags.error(problem.where, problem.what, problem.remedy,
                            problem.cause == Cause::Answer ? Cause::Environment : problem.cause);
        return failure();
      }
      const Problem &problem = starting.errors().front();
      for (GateCheck check : request.gate.required)
        if (check != GateCheck::Bytes)
          notRun.push_back({gateCheckName(check).str(), request.device.name + " cannot start: " + problem.what});
    } else {
      FailureOr<Probe> probe = (*device)->probe(diags);
      if (failed(probe))
        return failure();
      report.where = whereMeasured(request.plan.chip, **device, *probe);
      // The numbers that ship: rounding to the scheme is no error of the device.
      mlir::OwningOpRef<mlir::ModuleOp> shipped = mlir::cast<mlir::ModuleOp>(request.model.imported.module.get()->clone());
      if (failed(runPipeline(*shipped, referencePipeline(request.plan), "", diags)))
        return failure();
      FailureOr<std::unique_ptr<ReferenceModel>> reference =
          ReferenceModel::open(*shipped, *request.model.checkpoint, ReferencePrecision::F32, diags);
      if (failed(reference))
        return failure();
      ReferenceOracle oracle(**reference);
      std::string taps;
      // A checkpoint has no second export: its engine gives taps itself, or none.
      if (request.out && !request.plan.exporter->checkpoint) {
        FailureOr<std::string> folder = writeTapModel(request.model, request.plan, *request.out, options, diags);
        if (failed(folder))
          return failure();
        if (!folder->empty())
          taps = *folder + "/" + request.plan.exporter->entry.str();
      }
      NumbersRequest numbersRequest =
          flagrelease::numbersRequest(request.model, request.plan, oracle, **device, request.gate,
                                      modelPathOf(request.outFolder, request.artefact.manifest), taps);
      std::unique_ptr<ReferenceModel> wide;
      std::optional<ReferenceOracle> wideOracle;
      numbersRequest.precise = [&](Diagnostics &own) -> FailureOr<Oracle *> {
        if (!wide) {
          FailureOr<std::unique_ptr<ReferenceModel>> opened =
              ReferenceModel::open(*shipped, *request.model.checkpoint, ReferencePrecision::F64, own);
          if (failed(opened))
            return failure();
          wide = std::move(*opened);
          wideOracle.emplace(*wide);
        }
        return &*wideOracle;
      };
      if (options.budget >= 0)
        numbersRequest.budgetSeconds = options.budget;
      numbersRequest.stop = work.stop;
      numbersRequest.progress = [&](StringRef name, size_t i, size_t of) {
        console.stage("numbers: case " + name + " (" + Twine(i + 1) + " of " + Twine(of) + ") on " + request.device.name);
      };
      FailureOr<NumbersResult> result = checkNumbers(numbersRequest, diags);
      if (failed(result))
        return failure();
      report.numbers = std::move(*result);
      report.checks.insert(report.checks.end(), report.numbers->checks.begin(), report.numbers->checks.end());
      notRun.insert(notRun.end(), report.numbers->notRun.begin(), report.numbers->notRun.end());
      report.resources.device = (*device)->usage();
    }
  }
  if (!request.plan.toolchain->compile.empty())
    notRun.push_back({"compile", "the compiler " + request.plan.toolchain->compile.front() + " is not driven by this version"});

  report.verdict = decide({request.gate, true, report.where, report.checks,
                           report.numbers ? report.numbers->anomalies : std::vector<Anomaly>(), notRun});
  report.operators = operatorsOf(request.plan);
  report.logs = logsIn(request.outFolder);
  report.lineage.build = request.artefact.manifest.build;
  report.lineage.manifestDigest = request.artefact.manifest.digest();
  report.lineage.model = request.model.source.name;
  report.lineage.family = request.model.imported.recipe;
  report.lineage.task = request.model.imported.task;
  report.lineage.chip = request.plan.chip->name;
  report.lineage.format = request.plan.format;
  report.lineage.scheme = request.plan.scheme->name;
  report.lineage.fallbacks = request.plan.fallbacks;
  report.lineage.evidence = request.model.imported.unprovenOptions.empty() ? "golden" : "reference-only";
  report.lineage.unprovenOptions = request.model.imported.unprovenOptions;
  report.resources.wallSeconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  report.resources.cpuSeconds =
      usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
  report.resources.peakMemory = static_cast<uint64_t>(usage.ru_maxrss) << 10;
  if (work.progress) {
    report.resources.bytesRead = work.progress->bytesRead;
    report.resources.bytesWritten = work.progress->bytesWritten;
  }
  return report;
}

Attestation flagrelease::attestationOf(const Report &report, const Manifest &manifest) {
  Attestation attestation;
  attestation.manifestDigest = manifest.digest();
  attestation.verdict = report.verdict.verdict;
  attestation.reasons = report.verdict.reasons;
  if (report.gate) {
    attestation.gate = report.gate->name;
    attestation.gateDigest = gateDigest(*report.gate);
  }
  attestation.where = report.where;
  attestation.checks = report.checks;
  attestation.notRun = report.verdict.notRun;
  if (report.numbers)
    attestation.casesDigest = report.numbers->cases.digest();
  attestation.tool = report.tool;
  return attestation;
}

int flagrelease::exitCodeOf(const Report &report, const Options &options) {
  bool asked = options.device == "none" || options.validate != "numbers";
  return exitCodeOf(report.verdict.verdict, asked);
}

void flagrelease::printVerdict(const Report &report, Console &console) {
  std::string line = verdictName(report.verdict.verdict).str();
  if (!report.where.device.empty())
    line += " on " + report.where.device + " (" + report.where.probe.engine + " " + report.where.probe.engineVersion + ", " +
            report.where.probe.chip + ")";
  if (report.verdict.proxy)
    line += ", a stand-in for " + report.where.chip;
  console.result(escape::terminal(line));
  for (const std::string &reason : report.verdict.reasons)
    console.result("  " + escape::terminal(reason));
  if (report.numbers) {
    for (const auto &[name, distance] : report.numbers->worstByOutput()) {
      char text[160];
      std::snprintf(text, sizeof text, "  %s: nmse %.2e, largest difference %.2e, cosine %.9f", name.c_str(), distance.nmse,
                    distance.maxAbs, distance.cosine);
      console.result(escape::terminal(text));
    }
    for (const std::string &note : report.numbers->notes)
      console.result("  note: " + escape::terminal(note));
    if (report.numbers->firstDivergence)
      console.result("  first outside: " + escape::terminal(report.numbers->firstDivergence->op));
  }
  // What a reason above says already is not said again.
  for (const NotRun &item : report.verdict.notRun)
    if (llvm::none_of(report.verdict.reasons,
                      [&](const std::string &reason) { return llvm::StringRef(reason).starts_with(item.check + " "); }))
      console.result("  not run: " + escape::terminal(item.check) + ": " + escape::terminal(item.reason));
}

std::string flagrelease::cardOf(const Report &report, const Model &model) {
  std::string text = "# " + escape::markdown(model.source.name) + " for " + report.lineage.chip + "\n\n";
  text += "Made by " + report.tool + " from " + escape::markdown(model.source.name) + " (recipe `" + report.lineage.family +
          "`, task `" + report.lineage.task + "`), format `" + report.lineage.format + "`, scheme `" + report.lineage.scheme +
          "`. The licence is the source's.\n\n";
  text += "**" + verdictName(report.verdict.verdict).str() + "**";
  if (!report.where.device.empty())
    text += ", measured on " + escape::markdown(report.where.device) + (report.verdict.proxy ? ", a stand-in for the chip" : "");
  text += ".\n";
  for (const std::string &reason : report.verdict.reasons)
    text += "* " + escape::markdown(reason) + "\n";
  text +=
      "\nFiles and digests: `manifest.json`. Measurements: `report.json`. Statements: `attestations/`. Repeat it with\n\n    " +
      report.command + "\n";
  return text;
}
