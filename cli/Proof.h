// Proves an artefact: chooses the device, runs the checks that the gate wants, decides, and writes what was seen.
#pragma once

#include "cli/Artefact.h"
#include "devices/OpenDevice.h"
#include "validators/Attestation.h"
#include "validators/Numbers.h"
#include "validators/Report.h"

namespace flagrelease {

/// Which device a chip's artefact is measured on.
struct DeviceChoice {
  std::string name;   ///< empty: none
  bool must = false;  ///< named by --device, or the default of a host CPU: that it cannot start is exit 3
  bool proxy = false; ///< a stand-in for the chip
  std::string why;    ///< when there is none
};

/// The user's devices and the shipped ones, ready to open.
FailureOr<DeviceConfig> deviceConfig(const Options &options, Console &console, const std::string &logFolder, Diagnostics &diags);
/// Refuses to show a hard link to a runner that could write into it: `file` of an artefact is one with a file of the source.
LogicalResult guardLink(const std::string &where, const std::string &file, const std::string &device, const DeviceConfig &config,
                        Diagnostics &diags);
/// As guardLink, of every file that a manifest marks.
LogicalResult guardLinks(const Manifest &manifest, const std::string &device, const DeviceConfig &config, Diagnostics &diags);
/// A name that openDevice() knows, or none, of a device that loads `format`; before anything is started. A runner of the user's
/// own may load anything.
LogicalResult checkDevice(const std::string &name, StringRef format, const DeviceConfig &config, Diagnostics &diags);
DeviceChoice chooseDevice(const Options &options, const ChipRecipe &chip, StringRef format, const DeviceConfig &config);

struct ProofRequest {
  const Options &options;
  const Model &model;
  const MigrationPlan &plan;
  Artefact &artefact; ///< its manifest is complete; its module may be changed to nothing by nobody
  const Gate &gate;
  std::string outFolder;
  const OutputFolder *out = nullptr; ///< of a migration: the model with taps is made in its work folder
  DeviceChoice device;
};

/// Runs the checks of --validate and decides. Environment, cases and logs are in the report.
FailureOr<Report> prove(ProofRequest request, Console &console, const WorkOptions &work, Diagnostics &diags);

/// The step numbers of a migrated model: `shipped` and `taps` (may be empty) are files that the device loads.
NumbersRequest numbersRequest(const Model &model, const MigrationPlan &plan, Oracle &reference, Device &device, const Gate &gate,
                              std::string shipped, std::string taps);

/// The attestation of a report.
Attestation attestationOf(const Report &report, const Manifest &manifest);
/// "ACCEPT: …" and what it rests on, for people.
void printVerdict(const Report &report, Console &console);
/// Exit code of a report under these options.
int exitCodeOf(const Report &report, const Options &options);
/// The model card of the output folder.
std::string cardOf(const Report &report, const Model &model);
/// What decides whether a finished run has this validation already.
std::string validationKey(const Options &options, const DeviceChoice &device, const Gate &gate);
/// The command as typed, quoted for a shell, without the machine's folders.
std::string commandLine(const Options &options);

} // namespace flagrelease
