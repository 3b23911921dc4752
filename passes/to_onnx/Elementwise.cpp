// Elementwise ops. Most are one node of nearly the same name.
#include "passes/to_onnx/Emitter.h"

#include <cmath>

using namespace mlir;
using namespace flagrelease;
using namespace flagrelease::to_onnx;

namespace {

struct Renamed {
  StringLiteral fr, onnx;
};

constexpr Renamed kUnary[] = {{"fr.neg", "Neg"},         {"fr.exp", "Exp"},          {"fr.log", "Log"},     {"fr.sqrt", "Sqrt"},
                              {"fr.sin", "Sin"},         {"fr.cos", "Cos"},          {"fr.tanh", "Tanh"},   {"fr.erf", "Erf"},
                              {"fr.sigmoid", "Sigmoid"}, {"fr.relu", "Relu"},        {"fr.floor", "Floor"}, {"fr.abs", "Abs"},
                              {"fr.not", "Not"},         {"fr.softplus", "Softplus"}};

constexpr Renamed kBinary[] = {{"fr.add", "Add"}, {"fr.sub", "Sub"},     {"fr.mul", "Mul"},
                               {"fr.div", "Div"}, {"fr.pow", "Pow"},     {"fr.and", "And"},
                               {"fr.or", "Or"},   {"fr.maximum", "Max"}, {"fr.minimum", "Min"}};

StringRef renamed(ArrayRef<Renamed> table, Operation *op) {
  for (const Renamed &row : table)
    if (op->getName().getStringRef() == row.fr)
      return row.onnx;
  llvm_unreachable("the row of the op is in the table");
}

Values lowerUnary(Operation *op, Emitter &e) { return {e.unary(renamed(kUnary, op), e(op->getOperand(0)))}; }

/// Operands of different element types meet in the type of the result, which follows fr's rule of promotion.
Values lowerBinary(Operation *op, Emitter &e) {
  Type element = elementOf(op->getResult(0).getType());
  return {e.binary(renamed(kBinary, op), e.cast(e(op->getOperand(0)), element), e.cast(e(op->getOperand(1)), element))};
}

Values lowerRsqrt(fr::RsqrtOp op, Emitter &e) {
  Value root = e.unary("Sqrt", e(op.getX()));
  return e.firstOf({{"Reciprocal", [&] { return Values{e.unary("Reciprocal", root)}; }},
                    {"Div", [&] { return Values{e.binary("Div", e.scalar(1, elementOf(root.getType())), root)}; }}});
}

Values lowerSilu(fr::SiluOp op, Emitter &e) {
  Value x = e(op.getX());
  return e.firstOf({{"Swish", [&] { return Values{e.unary("Swish", x)}; }},
                    {"decomposed", [&] { return Values{e.binary("Mul", x, e.unary("Sigmoid", x))}; }}});
}

Value geluExact(Value x, Emitter &e) {
  Type element = elementOf(x.getType());
  Value erf = e.unary("Erf", e.binary("Mul", x, e.scalar(std::sqrt(0.5), element)));
  Value phi = e.binary("Mul", e.binary("Add", erf, e.scalar(1, element)), e.scalar(0.5, element));
  return e.binary("Mul", x, phi);
}

Value geluTanh(Value x, Emitter &e) {
  Type element = elementOf(x.getType());
  const double pi = 3.14159265358979323846;
  Value cube = e.binary("Mul", e.binary("Mul", x, x), x);
  Value inner = e.binary("Add", x, e.binary("Mul", cube, e.scalar(0.044715, element)));
  Value tanh = e.unary("Tanh", e.binary("Mul", inner, e.scalar(std::sqrt(2 / pi), element)));
  return e.binary("Mul", e.binary("Mul", x, e.scalar(0.5, element)), e.binary("Add", tanh, e.scalar(1, element)));
}

Values lowerGelu(fr::GeluOp op, Emitter &e) {
  Value x = e(op.getX());
  if (op.getApproximate() == fr::GeluKind::Tanh)
    return e.firstOf({{"Gelu", [&] { return Values{e.node("Gelu", {x}, x.getType(), {e.text("approximate", "tanh")})}; }},
                      {"decomposed", [&] { return Values{geluTanh(x, e)}; }}});
  return e.firstOf({{"com.microsoft:Gelu", [&] { return Values{e.node("Gelu", {x}, x.getType(), {}, "com.microsoft")}; }},
                    {"Gelu", [&] { return Values{e.node("Gelu", {x}, x.getType(), {e.text("approximate", "none")})}; }},
                    {"decomposed", [&] { return Values{geluExact(x, e)}; }}});
}

Values lowerCompare(fr::CompareOp op, Emitter &e) {
  Value a = e(op.getLhs()), b = e(op.getRhs());
  // Both sides in the wider of their types, as arithmetic does; ONNX compares equal types only.
  Type left = elementOf(a.getType()), right = elementOf(b.getType());
  if (left != right) {
    bool leftWins = isa<FloatType>(left) != isa<FloatType>(right) ? isa<FloatType>(left)
                                                                  : left.getIntOrFloatBitWidth() >= right.getIntOrFloatBitWidth();
    a = e.cast(a, leftWins ? left : right);
    b = e.cast(b, leftWins ? left : right);
  }
  auto orEqual = [&](StringRef strict, StringRef both) {
    return e.partFirstOf(
        {{"direct", [&] { return Values{e.compare(both, a, b)}; }},
         {"decomposed", [&] { return Values{e.compare("Or", e.compare(strict, a, b), e.compare("Equal", a, b))}; }}});
  };
  switch (op.getPredicate()) {
  case fr::Predicate::EQ:
    return {e.compare("Equal", a, b)};
  case fr::Predicate::NE:
    return {e.unary("Not", e.compare("Equal", a, b))};
  case fr::Predicate::LT:
    return {e.compare("Less", a, b)};
  case fr::Predicate::GT:
    return {e.compare("Greater", a, b)};
  case fr::Predicate::LE:
    return orEqual("Less", "LessOrEqual");
  case fr::Predicate::GE:
    return orEqual("Greater", "GreaterOrEqual");
  }
  llvm_unreachable("all predicates are listed");
}

Values lowerSelect(fr::SelectOp op, Emitter &e) {
  Type element = elementOf(op.getType());
  return {e.where(e(op.getCondition()), e.cast(e(op.getLhs()), element), e.cast(e(op.getRhs()), element))};
}

Values lowerCast(fr::CastOp op, Emitter &e) { return {e.cast(e(op.getX()), elementOf(op.getType()))}; }

} // namespace

ArrayRef<Lowering> to_onnx::elementwiseLowerings() {
  static const auto table = [] {
    std::vector<Lowering> rows;
    for (const Renamed &row : kUnary)
      rows.push_back({row.fr, lowerUnary});
    for (const Renamed &row : kBinary)
      rows.push_back({row.fr, lowerBinary});
    rows.push_back(lowering<fr::RsqrtOp, lowerRsqrt>("fr.rsqrt"));
    rows.push_back(lowering<fr::SiluOp, lowerSilu>("fr.silu"));
    rows.push_back(lowering<fr::GeluOp, lowerGelu>("fr.gelu"));
    rows.push_back(lowering<fr::CompareOp, lowerCompare>("fr.compare"));
    rows.push_back(lowering<fr::SelectOp, lowerSelect>("fr.select"));
    rows.push_back(lowering<fr::CastOp, lowerCast>("fr.cast"));
    return rows;
  }();
  return table;
}
