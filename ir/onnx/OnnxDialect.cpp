#include "ir/onnx/Onnx.h"

#include "ir/Fr.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::onnx_ir;

#include "ir/onnx/OnnxDialect.cpp.inc"

#define GET_OP_CLASSES
#include "ir/onnx/OnnxOps.cpp.inc"

void OnnxDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "ir/onnx/OnnxOps.cpp.inc"
      >();
}

// The implicit terminator of a body that is being built.
void YieldOp::build(OpBuilder &, OperationState &) {}

LogicalResult OnnxDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  if (attribute.getName() != kOpsetAttr)
    return op->emitError("unknown attribute '") << attribute.getName().getValue() << "'";
  auto domains = dyn_cast<DictionaryAttr>(attribute.getValue());
  if (!isa<ModuleOp>(op) || !domains ||
      !llvm::all_of(domains, [](NamedAttribute entry) { return isa<IntegerAttr>(entry.getValue()); }))
    return op->emitError("'") << kOpsetAttr << "' is a dictionary from domains to versions on a module";
  return success();
}

std::optional<int64_t> onnx_ir::opsetOf(Operation *op, StringRef domain) {
  auto module = dyn_cast<ModuleOp>(op);
  if (!module)
    module = op->getParentOfType<ModuleOp>();
  auto domains = module ? module->getAttrOfType<DictionaryAttr>(kOpsetAttr) : DictionaryAttr();
  auto version = domains ? domains.getAs<IntegerAttr>(domain) : IntegerAttr();
  return version ? std::optional(version.getInt()) : std::nullopt;
}

StringRef onnx_ir::elementTypeName(Type element) {
  if (auto integer = dyn_cast<IntegerType>(element)) {
    bool isUnsigned = integer.isUnsigned();
    switch (integer.getWidth()) {
    case 1:
      return "i1";
    case 4:
      return isUnsigned ? "ui4" : "i4";
    // A signed byte carries E8M0 in this program (ir/Fr.h); a signless one is an ordinary int8.
    case 8:
      return isUnsigned ? "ui8" : integer.isSigned() ? "f8e8m0" : "i8";
    case 16:
      return isUnsigned ? "ui16" : "i16";
    case 32:
      return isUnsigned ? "ui32" : "i32";
    case 64:
      return isUnsigned ? "ui64" : "i64";
    default:
      return "";
    }
  }
  if (element.isF32())
    return "f32";
  if (element.isF64())
    return "f64";
  if (element.isF16())
    return "f16";
  if (element.isBF16())
    return "bf16";
  if (isa<Float8E4M3FNType>(element))
    return "f8e4m3fn";
  if (isa<Float8E5M2Type>(element))
    return "f8e5m2";
  return "";
}

int32_t onnx_ir::elementTypeNumber(Type element) {
  static constexpr std::pair<StringLiteral, int32_t> kNumbers[] = {
      {"f32", 1},   {"ui8", 2},       {"i8", 3},      {"ui16", 4}, {"i16", 5},   {"i32", 6},
      {"i64", 7},   {"i1", 9},        {"f16", 10},    {"f64", 11}, {"ui32", 12}, {"ui64", 13},
      {"bf16", 16}, {"f8e4m3fn", 17}, {"f8e5m2", 19}, {"ui4", 21}, {"i4", 22},   {"f8e8m0", 24}};
  StringRef name = elementTypeName(element);
  for (auto [known, number] : kNumbers)
    if (name == known)
      return number;
  return 0;
}

//===----------------------------------------------------------------------===//
// onnx.op
//===----------------------------------------------------------------------===//

// onnx.op [domain] "Name"(%inputs) [{attributes}] [attributes {...}] : (types) -> types

ParseResult NodeOp::parse(OpAsmParser &parser, OperationState &result) {
  Builder &builder = parser.getBuilder();
  StringRef domain;
  if (succeeded(parser.parseOptionalKeyword(&domain)))
    result.addAttribute(getDomainAttrName(result.name), builder.getStringAttr(domain));
  StringAttr name;
  SmallVector<OpAsmParser::UnresolvedOperand> inputs;
  if (parser.parseAttribute(name, getOpTypeAttrName(result.name), result.attributes) ||
      parser.parseOperandList(inputs, OpAsmParser::Delimiter::Paren))
    return failure();
  NamedAttrList attributes;
  SMLoc attributesAt = parser.getCurrentLocation();
  if (parser.parseOptionalAttrDict(attributes))
    return failure();
  if (!attributes.empty()) {
    if (attributes.findDuplicate())
      return parser.emitError(attributesAt, "names an attribute twice");
    result.addAttribute(getNodeAttributesAttrName(result.name), attributes.getDictionary(parser.getContext()));
  }
  FunctionType type;
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes) || parser.parseColonType(type))
    return failure();
  result.addTypes(type.getResults());
  return parser.resolveOperands(inputs, type.getInputs(), parser.getNameLoc(), result.operands);
}

void NodeOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  if (getDomain())
    printer << *getDomain() << ' ';
  printer.printAttribute(getOpTypeAttr());
  printer << '(' << getInputs() << ')';
  if (getNodeAttributes())
    printer.printOptionalAttrDict(getNodeAttributes()->getValue());
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(),
                                           {getOpTypeAttrName(), getDomainAttrName(), getNodeAttributesAttrName()});
  printer << " : ";
  printer.printFunctionalType(*this);
}

StringRef NodeOp::getDomainName() { return getDomain() ? *getDomain() : StringRef("ai.onnx"); }

//===----------------------------------------------------------------------===//
// onnx.constant, onnx.none
//===----------------------------------------------------------------------===//

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

LogicalResult ConstantOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc, ValueRange operands,
                                           DictionaryAttr attributes, OpaqueProperties properties, RegionRange regions,
                                           SmallVectorImpl<Type> &results) {
  ConstantOp::Adaptor op(operands, attributes, properties, regions);
  results.push_back(op.getValue().getType());
  return success();
}

//===----------------------------------------------------------------------===//
// onnx.view
//===----------------------------------------------------------------------===//

LogicalResult ViewOp::verify() {
  auto bitsOf = [](RankedTensorType type) { return type.getNumElements() * type.getElementTypeBitWidth(); };
  auto from = cast<RankedTensorType>(getParam().getType()), to = cast<RankedTensorType>(getType());
  if (!getParam().getDefiningOp<fr::UseOp>())
    return emitOpError("is of a param");
  if (!from.hasStaticShape() || !to.hasStaticShape() || bitsOf(from) != bitsOf(to) || elementTypeNumber(to.getElementType()) == 0)
    return emitOpError() << to << " is not the bytes of " << from;
  return success();
}
