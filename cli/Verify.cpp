// Bytes: every file of an artefact against its manifest, and what was said about it.
#include "cli/Knowledge.h"
#include "cli/Source.h"
#include "cli/Verbs.h"
#include "text/Escape.h"
#include "text/Json.h"
#include "text/Sizes.h"
#include "validators/Attestation.h"
#include "weights/Manifest.h"

using namespace flagrelease;

namespace {
int run(const Options &options, Console &console, Diagnostics &diags) {
  FailureOr<Manifest> manifest = readManifest(options.source, diags);
  if (failed(manifest))
    return exitCodeOf(diags);
  FailureOr<uint64_t> memory = parseSize(options.memory, "--memory", diags);
  if (failed(memory))
    return 2;
  WorkOptions work;
  work.jobs = options.jobs ? options.jobs : defaultJobs();
  work.memory = boundedMemory(*memory);
  work.stop = &console.stop;
  work.progress = &console.progress;
  console.stage("hash " + options.source);
  LogicalResult same = verifyManifest(options.source, *manifest, work, diags);
  FailureOr<std::vector<Attestation>> attestations = readAttestations(options.source, diags);
  if (failed(attestations))
    return exitCodeOf(diags);
  int code = exitCodeOf(diags);
  // What was said is said of other bytes if these differ.
  std::vector<Attestation> newest = failed(same) ? std::vector<Attestation>() : newestPerChip(*attestations, manifest->digest());
  for (const Attestation &attestation : newest)
    if (isRejection(attestation.verdict) && !code)
      code = 1;
  uint64_t bytes = 0;
  for (const ManifestFile &file : manifest->files)
    bytes += file.bytes;
  if (options.json) {
    json::Object root;
    root.set("verified", succeeded(same));
    root.set("files", static_cast<int64_t>(manifest->files.size()));
    root.set("bytes", bytes);
    root.set("manifest", manifest->digest());
    json::Array said;
    for (const Attestation &attestation : newest) {
      json::Object entry;
      entry.set("chip", attestation.where.chip);
      entry.set("device", attestation.where.device);
      entry.set("verdict", verdictName(attestation.verdict).str());
      said.emplace_back(entry);
    }
    root.set("attestations", said);
    console.result(json::toText(json::Value(root)));
    return code;
  }
  if (succeeded(same))
    console.result("verified: " + Twine(manifest->files.size()) + " files, " + humanBytes(bytes) + ", manifest sha256 " +
                   manifest->digest());
  for (const Attestation &attestation : newest)
    console.result("  " + verdictName(attestation.verdict) + " for " + escape::terminal(attestation.where.chip) + " on " +
                   (attestation.where.device.empty() ? std::string("no device") : escape::terminal(attestation.where.device)));
  return code;
}

void declare(CLI::App &app, Options &options) {
  app.add_option("artefact", options.source, "the folder that a migration wrote")->required()->type_name("OUT");
  declareCommon(app, options);
  declareWork(app, options);
}
} // namespace

const Verb flagrelease::kVerify = {"verify", "hash an artefact again and compare with its manifest", declare, run};
