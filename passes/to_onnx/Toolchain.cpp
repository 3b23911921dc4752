#include "passes/to_onnx/Toolchain.h"

#include "ir/Fr.h"

using namespace flagrelease;

static std::optional<NumberFormat> formatOf(mlir::Type type) {
  if (type && type.isUnsignedInteger(4))
    return NumberFormat::UInt4; // no checkpoint stores nibbles as an element type
  if (type && type.isSignlessInteger(4))
    return NumberFormat::Int4;
  std::optional<DType> dtype = type ? dtypeOf(type) : std::nullopt;
  return dtype ? std::optional(numberFormatOf(*dtype)) : std::nullopt;
}

/// The table speaks of operands by position, so every position needs a format: an absent one gets that of the first.
static llvm::SmallVector<NumberFormat> formatsOf(llvm::ArrayRef<mlir::Type> types) {
  llvm::SmallVector<NumberFormat> formats;
  for (mlir::Type type : types) {
    std::optional<NumberFormat> format = formatOf(type);
    formats.push_back(format ? *format : formats.empty() ? NumberFormat::FP32 : formats.front());
  }
  return formats;
}

OpLookup flagrelease::lookUp(const OpTable &table, const OnnxNodeQuery &query) {
  return table.lookup(query.domain, query.op, query.opset, formatsOf(query.operands), formatsOf(query.results));
}

OnnxTarget flagrelease::onnxTarget(const OpTable &table, int64_t opset) {
  OnnxTarget target;
  target.opset = opset;
  target.supported = [&table](const OnnxNodeQuery &query) { return lookUp(table, query).verdict >= OpVerdict::Listed; };
  return target;
}
