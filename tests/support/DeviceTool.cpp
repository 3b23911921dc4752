// Runs a device as the program does, in its sandbox, for trying things by hand and for tests/consumers:
//   flagrelease-device DEVICE MODEL [--threads N] [--no-sandbox] [INPUTS.safetensors OUTPUTS.safetensors]...
// Prints one JSON object: tier, isolation, engine, engine_version, chip, load_seconds, run_seconds, peak_rss. Exit 1 with the
// problems on stderr.
#include "devices/OpenDevice.h"
#include "devices/TensorFile.h"
#include "text/Json.h"

#include "llvm/ADT/StringExtras.h"

#include <cstdio>

using namespace flagrelease;

namespace {
int fail(const Diagnostics &diags) {
  for (const Problem &problem : diags.errors())
    std::fprintf(stderr, "%s: %s\n  %s\n", problem.where.c_str(), problem.what.c_str(), problem.remedy.c_str());
  return 1;
}
} // namespace

int main(int argc, char **argv) {
  DeviceConfig config;
  config.runnersFolder = FLAGRELEASE_SOURCE_DIR "/devices/runners";
  LoadOptions options;
  std::vector<std::string> words;
  bool wrong = false;
  for (int i = 1; i < argc; ++i) {
    StringRef word = argv[i];
    if (word == "--threads" && i + 1 < argc)
      wrong |= !llvm::to_integer(argv[++i], options.threads);
    else if (word == "--no-sandbox")
      config.noSandbox = true;
    else
      words.push_back(word.str());
  }
  if (wrong || words.size() < 2 || words.size() % 2) {
    std::fprintf(stderr, "usage: flagrelease-device DEVICE MODEL [--threads N] [--no-sandbox] [INPUTS OUTPUTS]...\n");
    return 2;
  }
  Diagnostics diags;
  FailureOr<std::unique_ptr<Device>> device = openDevice(words[0], config, diags);
  if (failed(device))
    return fail(diags);
  FailureOr<Probe> probe = (*device)->probe(diags);
  if (failed(probe) || failed((*device)->load(words[1], options, diags)))
    return fail(diags);
  for (size_t i = 2; i < words.size(); i += 2) {
    FailureOr<NamedTensors> inputs = readTensorFile(words[i], config.maxAnswerBytes, diags);
    if (failed(inputs))
      return fail(diags);
    FailureOr<NamedTensors> outputs = (*device)->run(*inputs, diags);
    if (failed(outputs) || failed(writeTensorFile(words[i + 1], *outputs, diags)))
      return fail(diags);
  }
  const DeviceUsage usage = (*device)->usage();
  json::Object told{{"tier", tierName((*device)->tier()).str()},
                    {"isolation", (*device)->isolation()},
                    {"engine", probe->engine},
                    {"engine_version", probe->engineVersion},
                    {"chip", probe->chip},
                    {"load_seconds", usage.loadSeconds},
                    {"run_seconds", usage.runSeconds},
                    {"peak_rss", static_cast<int64_t>(usage.peakRss)}};
  std::printf("%s\n", json::toText(json::Value(std::move(told))).c_str());
  return 0;
}
