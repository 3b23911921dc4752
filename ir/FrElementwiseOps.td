// Elementwise ops.
#ifndef FLAGRELEASE_IR_FRELEMENTWISEOPS_TD
#define FLAGRELEASE_IR_FRELEMENTWISEOPS_TD

include "ir/FrOpBase.td"

class Fr_UnaryOp<string mnemonic, string what> : Fr_PureOp<mnemonic> {
  let summary = what;
  let arguments = (ins Fr_Tensor:$x);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
}
def Fr_NegOp : Fr_UnaryOp<"neg", "-x">;
def Fr_ExpOp : Fr_UnaryOp<"exp", "e^x">;
def Fr_LogOp : Fr_UnaryOp<"log", "natural logarithm">;
def Fr_SqrtOp : Fr_UnaryOp<"sqrt", "square root">;
def Fr_RsqrtOp : Fr_UnaryOp<"rsqrt", "1 / sqrt(x)">;
def Fr_SinOp : Fr_UnaryOp<"sin", "sine of radians">;
def Fr_CosOp : Fr_UnaryOp<"cos", "cosine of radians">;
def Fr_TanhOp : Fr_UnaryOp<"tanh", "hyperbolic tangent">;
def Fr_ErfOp : Fr_UnaryOp<"erf", "error function">;
def Fr_SigmoidOp : Fr_UnaryOp<"sigmoid", "1 / (1 + e^-x)">;
def Fr_SiluOp : Fr_UnaryOp<"silu", "x * sigmoid(x) (arXiv:1702.03118)">;
def Fr_ReluOp : Fr_UnaryOp<"relu", "max(x, 0)">;
def Fr_FloorOp : Fr_UnaryOp<"floor", "largest integer not above x">;

def Fr_AbsOp : Fr_UnaryOp<"abs", "|x|">;
def Fr_NotOp : Fr_UnaryOp<"not", "true where x is false; i1">;
def Fr_SoftplusOp : Fr_UnaryOp<"softplus", "log(1 + e^x)">;

def Fr_GeluOp : Fr_PureOp<"gelu"> {
  let summary = "x * Phi(x), exact (erf) or with tanh";
  let arguments = (ins Fr_Tensor:$x, Fr_GeluKindAttr:$approximate);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x $approximate attr-dict `:` functional-type($x, $result)";
}

class Fr_BinaryOp<string mnemonic, string what, list<Trait> traits = []> : Fr_PureOp<mnemonic, traits> {
  let summary = what;
  let description = "Shapes broadcast as in NumPy; a symbolic size broadcasts only against 1 or itself.";
  let arguments = (ins Fr_Tensor:$lhs, Fr_Tensor:$rhs);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` functional-type(operands, $result)";
}
def Fr_AddOp : Fr_BinaryOp<"add", "lhs + rhs">;
def Fr_SubOp : Fr_BinaryOp<"sub", "lhs - rhs">;
def Fr_MulOp : Fr_BinaryOp<"mul", "lhs * rhs">;
def Fr_DivOp : Fr_BinaryOp<"div", "lhs / rhs; integers truncate">;
def Fr_PowOp : Fr_BinaryOp<"pow", "lhs ^ rhs">;
def Fr_MaximumOp : Fr_BinaryOp<"maximum", "the larger of both">;
def Fr_MinimumOp : Fr_BinaryOp<"minimum", "the smaller of both">;
def Fr_AndOp : Fr_BinaryOp<"and", "both are true">;
def Fr_OrOp : Fr_BinaryOp<"or", "one is true">;

def Fr_CompareOp : Fr_PureOp<"compare"> {
  let summary = "elementwise comparison; the result is i1";
  let arguments = (ins Fr_PredicateAttr:$predicate, Fr_Tensor:$lhs, Fr_Tensor:$rhs);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$predicate $lhs `,` $rhs attr-dict `:` functional-type(operands, $result)";
}

def Fr_SelectOp : Fr_PureOp<"select"> {
  let summary = "lhs where condition holds, else rhs; shapes broadcast";
  let arguments = (ins Fr_Tensor:$condition, Fr_Tensor:$lhs, Fr_Tensor:$rhs);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$condition `,` $lhs `,` $rhs attr-dict `:` functional-type(operands, $result)";
}

#endif
