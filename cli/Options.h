// What a command line says. One struct for all verbs: a flag means the same everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flagrelease {

struct Options {
  // What
  std::string source; ///< a folder, a file, hf://owner/name, ms://owner/name
  std::string chip, format, scheme = "source", task;
  std::string kvCache; ///< none, dynamic, static:N; empty: the default of task and toolchain
  int64_t context = 0, batch = 0;
  std::vector<std::string> assumeInert, taskOptions;
  bool allowRangeLoss = false, allowRequantize = false, allowTypeFallback = false, strictPlan = false;

  // Where to
  std::string out, shardSize;
  bool force = false, link = false;
  std::string wait;

  // Proof
  std::string device, devicesFile, gate = "default", validate = "numbers", golden, against;
  double budget = -1;
  bool noSandbox = false;

  // run
  std::string inputs, promptIds;
  bool taps = false;
  int64_t greedy = 0;

  // How
  std::string memory = "1GiB", recipes, progress = "auto", dumpDir;
  unsigned jobs = 0;
  bool json = false, quiet = false, verbose = false, offline = false, allowCommands = false;

  // list, check
  std::string topic, show;
  bool markdown = false;

  std::vector<std::string> argv; ///< as typed, for "the one command that repeats it"
};

} // namespace flagrelease
