#include "devices/RunnerDevice.h"

#include "devices/RunnerBootstrap.h"
#include "devices/TensorFile.h"
#include "text/Escape.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace flagrelease {

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr size_t kMaxPushedFiles = 10'000;

double secondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Regular files below a folder, as relative names in order.
FailureOr<std::vector<std::string>> filesBelow(const std::string &folder, Diagnostics &diags) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error) && !error)
      files.push_back(fs::path(it->path()).lexically_relative(folder).generic_string());
    if (files.size() > kMaxPushedFiles)
      return diags.error(folder, "more than " + Twine(kMaxPushedFiles) + " files to send", "give the device shared paths");
  }
  if (error)
    return diags.error(folder, "cannot list its files: " + error.message(), "check permissions", Cause::Environment);
  std::sort(files.begin(), files.end());
  return files;
}

} // namespace

RunnerDevice::RunnerDevice(DeviceEntry entry, EvidenceTier tier, DeviceConfig config)
    : entry(std::move(entry)), evidence(tier), config(std::move(config)) {}

RunnerDevice::~RunnerDevice() { stop(); }

std::string RunnerDevice::isolation() const {
  // Only the command's name: host names and paths have no place in a report.
  if (remote())
    return "exec: " + escape::terminal(fs::path(entry.exec.front()).filename().string(), 60) +
           " (its own environment, not sandboxed)";
  if (config.noSandbox)
    return "not sandboxed (--no-sandbox)";
  return closedBoxText();
}

LogicalResult RunnerDevice::fail(DeviceFault kind, const Twine &what, const Twine &remedy, Diagnostics &diags) {
  fault = kind;
  return diags.error("device " + entry.name, what, remedy, faultCause(kind));
}

LogicalResult RunnerDevice::failedRequest() {
  fault = runner->lastFault();
  if (!runner->alive())
    loaded = false;
  return failure();
}

FailureOr<LaunchOptions> RunnerDevice::launchOptions(Diagnostics &diags) {
  LaunchOptions options;
  options.scratch = scratch->path();
  options.readable = readable;
  if (remote()) {
    options.sandbox = Sandbox::Exec;
    options.argv = entry.exec;
    options.env = entry.env;
  } else {
    options.sandbox = config.noSandbox ? Sandbox::Bare : Sandbox::Closed;
    const StringRef engine = engineOfRunner(entry.runner);
    std::string python = config.python.empty() ? findRunnerPython(engine) : config.python;
    if (python.empty()) {
      fault = DeviceFault::Start;
      if (!engine.empty())
        return diags.error("device " + entry.name,
                           engine + " is not installed: neither " + runnerPythonVariable(engine) + " nor " +
                               runnerVenvPython(engine),
                           "run tools/install_consumers " + engine, Cause::Environment);
      return diags.error("device " + entry.name, "no Python for runners: neither FLAGRELEASE_PYTHON nor " + runnerVenvPython(),
                         "run tools/install_deps, or set FLAGRELEASE_PYTHON to a Python that has the engine", Cause::Environment);
    }
    options.argv = {python};
    options.maxDataBytes = config.maxDataBytes;
    // No compiled files beside the sources of the venv, which is read-only here.
    options.env = {{"PYTHONDONTWRITEBYTECODE", "1"}, {"PYTHONNOUSERSITE", "1"}};
  }
  if (entry.runner != "self")
    for (std::string &word : runnerInterpreterArguments())
      options.argv.push_back(std::move(word));
  return options;
}

LogicalResult RunnerDevice::start(Diagnostics &diags) {
  if (runner && runner->alive())
    return success();
  stop();
  fault = DeviceFault::Start;
  if (!scratch) {
    FailureOr<ScratchFolder> made = ScratchFolder::create(config.scratchParent, diags);
    if (failed(made))
      return failure();
    scratch = std::move(*made);
    if (::mkdir((scratch->path() + "/exchange").c_str(), 0700) != 0)
      return diags.error(scratch->path(), "cannot make a folder in it: " + Twine(strerror(errno)), "check permissions and space",
                         Cause::Environment);
  }
  RunnerOptions options;
  options.name = entry.name;
  FailureOr<LaunchOptions> launching = launchOptions(diags);
  if (failed(launching))
    return failure();
  options.launch = std::move(*launching);
  if (entry.runner != "self") {
    std::string script = StringRef(entry.runner).contains('/') ? entry.runner : config.runnersFolder + "/" + entry.runner + ".py";
    FailureOr<std::string> line = runnerBootstrap(config.runnersFolder + "/fr_runner.py", script, entry.env, diags);
    if (failed(line))
      return failure();
    options.bootstrap = std::move(*line);
  }
  if (!config.logFolder.empty()) {
    std::string file = entry.name;
    std::replace_if(file.begin(), file.end(), [](char c) { return !llvm::isAlnum(c) && c != '-' && c != '_'; }, '_');
    options.logPath = config.logFolder + "/" + file + "-" + std::to_string(++starts) + ".log";
  }
  options.startTimeout = config.startTimeout, options.silence = config.silence;
  options.heartbeat = config.heartbeat, options.grace = config.grace;
  options.stop = config.stop, options.onLife = config.onLife;
  FailureOr<std::unique_ptr<Runner>> started = Runner::start(std::move(options), diags, fault);
  if (failed(started))
    return failure();
  runner = std::move(*started);
  if (const json::Value *own = runner->hello().find("tier"); own && own->isString())
    for (EvidenceTier tier : {EvidenceTier::T1, EvidenceTier::T2, EvidenceTier::T3})
      if (own->string() == tierName(tier))
        evidence = tier;
  return success();
}

void RunnerDevice::stop() {
  loaded = false;
  if (!runner)
    return;
  runner->close();
  used.peakRss = std::max(used.peakRss, runner->peakRss());
  used.cpuSeconds += runner->cpuSeconds();
  used.bytesSent += runner->bytesSent();
  runner.reset();
}

DeviceUsage RunnerDevice::usage() const {
  DeviceUsage now = used;
  if (runner) {
    now.peakRss = std::max(now.peakRss, runner->peakRss());
    now.cpuSeconds += runner->cpuSeconds();
    now.bytesSent += runner->bytesSent();
  }
  return now;
}

FailureOr<Probe> RunnerDevice::probe(Diagnostics &diags) {
  if (probed)
    return *probed;
  if (failed(start(diags)))
    return failure();
  FailureOr<json::Value> result = runner->request("probe", {}, timeout(), diags);
  if (failed(result))
    return failedRequest();
  FailureOr<Probe> read = readProbe(*result, diags);
  if (failed(read))
    return failure();
  fault = DeviceFault::None;
  probed = std::move(*read);
  return *probed;
}

std::optional<std::string> RunnerDevice::farPath(StringRef local) const {
  if (!remote())
    return local.str();
  const PathPair *best = nullptr;
  for (const PathPair &pair : entry.paths) {
    StringRef folder = pair.local;
    bool inside = folder == "/" || local == folder ||
                  (local.starts_with(folder) && local.size() > folder.size() && local[folder.size()] == '/');
    if (inside && (!best || folder.size() > best->local.size()))
      best = &pair;
  }
  if (!best)
    return std::nullopt;
  StringRef rest = best->local == "/" ? local : local.drop_front(best->local.size());
  return best->remote == "/" ? rest.str() : best->remote + rest.str();
}

milliseconds RunnerDevice::transferTimeout(uint64_t bytes) const {
  return timeout() + milliseconds(bytes / 1000); // 1 MB/s: a slow line, not a dead one
}

FailureOr<json::Value> RunnerDevice::placeModel(const std::string &path, Diagnostics &diags) {
  if (std::optional<std::string> far = farPath(path))
    return json::Value(json::Object{{"path", *far}});
  if (!entry.push) {
    // Neither is given: the far side sees the same files under the same names (a container, a batch system).
    if (entry.paths.empty())
      return json::Value(json::Object{{"path", path}});
    fault = DeviceFault::BadInput;
    return diags.error(entry.place.empty() ? "device " + entry.name : entry.place,
                       escape::terminal(path) + " is in none of the folders that device " + entry.name +
                           " shares with this machine",
                       "add a pair to its paths:, or push: true to send the files");
  }
  std::error_code error;
  const bool isFolder = fs::is_directory(path, error);
  std::string folder = isFolder ? path : fs::path(path).parent_path().string();
  // External data lies beside the graph, so a file means its folder.
  FailureOr<std::vector<std::string>> files = filesBelow(folder, diags);
  if (failed(files))
    return failure();
  // A folder of its own for each load: what an earlier one left must not be found.
  std::string root = "model-" + std::to_string(runs++);
  for (const std::string &file : *files) {
    std::string full = folder + "/" + file;
    if (failed(runner->put(root + "/" + file, full, transferTimeout(fs::file_size(full, error)), diags)))
      return failedRequest();
  }
  return json::Value(json::Object{{"sent", isFolder ? root : root + "/" + fs::path(path).filename().string()}});
}

FailureOr<LoadedModel> RunnerDevice::load(StringRef artefact, const LoadOptions &options, Diagnostics &diags) {
  loaded = false;
  std::error_code error;
  std::string path = fs::absolute(artefact.str(), error).lexically_normal().string();
  if (path.size() > 1 && path.back() == '/')
    path.pop_back();
  if (!fs::exists(path, error)) {
    fault = DeviceFault::BadInput;
    return diags.error(escape::terminal(path), "no such file or folder", "name what a migration wrote");
  }
  // The sandbox covers /run, unless it knows that something there is needed.
  std::string real = fs::canonical(path, error).string();
  if (!remote() && (StringRef(path).starts_with("/run/") || StringRef(real).starts_with("/run/")) &&
      !llvm::is_contained(readable, path)) {
    stop();
    readable.push_back(path), readable.push_back(real);
  }
  if (failed(start(diags)))
    return failure();
  const auto begin = std::chrono::steady_clock::now();
  FailureOr<json::Value> place = placeModel(path, diags);
  if (failed(place))
    return failure();
  json::Array wanted;
  for (const std::string &output : options.outputs)
    wanted.push_back(output);
  milliseconds limit = options.timeout.count() > 0 ? options.timeout : timeout();
  FailureOr<json::Value> result =
      runner->request("load", {{"model", *place}, {"outputs", std::move(wanted)}, {"threads", options.threads}}, limit, diags);
  if (failed(result))
    return failedRequest();
  FailureOr<LoadedModel> read = readLoaded(*result, diags);
  if (failed(read))
    return failure();
  for (const std::string &output : options.outputs)
    if (llvm::none_of(read->outputs, [&](const TensorSpec &spec) { return spec.name == output; }))
      return fail(DeviceFault::BadAnswer, "the loaded model has no output " + escape::terminal(output) + ", which was asked for",
                  "see docs/runner-protocol.md", diags);
  if (!options.outputs.empty())
    llvm::erase_if(read->outputs, [&](const TensorSpec &spec) { return !llvm::is_contained(options.outputs, spec.name); });
  model = *read;
  loaded = true;
  fault = DeviceFault::None;
  used.loadSeconds += secondsSince(begin);
  return read;
}

FailureOr<NamedTensors> RunnerDevice::run(const NamedTensors &inputs, Diagnostics &diags) {
  if (!loaded || !runner || !runner->alive())
    return fail(fault == DeviceFault::None ? DeviceFault::BadInput : fault, "no model is loaded", "load one first", diags);
  const auto begin = std::chrono::steady_clock::now();
  const std::string stem = scratch->path() + "/exchange/" + std::to_string(runs++);
  const std::string inputFile = stem + "-in.safetensors", outputFile = stem + "-out.safetensors";
  auto cleanUp = llvm::make_scope_exit([&] { ::unlink(inputFile.c_str()), ::unlink(outputFile.c_str()); });
  if (failed(writeTensorFile(inputFile, inputs, diags))) {
    fault = DeviceFault::Failed;
    return failure();
  }
  std::error_code error;
  const uint64_t inputBytes = fs::file_size(inputFile, error);

  json::Value from, to;
  std::optional<std::string> farIn = farPath(inputFile), farOut = farPath(outputFile);
  int received = -1;
  auto closeReceived = llvm::make_scope_exit([&] {
    if (received >= 0)
      ::close(received);
  });
  Runner::Sink sink;
  int64_t at = 0;
  if (farIn && farOut) {
    from = json::Object{{"path", *farIn}}, to = json::Object{{"path", *farOut}};
    used.bytesSent += inputBytes;
  } else {
    if (failed(runner->put("inputs.safetensors", inputFile, transferTimeout(inputBytes), diags)))
      return failedRequest();
    from = json::Object{{"sent", "inputs.safetensors"}}, to = json::Object{{"send", true}};
    received = ::open(outputFile.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    sink = [&](const Frame &frame) -> std::string {
      const json::Value *offset = frame.body.find("offset");
      if (!offset || offset->asInt() != at)
        return "data that does not follow what came before, at byte " + std::to_string(at);
      at += static_cast<int64_t>(frame.payload.size());
      if (static_cast<uint64_t>(at) > config.maxAnswerBytes)
        return "more than " + std::to_string(config.maxAnswerBytes) + " bytes of data";
      if (::write(received, frame.payload.data(), frame.payload.size()) != static_cast<ssize_t>(frame.payload.size()))
        return "data that cannot be kept: " + std::string(strerror(errno));
      return "";
    };
  }
  FailureOr<json::Value> result = runner->request("run", {{"inputs", from}, {"outputs", to}}, timeout(), diags, sink);
  if (failed(result))
    return failedRequest();
  FailureOr<NamedTensors> outputs = readAnswer(*result, outputFile, diags);
  if (failed(outputs))
    return failure();
  ++used.runs;
  used.runSeconds += secondsSince(begin);
  used.bytesReceived += fs::file_size(outputFile, error);
  fault = DeviceFault::None;
  return outputs;
}

} // namespace flagrelease
