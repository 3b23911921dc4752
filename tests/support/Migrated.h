// A fixture migrated through the program's own steps (cli/), and ONNX Runtime to run it on: one process for all models of a test.
#pragma once

#include "cli/Proof.h"
#include "devices/reference/ReferenceModel.h"
#include "tests/support/Fixture.h"
#include "tests/support/TempFolder.h"

#include <functional>

namespace flagrelease::test {

/// The device `ort:cpu`; null with the reason in diags. The runner process lives as long as this program.
Device *ortCpu(Diagnostics &diags);

/// The shipped gate; the program ends if it cannot be read.
const Gate &defaultGate();

struct MigrateOptions {
  std::string kvCache;           ///< as --kv-cache; empty: the default of the task
  std::string scheme = "source"; ///< as --scheme
  MaterialiseOptions store;
};

/// What `flagrelease migrate FIXTURE --chip x86-64 --format onnx --validate none` leaves, and the objects that it has at its end.
struct Migrated {
  /// A file for the device, and the same graph with every tap as an output.
  struct Files {
    std::string shipped, taps;
  };

  static FailureOr<std::unique_ptr<Migrated>> make(const std::string &fixture, const MigrateOptions &how, Diagnostics &diags);

  /// The same export again, of a module that `change` has changed; the reference keeps the untouched one. Its files lie in the
  /// folder `name` beside the artefact and share the artefact's weights.
  FailureOr<Files> exportChanged(const std::string &name, llvm::function_ref<LogicalResult(mlir::ModuleOp)> change,
                                 Diagnostics &diags);

  /// The step numbers of the migration on `device`; `tune` may change the request.
  FailureOr<NumbersResult> check(Device &device, const Gate &gate, const Files &files, Diagnostics &diags,
                                 const std::function<void(NumbersRequest &)> &tune = nullptr);

  TempFolder folder;
  std::unique_ptr<Console> console; ///< silent
  Options options;
  Golden golden;
  Model model;
  MigrationPlan plan;
  Artefact artefact;
  std::unique_ptr<OutputFolder> out;
  std::unique_ptr<ReferenceModel> reference;
  Files files;

private:
  FailureOr<std::string> writeGraph(const std::string &name, bool taps, Diagnostics &diags);
};

/// --task of a fixture, and the task options that its scores were made with.
std::string taskOf(const Golden &golden);
std::vector<std::string> taskOptionsOf(const Golden &golden);

} // namespace flagrelease::test
