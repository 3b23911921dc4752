#include "ir/onnx/Schema.h"

#include "llvm/ADT/STLExtras.h"

using namespace flagrelease;
using llvm::StringRef;

namespace {
#define ROW(domain, name, since, deprecated, minIn, maxIn, minOut, maxOut, inputs, outputs, attributes, types)                   \
  {domain, name, since, deprecated != 0, minIn, maxIn, minOut, maxOut, inputs, outputs, attributes, types},
constexpr OnnxSchema kStandard[] = {
#include "ir/onnx/Schemas.inc"
};
constexpr OnnxSchema kContrib[] = {
#include "ir/onnx/ContribSchemas.inc"
};
#undef ROW

constexpr const char *kTypeSets[] = {
#define TYPES(index, names) names,
#include "ir/onnx/Schemas.inc"
#undef TYPES
};

struct OpsetVersion {
  int32_t opset, ir;
};
constexpr OpsetVersion kOpsets[] = {
#define OPSET(opset, ir) {opset, ir},
#include "ir/onnx/Schemas.inc"
#undef OPSET
};

constexpr llvm::StringLiteral kVersion =
#define VERSION(text) text;
#include "ir/onnx/Schemas.inc"
#undef VERSION
} // namespace

const OnnxSchema *flagrelease::findOnnxSchema(StringRef domain, StringRef name, int64_t opset) {
  // A few hundred rows: a scan costs a microsecond or two and needs no index at start-up.
  const OnnxSchema *best = nullptr;
  for (llvm::ArrayRef<OnnxSchema> rows : {llvm::ArrayRef(kStandard), llvm::ArrayRef(kContrib)})
    for (const OnnxSchema &row : rows)
      if (name == row.name && domain == row.domain && row.since <= opset && (!best || row.since > best->since))
        best = &row;
  return best && !best->deprecated ? best : nullptr;
}

std::optional<int64_t> flagrelease::firstOnnxOpset(StringRef domain, StringRef name) {
  std::optional<int64_t> first;
  for (llvm::ArrayRef<OnnxSchema> rows : {llvm::ArrayRef(kStandard), llvm::ArrayRef(kContrib)})
    for (const OnnxSchema &row : rows)
      if (name == row.name && domain == row.domain && (!first || row.since < *first))
        first = row.since;
  return first;
}

bool flagrelease::isStandardOnnx(StringRef domain, StringRef name) {
  return llvm::any_of(kStandard, [&](const OnnxSchema &row) { return name == row.name && domain == row.domain; });
}

StringRef flagrelease::onnxElementTypeSet(unsigned index) { return index < std::size(kTypeSets) ? kTypeSets[index] : ""; }
StringRef flagrelease::onnxSchemaVersion() { return kVersion; }
int64_t flagrelease::oldestOnnxOpset() { return std::begin(kOpsets)->opset; }
int64_t flagrelease::newestOnnxOpset() { return std::prev(std::end(kOpsets))->opset; }
std::optional<int64_t> flagrelease::onnxIrVersion(int64_t opset) {
  for (const OpsetVersion &row : kOpsets)
    if (row.opset == opset)
      return row.ir;
  return std::nullopt;
}
