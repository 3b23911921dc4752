// Verifies onnx.op against the schema of its operator at the module's opset.
#include "ir/onnx/Onnx.h"
#include "ir/onnx/Schema.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::onnx_ir;

namespace {

/// One entry of the columns `inputs` and `outputs`.
struct Formal {
  StringRef name, type; ///< type: a variable, or an element type when `fixed`
  bool optional = false, variadic = false, mayDiffer = false, fixed = false;
};

Formal parseFormal(StringRef text) {
  Formal formal;
  auto [name, type] = text.split(':');
  formal.mayDiffer = name.consume_back("~");
  formal.optional = name.consume_back("?");
  formal.variadic = name.consume_back("*");
  formal.fixed = type.consume_front("=");
  formal.name = name;
  formal.type = type;
  return formal;
}

/// The formal parameter of position `i`: the last one goes on if it is variadic.
Formal formalAt(ArrayRef<StringRef> column, size_t i) { return parseFormal(column[std::min(i, column.size() - 1)]); }

bool contains(StringRef commaList, StringRef name) {
  SmallVector<StringRef> names;
  commaList.split(names, ',', -1, false);
  return llvm::is_contained(names, name);
}

bool hasKind(Attribute value, char kind) {
  switch (kind) {
  case 'i': {
    auto integer = dyn_cast<IntegerAttr>(value);
    return integer && integer.getType().isSignlessInteger(64);
  }
  case 'f': {
    auto number = dyn_cast<FloatAttr>(value);
    return number && number.getType().isF32();
  }
  case 's':
    return isa<StringAttr>(value);
  case 't':
    return isa<ElementsAttr>(value);
  case 'I':
    return isa<DenseI64ArrayAttr>(value);
  case 'F':
    return isa<DenseF32ArrayAttr>(value);
  case 'S':
    return isa<ArrayAttr>(value) && llvm::all_of(cast<ArrayAttr>(value), [](Attribute a) { return isa<StringAttr>(a); });
  default:
    return false; // graphs and sparse tensors: no module of ours holds them
  }
}

StringRef kindName(char kind) {
  switch (kind) {
  case 'i':
    return "an i64";
  case 'f':
    return "an f32";
  case 's':
    return "a string";
  case 't':
    return "a tensor";
  case 'I':
    return "an array<i64>";
  case 'F':
    return "an array<f32>";
  case 'S':
    return "an array of strings";
  default:
    return "a graph, which is not supported";
  }
}

class Verifier {
public:
  Verifier(NodeOp op, const OnnxSchema &schema) : op(op), schema(schema) {
    SmallVector<StringRef> entries;
    StringRef(schema.types).split(entries, ' ', -1, false);
    for (StringRef entry : entries) {
      auto [variable, set] = entry.split(':');
      unsigned index = ~0u;
      set.getAsInteger(10, index);
      allowed[variable] = onnxElementTypeSet(index);
    }
  }

  LogicalResult run() {
    if (failed(arity("inputs", op.getInputs().size(), schema.minInputs, schema.maxInputs)) ||
        failed(arity("outputs", op.getOutputs().size(), schema.minOutputs, schema.maxOutputs)))
      return failure();
    if (failed(values("input", schema.inputs, op.getInputs())) || failed(values("output", schema.outputs, op.getOutputs())))
      return failure();
    return attributes();
  }

private:
  InFlightDiagnostic error() { return op.emitOpError() << '"' << op.getOpType() << "\" (since " << schema.since << ") "; }

  LogicalResult arity(StringRef what, int64_t count, int64_t least, int64_t most) {
    if (count < least || (most >= 0 && count > most))
      return error() << "has " << count << ' ' << what << ", takes " << least
                     << (most < 0        ? std::string(" or more")
                         : most == least ? std::string()
                                         : " to " + std::to_string(most));
    return success();
  }

  LogicalResult values(StringRef what, StringRef column, ValueRange operands) {
    SmallVector<StringRef> formals;
    column.split(formals, ' ', -1, false);
    for (auto [i, value] : llvm::enumerate(operands)) {
      Formal formal = formalAt(formals, i);
      auto tensor = dyn_cast<RankedTensorType>(value.getType());
      if (!tensor) {
        if (isa<NoneType>(value.getType()) && formal.optional)
          continue;
        return error() << what << ' ' << i << " (" << formal.name << ") has type " << value.getType();
      }
      StringRef element = elementTypeName(tensor.getElementType());
      StringRef set = formal.fixed ? formal.type : allowed.lookup(formal.type);
      if (element.empty() || !contains(set, element))
        return error() << what << ' ' << i << " (" << formal.name << ") has elements " << tensor.getElementType() << ", takes "
                       << set;
      if (formal.fixed || formal.mayDiffer)
        continue;
      auto [it, isFirst] = bound.try_emplace(formal.type, element);
      if (!isFirst && it->second != element)
        return error() << what << ' ' << i << " (" << formal.name << ") has elements " << element << " where " << it->second
                       << " stood for " << formal.type;
    }
    return success();
  }

  LogicalResult attributes() {
    SmallVector<StringRef> entries;
    StringRef(schema.attributes).split(entries, ' ', -1, false);
    DictionaryAttr given = op.getNodeAttributesAttr();
    SmallVector<StringRef> known;
    for (StringRef entry : entries) {
      auto [name, kind] = entry.split(':');
      known.push_back(name);
      Attribute value = given ? given.get(name) : Attribute();
      if (!value && kind.ends_with("!"))
        return error() << "lacks attribute '" << name << "'";
      if (value && !hasKind(value, kind.front()))
        return error() << "attribute '" << name << "' is not " << kindName(kind.front()) << ": " << value;
    }
    if (given)
      for (NamedAttribute attribute : given)
        if (!llvm::is_contained(known, attribute.getName().getValue()))
          return error() << "has no attribute '" << attribute.getName().getValue() << "'";
    return success();
  }

  NodeOp op;
  const OnnxSchema &schema;
  llvm::StringMap<StringRef> allowed; ///< type variable -> element types
  llvm::StringMap<StringRef> bound;   ///< type variable -> the element type it stands for in this op
};

} // namespace

LogicalResult NodeOp::verify() {
  StringRef domain = getDomainName();
  std::optional<int64_t> opset = opsetOf(*this, domain);
  if (!opset)
    return emitOpError() << '"' << getOpType() << "\" is of domain " << domain << ", for which the module states no "
                         << kOpsetAttr;
  if (const OnnxSchema *schema = findOnnxSchema(domain, getOpType(), *opset))
    return Verifier(*this, *schema).run();
  InFlightDiagnostic diagnostic = emitOpError();
  diagnostic << '"' << getOpType() << "\" is no operator of " << domain << " at opset " << *opset;
  if (std::optional<int64_t> first = firstOnnxOpset(domain, getOpType()); first && *first > *opset)
    diagnostic << "; it exists since " << *first;
  return diagnostic;
}
