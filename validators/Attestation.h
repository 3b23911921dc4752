// attestations/<n>-<chip>-<device>.json: one statement per validation, about exactly one manifest. An in-toto Statement, version
// 1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md), in canonical text, so that it can be signed as it
// is. No host, user or path in it. Files are never changed; the one with the highest number is the newest.
#pragma once

#include "validators/Checks.h"
#include "validators/Verdict.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

struct Attestation {
  std::string manifestDigest; ///< sha256, hex: the subject
  Verdict verdict = Verdict::Unproven;
  std::vector<std::string> reasons;
  std::string gate, gateDigest;
  Measured where;
  std::vector<CheckResult> checks;
  std::vector<NotRun> notRun;
  std::string casesDigest; ///< empty: no numbers
  std::string tool;        ///< "flagrelease 0.1.0"
  uint64_t number = 0;     ///< of the file; set by readers and writers

  std::string toJson() const;
};

/// Checks the subject's form, type and verdict; the rest is read as far as it is there.
FailureOr<Attestation> parseAttestation(StringRef text, StringRef fileName, Diagnostics &diags);

/// "3-ascend-910b3-ort-cpu.json": characters outside [A-Za-z0-9._-] become '-'; "none" for an empty chip or device.
std::string attestationFileName(uint64_t number, StringRef chip, StringRef device);

/// Adds a file with the next number under <out>/attestations, which is made. Returns its path relative to <out>.
FailureOr<std::string> writeAttestation(const std::string &outFolder, const Attestation &attestation, Diagnostics &diags);

/// All of <out>/attestations by rising number; none if there is no such folder. A file that is no attestation is an error.
FailureOr<std::vector<Attestation>> readAttestations(const std::string &outFolder, Diagnostics &diags);

/// The newest per chip that is about this manifest, ordered by chip.
std::vector<Attestation> newestPerChip(const std::vector<Attestation> &all, StringRef manifestDigest);

} // namespace flagrelease
