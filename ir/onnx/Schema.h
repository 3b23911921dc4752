// What the ONNX standard says of an operator at an opset: arity, attributes, element types. The table is generated from the
// Python package (tools/gen_onnx_schemas.py); operators of com.microsoft that patterns use stand in ContribSchemas.inc.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace flagrelease {

/// The default domain as it is written here; in the file format it is the empty string.
inline constexpr llvm::StringLiteral kOnnxDomain = "ai.onnx";
inline constexpr llvm::StringLiteral kMicrosoftDomain = "com.microsoft";

/// One row: an operator from the opset `since` on, until a newer row of the same operator. The lists are kept as the generator
/// wrote them and read when an op is verified: "A:T B?:T C*:T" with `?` optional, `*` variadic, `~` types may differ, `:=` a
/// fixed element type instead of a type variable; attributes "axis:i to:i!" with kinds i f s t I F S g, `!` required; types "T:3"
/// names a set of elementTypeSet.
struct OnnxSchema {
  const char *domain;
  const char *name;
  int32_t since;
  bool deprecated;
  int32_t minInputs, maxInputs; ///< max -1: any number
  int32_t minOutputs, maxOutputs;
  const char *inputs, *outputs, *attributes, *types;
};

/// The row in force at `opset` of the domain; null if the operator is unknown, newer, or deprecated there.
const OnnxSchema *findOnnxSchema(llvm::StringRef domain, llvm::StringRef name, int64_t opset);
/// False for operators of other domains, and for those that ONNX Runtime registers in the default domain without the standard.
bool isStandardOnnx(llvm::StringRef domain, llvm::StringRef name);
/// The first opset of the table at which an operator is known; nullopt for an unknown one.
std::optional<int64_t> firstOnnxOpset(llvm::StringRef domain, llvm::StringRef name);
/// "bf16,f16,f32": the element types of one set, sorted. Names are those of MLIR, with f8 for its f8E... and ui for unsigned.
llvm::StringRef onnxElementTypeSet(unsigned index);

/// Version of the Python package that the table was made from: "1.23.2".
llvm::StringRef onnxSchemaVersion();
/// Opsets that the table covers, and the version of the file format that came with one.
int64_t oldestOnnxOpset();
int64_t newestOnnxOpset();
std::optional<int64_t> onnxIrVersion(int64_t opset);

} // namespace flagrelease
