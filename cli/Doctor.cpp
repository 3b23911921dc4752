// What is installed, and what would be missing.
#include "cli/Proof.h"
#include "cli/Verbs.h"
#include "devices/OpenDevice.h"
#include "text/Escape.h"
#include "text/Sizes.h"
#include "weights/Cast.h"

#include "llvm/Support/FileSystem.h"

#include <filesystem>

using namespace flagrelease;

namespace {
struct Finding {
  std::string name, state, detail;
};

int run(const Options &options, Console &console, Diagnostics &diags) {
  std::vector<Finding> findings;
  FailureOr<std::string> home = homeFolder(diags);
  if (failed(home))
    return exitCodeOf(diags);
  findings.push_back({"recipes", "ok", *home + "/recipes"});
  const char *levels[] = {"plain", "AVX2", "AVX-512"};
  findings.push_back(
      {"cpu", "ok", std::string(levels[static_cast<int>(bestCpuLevel())]) + ", " + std::to_string(defaultJobs()) + " threads"});
  findings.push_back(
      {"memory", "ok", humanBytes(boundedMemory(uint64_t(1) << 30)) + " of the default 1 GiB is free for weights"});
  std::string python = findRunnerPython();
  const char *const remedy = "run tools/install_deps, or set FLAGRELEASE_PYTHON to a Python that has its packages";
  if (python.empty())
    findings.push_back({"python", "missing", remedy});
  else if (StringRef(python).contains('/') && !llvm::sys::fs::can_execute(python))
    findings.push_back({"python", "missing", python + ": no such program; " + remedy});
  else
    findings.push_back({"python", "ok", python});
  FailureOr<DeviceConfig> config = deviceConfig(options, console, "", diags);
  if (failed(config))
    return exitCodeOf(diags);
  std::vector<std::string> names;
  for (const ShippedDevice &device : shippedDevices())
    names.push_back(device.name);
  for (const DeviceEntry &entry : config->entries)
    names.push_back(entry.name);
  for (const std::string &name : names) {
    Diagnostics quiet;
    FailureOr<std::unique_ptr<Device>> device = openDevice(name, *config, quiet);
    if (failed(device)) {
      // An engine that a migration can do without is no fault of this machine.
      const ShippedDevice *shipped = findShippedDevice(name);
      const bool optional = shipped && *shipped->engine;
      findings.push_back({"device " + name, optional ? "absent" : "missing",
                          quiet.errors().front().what + "; " + quiet.errors().front().remedy});
      continue;
    }
    FailureOr<Probe> probe = (*device)->probe(quiet);
    std::string tier = tierName((*device)->tier()).str() + "; ";
    findings.push_back(
        {"device " + name, "ok",
         failed(probe) ? tier + (*device)->isolation()
                       : probe->engine + " " + probe->engineVersion + ", " + probe->chip + ", " + tier + (*device)->isolation()});
  }
  if (options.json) {
    json::Array array;
    for (const Finding &finding : findings) {
      json::Object entry;
      entry.set("name", finding.name);
      entry.set("state", finding.state);
      entry.set("detail", finding.detail);
      array.emplace_back(entry);
    }
    console.result(json::toText(json::Value(array)));
  } else {
    for (const Finding &finding : findings)
      console.result(finding.state + std::string(finding.state.size() < 8 ? 8 - finding.state.size() : 1, ' ') +
                     escape::terminal(finding.name) + ": " + escape::terminal(finding.detail));
  }
  return llvm::any_of(findings, [](const Finding &f) { return f.state == "missing"; }) ? 3 : 0;
}

void declare(CLI::App &app, Options &options) {
  app.add_option("--devices", options.devicesFile, "devices.yaml to try")->type_name("FILE");
  app.add_flag("--no-sandbox", options.noSandbox, "start runners without isolation");
  declareCommon(app, options);
}
} // namespace

const Verb flagrelease::kDoctor = {"doctor", "say what is installed and what is missing", declare, run};
