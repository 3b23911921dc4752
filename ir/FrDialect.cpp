#include "ir/Fr.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::fr;

#include "ir/FrDialect.cpp.inc"
#include "ir/FrEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "ir/FrAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "ir/FrOps.cpp.inc"

void FrDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ir/FrAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "ir/FrOps.cpp.inc"
      >();
}

// #fr.dims<B, P + S, _>

Attribute DimsAttr::parse(AsmParser &parser, Type) {
  SmallVector<StringAttr> names;
  auto parseTerm = [&](std::string &text) -> ParseResult {
    int64_t number = 0;
    OptionalParseResult hasNumber = parser.parseOptionalInteger(number);
    if (hasNumber.has_value()) {
      if (failed(*hasNumber))
        return failure();
      text += std::to_string(number);
      if (failed(parser.parseOptionalStar()))
        return success();
      text += "*";
    }
    do {
      StringRef symbol;
      if (parser.parseKeyword(&symbol))
        return failure();
      text += symbol;
      if (failed(parser.parseOptionalStar()))
        return success();
      text += "*";
    } while (true);
  };
  auto parseDim = [&]() -> ParseResult {
    std::string text;
    if (succeeded(parser.parseOptionalString(&text))) {
      // A floor is no sequence of this parser's tokens.
    } else if (parseTerm(text)) {
      return failure();
    }
    while (succeeded(parser.parseOptionalPlus())) {
      text += " + ";
      if (parseTerm(text))
        return failure();
    }
    if (text != "_") {
      std::optional<DimExpr> expr = DimExpr::parse(text);
      if (!expr)
        return parser.emitError(parser.getCurrentLocation()) << "'" << text << "' is no size";
      text = expr->str();
    }
    names.push_back(StringAttr::get(parser.getContext(), text));
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, parseDim))
    return {};
  return parser.getChecked<DimsAttr>(parser.getContext(), names);
}

void DimsAttr::print(AsmPrinter &printer) const {
  printer << "<";
  llvm::interleaveComma(getNames(), printer, [&](StringAttr name) {
    bool quoted = name.getValue().contains('(');
    printer << (quoted ? "\"" : "") << name.getValue() << (quoted ? "\"" : "");
  });
  printer << ">";
}

LogicalResult DimsAttr::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<StringAttr> names) {
  for (StringAttr name : names)
    if (name.getValue() != "_" && !DimExpr::parse(name.getValue()))
      return emitError() << "'" << name.getValue() << "' is no size";
  return success();
}

LogicalResult DimsAttr::verifyEncoding(ArrayRef<int64_t> shape, Type, function_ref<InFlightDiagnostic()> emitError) const {
  if (shape.size() != getNames().size())
    return emitError() << "#fr.dims has " << getNames().size() << " entries for rank " << shape.size();
  bool dynamic = false;
  for (auto [i, size] : llvm::enumerate(shape)) {
    StringRef name = getNames()[i].getValue();
    if (ShapedType::isDynamic(size) != (name != "_"))
      return emitError() << "dimension " << i << " has size "
                         << (ShapedType::isDynamic(size) ? std::string("?") : std::to_string(size)) << " and name '" << name
                         << "': a dynamic size has a name, a static one has '_'";
    if (ShapedType::isDynamic(size) && DimExpr::parse(name)->isStatic())
      return emitError() << "dimension " << i << " is dynamic but its size is the number " << name;
    dynamic |= ShapedType::isDynamic(size);
  }
  // One spelling per type: a tensor of static sizes has no encoding.
  return dynamic ? success() : emitError() << "#fr.dims on a tensor whose sizes are all static";
}

bool flagrelease::hasNamedSizes(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  // The verifier of the encoding has compared it with the shape.
  return tensor && (tensor.hasStaticShape() || isa_and_nonnull<DimsAttr>(tensor.getEncoding()));
}

RankedTensorType flagrelease::tensorType(ArrayRef<DimExpr> dims, Type element) {
  MLIRContext *context = element.getContext();
  SmallVector<int64_t> shape;
  SmallVector<StringAttr> names;
  bool dynamic = false;
  for (const DimExpr &dim : dims) {
    bool isStatic = dim.isStatic();
    shape.push_back(isStatic ? dim.value() : ShapedType::kDynamic);
    names.push_back(StringAttr::get(context, isStatic ? "_" : dim.str()));
    dynamic |= !isStatic;
  }
  return RankedTensorType::get(shape, element, dynamic ? Attribute(DimsAttr::get(context, names)) : Attribute());
}

DimExprs flagrelease::dimsOf(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  auto names = dyn_cast_or_null<DimsAttr>(tensor.getEncoding());
  DimExprs dims;
  for (auto [i, size] : llvm::enumerate(tensor.getShape())) {
    if (!ShapedType::isDynamic(size)) {
      dims.push_back(DimExpr(size));
      continue;
    }
    assert(names && "a dynamic size without #fr.dims");
    dims.push_back(*DimExpr::parse(names.getNames()[i].getValue()));
  }
  return dims;
}

Type flagrelease::mlirType(DType type, MLIRContext *context) {
  Builder b(context);
  switch (type) {
  case DType::F64:
    return b.getF64Type();
  case DType::F32:
    return b.getF32Type();
  case DType::F16:
    return b.getF16Type();
  case DType::BF16:
    return b.getBF16Type();
  case DType::F8E4M3:
    return b.getFloat8E4M3FNType();
  case DType::F8E5M2:
    return b.getFloat8E5M2Type();
  // MLIR 19 has no E8M0: carried as its byte, si8 keeps it apart from ordinary 8-bit data.
  case DType::F8E8M0:
    return IntegerType::get(context, 8, IntegerType::Signed);
  case DType::I64:
    return b.getI64Type();
  case DType::I32:
    return b.getI32Type();
  case DType::I16:
    return b.getI16Type();
  case DType::I8:
    return b.getI8Type();
  case DType::U64:
    return IntegerType::get(context, 64, IntegerType::Unsigned);
  case DType::U32:
    return IntegerType::get(context, 32, IntegerType::Unsigned);
  case DType::U16:
    return IntegerType::get(context, 16, IntegerType::Unsigned);
  case DType::U8:
    return IntegerType::get(context, 8, IntegerType::Unsigned);
  case DType::Bool:
    return b.getI1Type();
  case DType::F8E4M3Fnuz:
    return b.getFloat8E4M3FNUZType();
  case DType::F8E5M2Fnuz:
    return b.getFloat8E5M2FNUZType();
  // As E8M0: MLIR 19 has no floats below 8 bits, and nothing else uses integers of these widths.
  case DType::F6E2M3:
    return IntegerType::get(context, 6, IntegerType::Signed);
  case DType::F6E3M2:
    return IntegerType::get(context, 6, IntegerType::Unsigned);
  case DType::F4:
    return IntegerType::get(context, 4, IntegerType::Signed);
  case DType::C64:
    return ComplexType::get(b.getF32Type());
  }
  llvm_unreachable("all element types are listed");
}

std::optional<DType> flagrelease::dtypeOf(Type element) {
  for (int i = 0; i <= static_cast<int>(kLastDType); ++i)
    if (mlirType(static_cast<DType>(i), element.getContext()) == element)
      return static_cast<DType>(i);
  return std::nullopt;
}
