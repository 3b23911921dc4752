// The `fr` dialect: a model in transit. See docs/ir.md and DESIGN section 3.
#ifndef FLAGRELEASE_IR_FRDIALECT_TD
#define FLAGRELEASE_IR_FRDIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/TensorEncoding.td"

def Fr_Dialect : Dialect {
  let name = "fr";
  let cppNamespace = "::flagrelease::fr";
  let summary = "a model on its way from a checkpoint to a chip";
  let description = [{
    A module holds the physical tensors of the source (`fr.weights`), the tensors derived from them (`fr.param`), the state that
    a model keeps between calls (`fr.state`) and functions that compute. Activations have layout [batch, sequence, features];
    heads are [batch, heads, sequence, head size]; linear weights are [out, in]. A dynamic size carries a polynomial
    over symbols in the encoding of its type: B batch, S sequence of this call, P tokens already in the cache.

    Version log: 1, first version.
  }];
  let useDefaultAttributePrinterParser = 1;
}

class Fr_Attr<string name, string mnemonic_, list<Trait> traits = []> : AttrDef<Fr_Dialect, name, traits> {
  let mnemonic = mnemonic_;
}

def Fr_DimsAttr : Fr_Attr<"Dims", "dims", [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "names of the dynamic sizes of a tensor type";
  let description = [{
    One entry per dimension: a polynomial in canonical text (`P + S`), or `_` where the size is static.
    Stands as the encoding of a ranked tensor type.
  }];
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$names);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

// ODS reads I64Attr as unsigned, which turns a diagonal of -1 and comparisons with signed sizes wrong.
def Fr_I64Attr : TypedSignlessIntegerAttrBase<I64, "int64_t", "64-bit integer"> {
  let convertFromStorage = "$_self.getValue().getSExtValue()";
}

// Every value of a module. Type inference reads the sizes of operands, so a nameless dynamic size stops here.
def Fr_Tensor : Type<And<[AnyRankedTensor.predicate, CPred<"::flagrelease::hasNamedSizes($_self)">]>,
                     "ranked tensor whose dynamic sizes are named by #fr.dims", "::mlir::RankedTensorType">;

class Fr_Enum<string name, string summary, list<I64EnumAttrCase> cases> : I64EnumAttr<name, summary, cases> {
  let cppNamespace = "::flagrelease::fr";
  let genSpecializedAttr = 0;
}
class Fr_EnumAttr<EnumAttrInfo info, string mnemonic> : EnumAttr<Fr_Dialect, info, mnemonic>;

def Fr_RopeKind : Fr_Enum<"RopeKind", "how rotary frequencies are scaled (transformers, modeling_rope_utils)", [
  I64EnumAttrCase<"Default", 0, "default">, I64EnumAttrCase<"Linear", 1, "linear">, I64EnumAttrCase<"Dynamic", 2, "dynamic">,
  I64EnumAttrCase<"Llama3", 3, "llama3">, I64EnumAttrCase<"Yarn", 4, "yarn">, I64EnumAttrCase<"Longrope", 5, "longrope">,
  I64EnumAttrCase<"Proportional", 6, "proportional">]>;
def Fr_RopeKindAttr : Fr_EnumAttr<Fr_RopeKind, "rope_kind">;

def Fr_StateKind : Fr_Enum<"StateKind", "what a state holds between calls", [
  I64EnumAttrCase<"KV", 0, "kv">, I64EnumAttrCase<"CrossKV", 1, "cross_kv">, I64EnumAttrCase<"Latent", 2, "latent">,
  I64EnumAttrCase<"Conv", 3, "conv">, I64EnumAttrCase<"Recurrent", 4, "recurrent">, I64EnumAttrCase<"Window", 5, "window">]>;
def Fr_StateKindAttr : Fr_EnumAttr<Fr_StateKind, "state_kind">;

def Fr_Predicate : Fr_Enum<"Predicate", "comparison", [
  I64EnumAttrCase<"EQ", 0, "eq">, I64EnumAttrCase<"NE", 1, "ne">, I64EnumAttrCase<"LT", 2, "lt">,
  I64EnumAttrCase<"LE", 3, "le">, I64EnumAttrCase<"GT", 4, "gt">, I64EnumAttrCase<"GE", 5, "ge">]>;
def Fr_PredicateAttr : Fr_EnumAttr<Fr_Predicate, "predicate">;

def Fr_ReduceKind : Fr_Enum<"ReduceKind", "reduction", [
  I64EnumAttrCase<"Sum", 0, "sum">, I64EnumAttrCase<"Mean", 1, "mean">, I64EnumAttrCase<"Max", 2, "max">,
  I64EnumAttrCase<"Min", 3, "min">]>;
def Fr_ReduceKindAttr : Fr_EnumAttr<Fr_ReduceKind, "reduce_kind">;

def Fr_PackOrder : Fr_Enum<"PackOrder", "where small integers lie in a word", [
  I64EnumAttrCase<"LowFirst", 0, "low_first">, I64EnumAttrCase<"HighFirst", 1, "high_first">, I64EnumAttrCase<"Awq", 2, "awq">]>;
def Fr_PackOrderAttr : Fr_EnumAttr<Fr_PackOrder, "pack_order">;

def Fr_ScaleRule : Fr_Enum<"ScaleRule", "how the scale of a block follows from its numbers", [
  I64EnumAttrCase<"AbsMax", 0, "abs_max">, I64EnumAttrCase<"SignedMax", 1, "signed_max">, I64EnumAttrCase<"MinMax", 2, "min_max">,
  I64EnumAttrCase<"PowerOfTwo", 3, "power_of_two">]>;
def Fr_ScaleRuleAttr : Fr_EnumAttr<Fr_ScaleRule, "scale_rule">;

def Fr_PoolKind : Fr_Enum<"PoolKind", "what a window becomes", [
  I64EnumAttrCase<"Max", 0, "max">, I64EnumAttrCase<"Average", 1, "average">]>;
def Fr_PoolKindAttr : Fr_EnumAttr<Fr_PoolKind, "pool_kind">;

def Fr_PadMode : Fr_Enum<"PadMode", "what stands in the margin", [
  I64EnumAttrCase<"Constant", 0, "constant">, I64EnumAttrCase<"Edge", 1, "edge">, I64EnumAttrCase<"Reflect", 2, "reflect">]>;
def Fr_PadModeAttr : Fr_EnumAttr<Fr_PadMode, "pad_mode">;

def Fr_Interpolation : Fr_Enum<"Interpolation", "how numbers between the samples are made", [
  I64EnumAttrCase<"Nearest", 0, "nearest">, I64EnumAttrCase<"Linear", 1, "linear">, I64EnumAttrCase<"Cubic", 2, "cubic">]>;
def Fr_InterpolationAttr : Fr_EnumAttr<Fr_Interpolation, "interpolation">;

def Fr_ActKind : Fr_Enum<"ActKind", "activation of experts", [
  I64EnumAttrCase<"Silu", 0, "silu">, I64EnumAttrCase<"Gelu", 1, "gelu">, I64EnumAttrCase<"GeluTanh", 2, "gelu_tanh">,
  I64EnumAttrCase<"Relu", 3, "relu">, I64EnumAttrCase<"Relu2", 4, "relu2">]>;
def Fr_ActKindAttr : Fr_EnumAttr<Fr_ActKind, "act_kind">;

def Fr_GeluKind : Fr_Enum<"GeluKind", "which approximation of GELU (Hendrycks & Gimpel, arXiv:1606.08415)", [
  I64EnumAttrCase<"None", 0, "none">, I64EnumAttrCase<"Tanh", 1, "tanh">]>;
def Fr_GeluKindAttr : Fr_EnumAttr<Fr_GeluKind, "gelu_kind">;

#endif
