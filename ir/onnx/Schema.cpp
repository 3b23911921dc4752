#include "ir/onnx/Schema.h"

#include <algorithm>
#include <cstring>

using namespace flagrelease;
using llvm::StringRef;

namespace {
constexpr OnnxSchema kRows[] = {
#define ROW(domain, name, since, deprecated, minIn, maxIn, minOut, maxOut, inputs, outputs, attributes, types)                   \
  {domain, name, since, deprecated != 0, minIn, maxIn, minOut, maxOut, inputs, outputs, attributes, types},
#include "ir/onnx/Schemas.inc"
#include "ir/onnx/ContribSchemas.inc"
#undef ROW
};

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
  for (const OnnxSchema &row : kRows)
    if (name == row.name && domain == row.domain && row.since <= opset && (!best || row.since > best->since))
      best = &row;
  return best && !best->deprecated ? best : nullptr;
}

llvm::ArrayRef<OnnxSchema> flagrelease::onnxSchemas() { return kRows; }
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
