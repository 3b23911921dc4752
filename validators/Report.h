// report.json (docs/report.schema.json) and the object of `validate --json` (DESIGN sections 2 and 7).
#pragma once

#include "validators/Bytes.h"
#include "validators/Golden.h"
#include "validators/Numbers.h"
#include "validators/Verdict.h"
#include "weights/Manifest.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace flagrelease {

/// A raw log under <out>/logs.
struct LogFile {
  std::string name; ///< relative to <out>
  uint64_t bytes = 0;
  std::string sha256;
};

struct ReportResources {
  double wallSeconds = 0, cpuSeconds = 0;
  uint64_t peakMemory = 0; ///< of this program
  uint64_t bytesRead = 0, bytesWritten = 0;
  DeviceUsage device; ///< of the runner, apart
};

struct ReportOperators {
  std::string verdict;                  ///< of the plan: "FEASIBLE", "LIKELY", …; empty: not checked
  std::map<std::string, int64_t> count; ///< level ("executed", "native", …) -> operators
  std::string reason;                   ///< why they were not checked
};

struct ReportLineage {
  ManifestBuild build;
  std::string manifestDigest;
  std::string model, family, task, chip, format, scheme;
  std::string evidence; ///< of the recipe: "golden", "reference-only"
  std::vector<std::string> unprovenOptions;
  std::map<std::string, std::string> fallbacks; ///< tensor → why the scheme does not fit it, and how it is stored
};

struct Report {
  VerdictResult verdict;
  const Gate *gate = nullptr; ///< null: --validate none
  Measured where;
  std::optional<NumbersResult> numbers;
  std::optional<BytesResult> bytes;
  std::optional<GoldenResult> golden;
  std::vector<CheckResult> checks;
  std::vector<LogFile> logs;
  ReportOperators operators;
  ReportResources resources;
  ReportLineage lineage;
  std::string tool;
  std::string command; ///< repeats it
};

/// Canonical text of report.json. Fails (a mistake of the program: Cause::Answer) where the verdict rests on numbers and
/// environment, cases or logs are missing.
FailureOr<std::string> reportJson(const Report &report, Diagnostics &diags);

/// One line of JSON: verdict, chip, device, on_target, outputs [{name, nmse, max_abs, cosine}], not_run [{check, reason}],
/// first_divergence; and beside what DESIGN names: reasons, proxy, checks, anomalies, notes.
std::string validateJson(const Report &report);

/// Digest of the gate's file.
std::string gateDigest(const Gate &gate);

} // namespace flagrelease
