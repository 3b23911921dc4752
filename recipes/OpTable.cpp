#include "recipes/OpTable.h"

#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/ErrorHandling.h"

namespace flagrelease {

StringRef opVerdictName(OpVerdict verdict) {
  switch (verdict) {
  case OpVerdict::Unsupported:
    return "unsupported";
  case OpVerdict::Unknown:
    return "unknown";
  case OpVerdict::Listed:
    return "listed";
  case OpVerdict::Native:
    return "native";
  case OpVerdict::Executed:
    return "executed";
  }
  llvm_unreachable("a verdict that is none");
}

StringRef opVocabularyName(OpVocabulary vocabulary) {
  switch (vocabulary) {
  case OpVocabulary::Onnx:
    return "onnx";
  case OpVocabulary::Aten:
    return "aten";
  case OpVocabulary::Ggml:
    return "ggml";
  }
  llvm_unreachable("a vocabulary that is none");
}

static std::string keyOf(StringRef domain, StringRef op) {
  return domain.empty() || domain == "ai.onnx" ? op.str() : (domain + ":" + op).str();
}

static bool has(llvm::ArrayRef<NumberFormat> formats, NumberFormat format) {
  return llvm::any_of(formats, [&](NumberFormat one) { return covers(one, format); });
}

static std::string namesOf(llvm::ArrayRef<NumberFormat> formats) {
  std::vector<StringRef> names;
  for (NumberFormat format : formats)
    names.push_back(numberFormatName(format));
  return listed(names, 24);
}

/// The type that an entry's dtypes speak of, if the caller knows it.
static std::optional<NumberFormat> decidingType(int operand, llvm::ArrayRef<NumberFormat> operands,
                                                llvm::ArrayRef<NumberFormat> results) {
  if (operand < 0)
    return results.empty() ? std::nullopt : std::optional(results.front());
  if (static_cast<size_t>(operand) < operands.size())
    return operands[operand];
  // A constant has no operand at all: its type is its result's.
  return operands.empty() && !results.empty() ? std::optional(results.front()) : std::nullopt;
}

/// What execution says; nothing if this type and opset were not tried.
static std::optional<OpLookup> fromEvidence(const OpTable &table, llvm::ArrayRef<OpEvidence> all, int64_t opset,
                                            std::optional<NumberFormat> type) {
  for (const OpEvidence &seen : all) {
    if (!seen.opset.contains(opset))
      continue;
    const bool compared = type ? has(seen.compared, *type) : !seen.compared.empty();
    const bool ran = type ? has(seen.ran, *type) : !seen.ran.empty();
    if (compared || ran)
      return OpLookup{OpVerdict::Executed,
                      "executed with " + table.engine + (compared ? ", numbers compared" : ", numbers not compared"), ""};
    if (type && has(seen.refused, *type))
      return OpLookup{OpVerdict::Unsupported, "tried with " + table.engine + (seen.error.empty() ? "" : ": " + seen.error), ""};
  }
  return std::nullopt;
}

OpLookup OpTable::lookup(StringRef domain, StringRef op, int64_t graphOpset, llvm::ArrayRef<NumberFormat> operands,
                         llvm::ArrayRef<NumberFormat> results) const {
  const std::string key = keyOf(domain, op);
  const bool ownDomain = key == op;
  auto entry = ops.find(key);
  const OpEntry *found = entry == ops.end() ? nullptr : &entry->second;
  const std::optional<NumberFormat> type = decidingType(found ? found->operand : 0, operands, results);
  const std::string limits = found ? found->limits : "";

  if (auto seen = evidence.find(key); seen != evidence.end())
    if (std::optional<OpLookup> answer = fromEvidence(*this, seen->second, graphOpset, type)) {
      answer->limits = limits;
      return *answer;
    }
  if (ownDomain && !opset.contains(graphOpset))
    return {OpVerdict::Unsupported,
            toolchain + " reads opset " + opset.str() + ", the graph imports " + std::to_string(graphOpset), limits};
  if (unsupported.contains(key))
    return {OpVerdict::Unsupported, toolchain + " names it as not supported", ""};
  if (!found) {
    if (notFound.contains(key))
      return {OpVerdict::Unknown,
              "looked for in the sources of " + toolchain + " and not found, which is no proof: " + closedBecause, ""};
    if (closed)
      return {OpVerdict::Unsupported, "not among the operators of " + toolchain + " (" + closedBecause + ")", ""};
    return {OpVerdict::Unknown, "not in the table of " + toolchain + ", which is open: " + closedBecause, ""};
  }
  const std::string word = found->because.empty() ? toolchain : found->because;
  if (found->verdict == OpVerdict::Unsupported)
    return {OpVerdict::Unsupported, word, limits};
  if (!found->opset.contains(graphOpset))
    return {OpVerdict::Unsupported, "taken in opset " + found->opset.str() + ", the graph imports " + std::to_string(graphOpset),
            limits};
  if (type && !found->dtypes.empty() && !has(found->dtypes, *type))
    return {OpVerdict::Unsupported, numberFormatName(*type).str() + " is not among its types: " + namesOf(found->dtypes), limits};
  if (found->verdict == OpVerdict::Native && !found->dtypes.empty() && !type)
    return {OpVerdict::Listed, word + "; its element type is not known here", limits};
  return {found->verdict, word, limits};
}

const OpTable *OpTables::find(StringRef name) const {
  auto it = tables.find(name.str());
  return it == tables.end() ? nullptr : &it->second;
}

std::vector<std::string> OpTables::names() const {
  std::vector<std::string> names;
  for (const auto &[name, table] : tables)
    names.push_back(name);
  return names;
}

FailureOr<const OpTable *> OpTables::get(StringRef name, StringRef where, Diagnostics &diags) const {
  if (const OpTable *table = find(name))
    return table;
  std::vector<std::string> known = names();
  return diags.error(where, "unknown operator table '" + Twine(name) + "'" + nearestNote(name, known),
                     "known: " + Twine(listed(known)));
}

} // namespace flagrelease
