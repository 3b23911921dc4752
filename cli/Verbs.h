// One file per verb, one table (Main.cpp).
#pragma once

#include "cli/Console.h"

#include <CLI/CLI.hpp>

namespace flagrelease {

struct Verb {
  const char *name, *summary;
  void (*declare)(CLI::App &, Options &);
  /// Problems go into the Diagnostics, which Main prints; the exit code is the result.
  int (*run)(const Options &, Console &, Diagnostics &);
};

extern const Verb kCheck, kDoctor, kInspect, kList, kMigrate, kPlan, kRun, kValidate, kVerify;

// Groups of flags that several verbs share.
void declareSource(CLI::App &app, Options &options);
void declareTarget(CLI::App &app, Options &options);
void declareOutput(CLI::App &app, Options &options);
void declareProof(CLI::App &app, Options &options);
void declareWork(CLI::App &app, Options &options);
void declareCommon(CLI::App &app, Options &options);

} // namespace flagrelease
