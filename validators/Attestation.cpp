#include "validators/Attestation.h"

#include "text/Json.h"
#include "validators/ReportParts.h"
#include "weights/Digest.h"
#include "weights/Files.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <algorithm>
#include <filesystem>
#include <map>

namespace flagrelease {

namespace {
constexpr llvm::StringLiteral kStatement = "https://in-toto.io/Statement/v1";
constexpr llvm::StringLiteral kPredicate = "urn:flagrelease:validation:1";
constexpr llvm::StringLiteral kFolder = "attestations";
constexpr uint64_t kMaxBytes = uint64_t(16) << 20;
constexpr uint64_t kMaxNumber = 1'000'000'000;

/// The number in "12-chip-device.json"; nothing for another name.
std::optional<uint64_t> numberOf(StringRef name) {
  uint64_t number = 0;
  if (!name.ends_with(".json") || name.consumeInteger(10, number) || !name.starts_with("-") || number == 0 || number > kMaxNumber)
    return std::nullopt;
  return number;
}

std::string text(const json::Value *value, StringRef key) {
  const json::Value *found = value ? value->find(key) : nullptr;
  return found && found->isString() ? found->string().str() : "";
}

/// Names and paths of the files, by number.
FailureOr<std::map<uint64_t, std::string>> filesIn(const std::string &folder, Diagnostics &diags) {
  std::map<uint64_t, std::string> files;
  std::error_code error;
  if (!std::filesystem::exists(folder, error))
    return files;
  std::filesystem::directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::optional<uint64_t> number = numberOf(name);
    if (!number)
      continue;
    if (!files.emplace(*number, it->path().string()).second)
      return diags.error(it->path().string(), "has the number of another attestation",
                         "an attestation is never changed: remove the file that does not belong there");
  }
  if (error)
    return systemError(diags, folder, "read the folder", error.value());
  return files;
}
} // namespace

std::string Attestation::toJson() const {
  json::Object measured = measuredJson(where);
  measured.append("probe", probeJson(where.probe));
  json::Object predicate{{"tool", tool},
                         {"verdict", verdictName(verdict)},
                         {"reasons", textsJson(reasons)},
                         {"gate", json::Object{{"name", gate}, {"sha256", gateDigest}}},
                         {"measured", std::move(measured)},
                         {"checks", checksJson(checks)},
                         {"not_run", notRunJson(notRun)},
                         {"cases_sha256", casesDigest.empty() ? json::Value() : json::Value(casesDigest)}};
  json::Object subject{{"name", "manifest.json"}, {"digest", json::Object{{"sha256", manifestDigest}}}};
  return json::toText(json::Object{{"_type", StringRef(kStatement)},
                                   {"subject", json::Array{std::move(subject)}},
                                   {"predicateType", StringRef(kPredicate)},
                                   {"predicate", std::move(predicate)}},
                      json::Writer::Style::Pretty);
}

FailureOr<Attestation> parseAttestation(StringRef content, StringRef fileName, Diagnostics &diags) {
  FailureOr<json::Value> root = json::parse(content, fileName, diags);
  if (failed(root))
    return failure();
  auto wrong = [&](const Twine &what) {
    return diags.error(fileName, "is no attestation of a validation: " + what,
                       "attestations are never changed: take the original, or remove this file");
  };
  if (text(&*root, "_type") != kStatement || text(&*root, "predicateType") != kPredicate)
    return wrong("_type or predicateType is another");
  const json::Value *subject = root->find("subject"), *predicate = root->find("predicate");
  if (!subject || !subject->isArray() || subject->array().size() != 1 || !predicate || !predicate->isObject())
    return wrong("one subject and a predicate are needed");
  Attestation result;
  result.manifestDigest = text(subject->array()[0].find("digest"), "sha256");
  if (!isSha256(result.manifestDigest))
    return wrong("the subject has no sha256");
  std::optional<Verdict> verdict = parseVerdict(text(predicate, "verdict"));
  if (!verdict)
    return wrong("its verdict is none");
  result.verdict = *verdict;
  result.tool = text(predicate, "tool");
  result.casesDigest = text(predicate, "cases_sha256");
  result.gate = text(predicate->find("gate"), "name");
  result.gateDigest = text(predicate->find("gate"), "sha256");
  if (const json::Value *reasons = predicate->find("reasons"); reasons && reasons->isArray())
    for (const json::Value &reason : reasons->array())
      if (reason.isString())
        result.reasons.push_back(reason.string().str());
  if (const json::Value *notRun = predicate->find("not_run"); notRun && notRun->isArray())
    for (const json::Value &one : notRun->array())
      result.notRun.push_back({text(&one, "check"), text(&one, "reason")});
  if (const json::Value *checks = predicate->find("checks"); checks && checks->isArray())
    for (const json::Value &one : checks->array())
      for (GateCheck check :
           {GateCheck::Bytes, GateCheck::Prefill, GateCheck::Decode, GateCheck::Batch, GateCheck::Cache, GateCheck::Tokens})
        for (CheckState state :
             {CheckState::Passed, CheckState::Failed, CheckState::Undecided, CheckState::NotRun, CheckState::NotApplicable})
          if (text(&one, "check") == gateCheckName(check) && text(&one, "state") == checkStateName(state))
            result.checks.push_back({check, state, text(&one, "reason")});
  if (const json::Value *measured = predicate->find("measured")) {
    result.where.chip = text(measured, "chip");
    result.where.device = text(measured, "device");
    result.where.why = text(measured, "why");
    result.where.isolation = text(measured, "isolation");
    if (const json::Value *onTarget = measured->find("on_target"))
      result.where.onTarget = onTarget->asBool().value_or(false);
    for (Tier tier : {Tier::T1, Tier::T2, Tier::T3})
      if (text(measured, "tier") == tierName(tier))
        result.where.tier = tier;
    const json::Value *probe = measured->find("probe");
    Probe &own = result.where.probe;
    own.chip = text(probe, "chip");
    own.driver = text(probe, "driver");
    own.sdk = text(probe, "sdk");
    own.engine = text(probe, "engine");
    own.engineVersion = text(probe, "engine_version");
    own.os = text(probe, "os");
    own.cpu = text(probe, "cpu");
    auto bytes = [&](StringRef key) -> uint64_t {
      const json::Value *found = probe ? probe->find(key) : nullptr;
      return found && found->isInt() && found->integer() > 0 ? static_cast<uint64_t>(found->integer()) : 0;
    };
    own.memoryBytes = bytes("memory_bytes");
    own.deviceMemoryBytes = bytes("device_memory_bytes");
    if (const json::Value *versions = probe ? probe->find("versions") : nullptr; versions && versions->isObject())
      for (const json::Member &member : versions->object())
        if (member.value.isString())
          own.versions[member.key] = member.value.string().str();
  }
  return result;
}

std::string attestationFileName(uint64_t number, StringRef chip, StringRef device) {
  auto plain = [](StringRef name) {
    std::string result;
    for (char c : name.take_front(100))
      result += llvm::isAlnum(c) || c == '.' || c == '_' || c == '-' ? c : '-';
    return result.empty() ? std::string("none") : result;
  };
  return std::to_string(number) + "-" + plain(chip) + "-" + plain(device) + ".json";
}

FailureOr<std::string> writeAttestation(const std::string &outFolder, const Attestation &attestation, Diagnostics &diags) {
  const std::string folder = outFolder + "/" + kFolder.str();
  FailureOr<std::map<uint64_t, std::string>> files = filesIn(folder, diags);
  if (failed(files) || failed(makeFolders(folder, diags)))
    return failure();
  const uint64_t number = files->empty() ? 1 : files->rbegin()->first + 1;
  const std::string relative =
      kFolder.str() + "/" + attestationFileName(number, attestation.where.chip, attestation.where.device);
  if (failed(writeFileAtomically(outFolder + "/" + relative, attestation.toJson(), diags)))
    return failure();
  return relative;
}

FailureOr<std::vector<Attestation>> readAttestations(const std::string &outFolder, Diagnostics &diags) {
  FailureOr<std::map<uint64_t, std::string>> files = filesIn(outFolder + "/" + kFolder.str(), diags);
  if (failed(files))
    return failure();
  std::vector<Attestation> all;
  bool good = true;
  for (const auto &[number, path] : *files) {
    FailureOr<std::string> content = readSmallFile(path, kMaxBytes, diags);
    FailureOr<Attestation> one = failed(content) ? FailureOr<Attestation>(failure()) : parseAttestation(*content, path, diags);
    if (failed(one)) {
      good = false;
      continue;
    }
    one->number = number;
    all.push_back(std::move(*one));
  }
  if (!good)
    return failure();
  return all;
}

std::vector<Attestation> newestPerChip(const std::vector<Attestation> &all, StringRef manifestDigest) {
  std::map<std::string, const Attestation *> newest;
  for (const Attestation &one : all) {
    if (one.manifestDigest != manifestDigest)
      continue;
    const Attestation *&known = newest[one.where.chip];
    if (!known || known->number < one.number)
      known = &one;
  }
  std::vector<Attestation> result;
  for (const auto &[chip, one] : newest)
    result.push_back(*one);
  return result;
}

} // namespace flagrelease
