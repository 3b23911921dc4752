// Writes and describes what a migration makes: DESIGN section 7.
#pragma once

#include "cli/Planning.h"
#include "exporters/Exporter.h"
#include "exporters/Serve.h"
#include "weights/Manifest.h"
#include "weights/OutputFolder.h"
#include "weights/params/ParamEvaluator.h"

namespace flagrelease {

/// The lowered module, its files, and what became of them.
struct Artefact {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string moduleDigest;
  ExportPlan files;
  SideFiles beside;             ///< of the source
  std::vector<ServeFile> serve; ///< how it is started
  Manifest manifest;
};

/// sha256 of the printed module.
std::string digestOf(mlir::ModuleOp module);

/// Lays out the files of the lowered module; nothing is written.
FailureOr<Artefact> layOut(const Model &model, const MigrationPlan &plan, mlir::OwningOpRef<mlir::ModuleOp> module,
                           Diagnostics &diags);

/// Places and writes everything under model/, and fills artefact.manifest.
LogicalResult writeArtefact(const Options &options, const Model &model, const MigrationPlan &plan, Artefact &artefact,
                            OutputFolder &out, const WorkOptions &work, Diagnostics &diags);

/// Writes the same graph with taps as outputs to a folder of its own, its weights as links (or copies) of model/'s. Returns the
/// folder; empty if it could not be made, with a note.
FailureOr<std::string> writeTapModel(const Model &model, const MigrationPlan &plan, const OutputFolder &out,
                                     const Options &options, Diagnostics &diags);

/// model/pipeline.json: parts, files, inputs, outputs, and what a caller must know to run them.
std::string pipelineJson(const Model &model, const MigrationPlan &plan, const Artefact &artefact);

/// What a device loads of an artefact with this manifest: a file of `folder`, or its model/ folder.
/// The format that the manifest states; empty where it states none.
std::string formatOf(const Manifest &manifest);
std::string modelPathOf(const std::string &folder, const Manifest &manifest);
/// What model/pipeline.json of an artefact says about states that do not begin with 0; nothing where there is none.
std::map<std::string, double> stateInitOf(const std::string &folder);

} // namespace flagrelease
