// The ops of the `fr` dialect. Each op has a reference function in ir/reference/ that gives it its meaning.
#ifndef FLAGRELEASE_IR_FROPS_TD
#define FLAGRELEASE_IR_FROPS_TD

include "ir/FrDialect.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpAsmInterface.td"

class Fr_Op<string mnemonic, list<Trait> traits = []> : Op<Fr_Dialect, mnemonic, traits>;
// Ops that only compute: removable when unused, equal ones merge, and the result type follows from the operands.
class Fr_PureOp<string mnemonic, list<Trait> traits = []>
    : Fr_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>], traits)>;

//===----------------------------------------------------------------------===//
// Weights, params and state
//===----------------------------------------------------------------------===//

def Fr_WeightsOp : Fr_Op<"weights", [SymbolTable, Symbol, NoTerminator, SingleBlock, NoRegionArguments]> {
  let summary = "the physical tensors of the source, in a symbol table of their own";
  let description = [{
    Params carry the names of tensors too, so weights stand in their own symbol table: `fr.get @source::@"model.norm.weight"`.
    File, offset and digest of a weight are not in the module; they stand in the source table beside it (`sources.json`).
  }];
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
}

def Fr_WeightOp : Fr_Op<"weight", [Symbol, HasParent<"WeightsOp">]> {
  let summary = "one physical tensor, or a family of them with a leading axis";
  let description = [{
    The type is the stored type. With `family`, the name holds `{e}` and the leading axis of the type counts the members:
    46,000 expert tensors are 180 symbols.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Fr_Tensor>:$type, OptionalAttr<Fr_I64Attr>:$family);
  let assemblyFormat = "$sym_name (`family` $family^)? `:` $type attr-dict";
  let hasVerifier = 1;
}

def Fr_ParamOp : Fr_Op<"param", [Symbol, SingleBlockImplicitTerminator<"YieldOp">, NoRegionArguments, IsolatedFromAbove]> {
  let summary = "a tensor derived from weights: the unit of materialisation, naming, resuming, hashing and origin";
  let description = [{
    The body gets weights, applies ops to them and yields one tensor of type `type`. The identity (`get`, `yield`) keeps a
    tensor as it is stored.

    Example:
    ```mlir
    fr.param @"model.norm.weight" : tensor<64xf32> {
      %0 = fr.get @source::@"model.norm.weight" : tensor<64xbf16>
      %1 = fr.cast %0 : (tensor<64xbf16>) -> tensor<64xf32>
      fr.yield %1 : tensor<64xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Fr_Tensor>:$type, OptionalAttr<StrAttr>:$sym_visibility);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `:` $type attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The weight that this param passes on unchanged; null if it computes anything.
    GetOp getIdentity();
  }];
}

def Fr_GetOp : Fr_Op<"get", [NoMemoryEffect, HasParent<"ParamOp">, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "reads a physical tensor inside a param; never constant-like, so folders do not touch weights";
  let arguments = (ins SymbolRefAttr:$weight);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def Fr_YieldOp : Fr_Op<"yield", [Pure, Terminator, HasParent<"ParamOp">]> {
  let summary = "ends a param";
  let arguments = (ins Optional<Fr_Tensor>:$value);
  let assemblyFormat = "($value^ `:` type($value))? attr-dict";
  let builders = [OpBuilder<(ins), [{}]>];
}

def Fr_UseOp : Fr_Op<"use", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a param as a value of the graph";
  let arguments = (ins FlatSymbolRefAttr:$param);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$param attr-dict `:` type($result)";
}

def Fr_StateOp : Fr_Op<"state", [Symbol]> {
  let summary = "what the model keeps between calls, declared once";
  let description = [{
    A `kv` state grows by the tokens of each call along `axis`: its type has size P there. `layer` and `part` name it outside
    (`past_key_values.3.key`). Cache modes are passes: none removes states, dynamic and static make them inputs and outputs.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Fr_StateKindAttr:$kind, Fr_I64Attr:$layer, StrAttr:$part, Fr_I64Attr:$axis,
                   TypeAttrOf<Fr_Tensor>:$type);
  let hasVerifier = 1;
  let assemblyFormat = "$sym_name $kind `layer` $layer `part` $part `axis` $axis `:` $type attr-dict";
}

def Fr_StateAppendOp : Fr_Op<"state.append", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "extends a kv state by the tokens of this call and returns all of it";
  let arguments = (ins FlatSymbolRefAttr:$state, Fr_Tensor:$value);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$state `,` $value attr-dict `:` functional-type($value, $result)";
}

def Fr_TapOp : Fr_Op<"tap", [AllTypesMatch<["value", "result"]>]> {
  let summary = "an alignment point: the identity, named as users of transformers know the tensor";
  let description = [{
    Has no side effect but is never removed by clean-up: every pass keeps it until fr-drop-taps.
  }];
  let arguments = (ins StrAttr:$name, Fr_Tensor:$value);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$name `,` $value attr-dict `:` type($value)";
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

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

//===----------------------------------------------------------------------===//
// Shape and data
//===----------------------------------------------------------------------===//

def Fr_ConstantOp : Fr_PureOp<"constant", [ConstantLike]> {
  let summary = "a small constant (indices, scalars); weights are params";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
}

def Fr_CastOp : Fr_Op<"cast", [Pure]> {
  let summary = "the same numbers in another element type, rounded once to nearest even";
  let arguments = (ins Fr_Tensor:$x);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Fr_ReshapeOp : Fr_Op<"reshape", [Pure]> {
  let summary = "the same elements in row-major order with other sizes";
  let arguments = (ins Fr_Tensor:$x);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
}

def Fr_TransposeOp : Fr_PureOp<"transpose"> {
  let summary = "result dimension i is operand dimension permutation[i]";
  let arguments = (ins Fr_Tensor:$x, DenseI64ArrayAttr:$permutation);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x $permutation attr-dict `:` functional-type($x, $result)";
}

def Fr_SliceOp : Fr_PureOp<"slice"> {
  let summary = "`size` elements from `start` on along one static axis";
  let arguments = (ins Fr_Tensor:$x, Fr_I64Attr:$axis, Fr_I64Attr:$start, Fr_I64Attr:$size);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `axis` $axis `start` $start `size` $size attr-dict `:` functional-type($x, $result)";
}

def Fr_ConcatOp : Fr_PureOp<"concat"> {
  let summary = "operands one after the other along an axis";
  let arguments = (ins Variadic<Fr_Tensor>:$inputs, Fr_I64Attr:$axis);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$inputs `axis` $axis attr-dict `:` functional-type($inputs, $result)";
}

def Fr_GatherOp : Fr_PureOp<"gather"> {
  let summary = "picks along an axis by index";
  let description = [{
    result[b..., i..., rest] = x[b..., indices[b..., i...], rest] where `batch_dims` leading dimensions are shared and `axis`
    (>= batch_dims) is the picked one.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$indices, Fr_I64Attr:$axis, DefaultValuedAttr<Fr_I64Attr, "0">:$batch_dims);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `[` $indices `]` `axis` $axis attr-dict `:` functional-type(operands, $result)";
}

def Fr_ScatterOp : Fr_PureOp<"scatter"> {
  let summary = "x with some slices along an axis replaced: how a cache of fixed size takes new tokens";
  let description = [{
    x has size T along `axis`; `updates` has the type of x but size n there; `indices` is an i64 vector of n places.
    result[.., j, ..] = updates[.., i, ..] where j = indices[i] along `axis`, and x[.., j, ..] for every other j. All indices lie
    in [0, T) and differ; the same places are written in every row of the other axes. The result has the type of x.

    In ONNX: ScatterElements(x, expanded indices, updates, axis) with the indices reshaped to [.., n, ..] and expanded to the
    shape of `updates`; reduction none.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$indices, Fr_Tensor:$updates, Fr_I64Attr:$axis);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `[` $indices `]` `,` $updates `axis` $axis attr-dict `:` functional-type(operands, $result)";
}

def Fr_IotaOp : Fr_Op<"iota", [Pure]> {
  let summary = "0, 1, 2, ... along the one axis of an i64 vector whose size may be symbolic";
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Fr_SizeOp : Fr_Op<"size", [Pure]> {
  let summary = "the value of an affine size expression, as an i64 scalar";
  let arguments = (ins StrAttr:$expression);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$expression attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Fr_CumsumOp : Fr_PureOp<"cumsum"> {
  let summary = "inclusive running sum along an axis";
  let arguments = (ins Fr_Tensor:$x, Fr_I64Attr:$axis);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `axis` $axis attr-dict `:` functional-type($x, $result)";
}

def Fr_ReduceOp : Fr_PureOp<"reduce"> {
  let summary = "sum, mean, max or min over axes, which stay with size 1";
  let arguments = (ins Fr_ReduceKindAttr:$kind, Fr_Tensor:$x, DenseI64ArrayAttr:$axes);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$kind $x `axes` $axes attr-dict `:` functional-type($x, $result)";
}

def Fr_ArgMaxOp : Fr_PureOp<"arg_max"> {
  let summary = "index of the first largest element along an axis, which disappears; i64";
  let arguments = (ins Fr_Tensor:$x, Fr_I64Attr:$axis);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `axis` $axis attr-dict `:` functional-type($x, $result)";
}

//===----------------------------------------------------------------------===//
// Numbers: how weights are stored
//===----------------------------------------------------------------------===//

def Fr_UnpackOp : Fr_Op<"unpack", [Pure]> {
  let summary = "small unsigned integers out of the words that hold them";
  let description = [{
    Along `axis` the words (i32 or ui8) of x are a stream of `bits`-bit integers; the result is ui8 with one element for each.
    `low_first`: the first one stands in the lowest bits, and one may lie across two words (3 bits). `high_first`: the first one
    stands in the highest bits. `awq`: eight nibbles of a word stand in the order 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits on.
    The result may be shorter than the words: what they hold beyond it is padding.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_I64Attr:$bits, Fr_PackOrderAttr:$order, Fr_I64Attr:$axis);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `bits` $bits $order `axis` $axis attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
}

def Fr_PackOp : Fr_Op<"pack", [Pure]> {
  let summary = "small integers into words, the inverse of unpack";
  let description = [{
    x is i8 or ui8; of each element the low `bits` bits are kept (two's complement for negative ones). The last word is filled up
    with zeros.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_I64Attr:$bits, Fr_PackOrderAttr:$order, Fr_I64Attr:$axis);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `bits` $bits $order `axis` $axis attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
}

def Fr_DequantizeOp : Fr_Op<"dequantize", [Pure]> {
  let summary = "(x - zero - offset) * scale, with one scale for each block; the result is f32";
  let description = [{
    `blocks` has the size of a block along each dimension of x; scale (and zero, without it 0) has ceil(size / block) elements
    there. x holds integers or stored floats (fp8); scales of any float type, E8M0 included, are widened first. `offset` is a zero
    that all blocks share: 8 where nibbles stand for -8 to 7.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$scale, Optional<Fr_Tensor>:$zero, DenseI64ArrayAttr:$blocks,
                   DefaultValuedAttr<Fr_I64Attr, "0">:$offset);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `,` $scale (`,` $zero^)? `blocks` $blocks (`offset` $offset^)? attr-dict `:` functional-type(operands, $result)";
  let hasVerifier = 1;
}

def Fr_QuantScaleOp : Fr_PureOp<"quant_scale"> {
  let summary = "one scale for each block of x; f32";
  let description = [{
    Blocks as in dequantize. With lo and hi the smallest and largest stored value:
    * abs_max: max|x| / hi
    * signed_max: the x of largest magnitude, with its sign, divided by lo, so that it is stored exactly (as ggml's Q4_0 does)
    * min_max: (max(x, 0) - min(x, 0)) / (hi - lo)
    * power_of_two: 2^(floor(log2(max|x|)) - floor(log2(hi))) (OCP Microscaling Formats 1.0, section 6.3)
    A block of zeros has scale 1. A block with a number that is not finite has scale NaN.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_ScaleRuleAttr:$rule, F64Attr:$lo, F64Attr:$hi, DenseI64ArrayAttr:$blocks);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x $rule `range` $lo `to` $hi `blocks` $blocks attr-dict `:` functional-type(operands, $result)";
}

def Fr_QuantZeroOp : Fr_PureOp<"quant_zero"> {
  let summary = "the stored value that stands for 0 in each block: lo - round(min(x, 0) / scale), within lo and hi; ui8";
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$scale, F64Attr:$lo, F64Attr:$hi, DenseI64ArrayAttr:$blocks);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `,` $scale `range` $lo `to` $hi `blocks` $blocks attr-dict `:` functional-type(operands, $result)";
}

def Fr_QuantizeOp : Fr_Op<"quantize", [Pure]> {
  let summary = "round(x / scale) + zero + offset, within lo and hi, as integers; or x / scale as fp8, saturating";
  let description = [{
    Ties go to the even number; x / 0 is 0. `offset` is a zero that all blocks share. The result is i8, ui8, or an 8-bit float type, for which lo and hi are its largest
    finite numbers.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$scale, Optional<Fr_Tensor>:$zero, F64Attr:$lo, F64Attr:$hi,
                   DenseI64ArrayAttr:$blocks, DefaultValuedAttr<Fr_I64Attr, "0">:$offset);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `,` $scale (`,` $zero^)? `range` $lo `to` $hi `blocks` $blocks (`offset` $offset^)? attr-dict `:` functional-type(operands, $result)";
  let hasVerifier = 1;
}

def Fr_EncodeOp : Fr_Op<"encode", [Pure, HasParent<"ParamOp">]> {
  let summary = "rows as blocks of a format of ggml: ui8 [.., bytes of a row]";
  let arguments = (ins Fr_Tensor:$x, StrAttr:$format);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x $format attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
}

def Fr_DecodeOp : Fr_Op<"decode", [Pure, HasParent<"ParamOp">]> {
  let summary = "the numbers in blocks of a format of ggml; f32";
  let arguments = (ins Fr_Tensor:$x, StrAttr:$format);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x $format attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

def Fr_EmbeddingOp : Fr_PureOp<"embedding"> {
  let summary = "row `ids` of a table [vocabulary, features]; the result is f32";
  let arguments = (ins Fr_Tensor:$ids, Fr_Tensor:$table);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$ids `,` $table attr-dict `:` functional-type(operands, $result)";
}

def Fr_LinearOp : Fr_PureOp<"linear"> {
  let summary = "x W^T + b with W [out, in], b [out]";
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$weight, Optional<Fr_Tensor>:$bias);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `,` $weight (`,` $bias^)? attr-dict `:` functional-type(operands, $result)";
}

def Fr_MatmulOp : Fr_PureOp<"matmul"> {
  let summary = "batched matrix product over the last two dimensions; leading dimensions broadcast";
  let arguments = (ins Fr_Tensor:$lhs, Fr_Tensor:$rhs);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` functional-type(operands, $result)";
}

def Fr_RmsNormOp : Fr_PureOp<"rms_norm"> {
  let summary = "x / sqrt(mean(x^2) + eps) * (w + offset) over the last axis (arXiv:1910.07467)";
  let description = "`offset` is 1 for the zero-centred weights of some families, else 0. Without a weight the scale is 1.";
  let arguments = (ins Fr_Tensor:$x, Optional<Fr_Tensor>:$weight, F64Attr:$eps,
                   DefaultValuedAttr<F64Attr, "0.0">:$offset);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x (`,` $weight^)? `eps` $eps attr-dict `:` functional-type(operands, $result)";
}

def Fr_LayerNormOp : Fr_PureOp<"layer_norm", [AttrSizedOperandSegments]> {
  let summary = "(x - mean) / sqrt(var + eps) * (w + offset) + b over the last axis (arXiv:1607.06450)";
  let arguments = (ins Fr_Tensor:$x, Optional<Fr_Tensor>:$weight, Optional<Fr_Tensor>:$bias, F64Attr:$eps,
                   DefaultValuedAttr<F64Attr, "0.0">:$offset);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x (`weight` $weight^)? (`bias` $bias^)? `eps` $eps attr-dict `:` functional-type(operands, $result)";
}

def Fr_SoftmaxOp : Fr_PureOp<"softmax"> {
  let summary = "e^(x - max) / sum over an axis";
  let arguments = (ins Fr_Tensor:$x, Fr_I64Attr:$axis);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `axis` $axis attr-dict `:` functional-type($x, $result)";
}

def Fr_RopeTableOp : Fr_PureOp<"rope_table"> {
  let summary = "cosines and sines of rotary positions: two tensors [B, S, dim / 2]";
  let description = [{
    angle(b, s, j) = position_ids[b, s] * inv_freq[j], j < dim / 2; both results are multiplied by `attention_scaling`.
    inv_freq follows `kind` (arXiv:2104.09864, and transformers' modeling_rope_utils for the scaled kinds) and is rounded to f32
    once, as engines keep it. `dynamic` and `longrope` depend on the length: the largest position of the whole batch + 1.
  }];
  let arguments = (ins Fr_Tensor:$position_ids, Fr_I64Attr:$dim, F64Attr:$theta, Fr_RopeKindAttr:$kind,
                   DefaultValuedAttr<F64Attr, "1.0">:$attention_scaling, OptionalAttr<F64Attr>:$factor,
                   OptionalAttr<F64Attr>:$low_freq_factor, OptionalAttr<F64Attr>:$high_freq_factor,
                   OptionalAttr<F64Attr>:$beta_fast, OptionalAttr<F64Attr>:$beta_slow,
                   DefaultValuedAttr<BoolAttr, "true">:$truncate,
                   OptionalAttr<Fr_I64Attr>:$original_max, OptionalAttr<DenseF64ArrayAttr>:$short_factor,
                   OptionalAttr<DenseF64ArrayAttr>:$long_factor);
  let results = (outs Fr_Tensor:$cos, Fr_Tensor:$sin);
  let assemblyFormat = "$kind $position_ids `dim` $dim `theta` $theta attr-dict `:` functional-type($position_ids, results)";
  let hasVerifier = 1;
}

def Fr_RopeOp : Fr_PureOp<"rope"> {
  let summary = "rotates the first 2 * (size of cos) features of heads [B, n, S, d]; the rest passes through";
  let description = [{
    With D = 2 * last size of cos: pairs are (j, j + D/2), or (2j, 2j + 1) when `interleaved`:
    y_a = x_a cos_j - x_b sin_j, y_b = x_b cos_j + x_a sin_j.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$cos, Fr_Tensor:$sin, UnitAttr:$interleaved);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `,` $cos `,` $sin attr-dict `:` functional-type(operands, $result)";
}

def Fr_AttentionMaskOp : Fr_Op<"attention_mask", [Pure, AttrSizedOperandSegments]> {
  let summary = "which keys a query may see: i1 [B, 1, S, T]";
  let description = [{
    Key column j of T, query row i of S. A query's own column is `query_columns[i]`, or T - S + i without that operand. A key is
    visible when its padding entry is not 0, and, if `causal`, j <= column + `diagonal`. With `window` W the key must also lie
    less than W real tokens back: counting tokens by the running sum of the padding mask, so that holes made by padding do not
    count. Without the padding operand all columns are real.
  }];
  let arguments = (ins Optional<Fr_Tensor>:$padding, Optional<Fr_Tensor>:$query_columns, BoolAttr:$causal,
                   OptionalAttr<Fr_I64Attr>:$window, DefaultValuedAttr<Fr_I64Attr, "0">:$diagonal);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "(`padding` $padding^ `:` type($padding))? (`columns` $query_columns^ `:` type($query_columns))? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Fr_AttentionOp : Fr_PureOp<"attention"> {
  let summary = "softmax(scale * q k^T + mask) v on heads [B, n, S, d]; key heads are shared by n / k query heads each";
  let description = [{
    q [B, n, S, d], k [B, k, T, d], v [B, k, T, dv], mask i1 [B, 1, S, T]. Query head h reads key head h / (n / k).
    With `softcap` c, scores become c * tanh(scores / c) before the mask. A hidden score is the most negative finite number, so a
    query that sees nothing gets the mean of all values, never NaN.
  }];
  let arguments = (ins Fr_Tensor:$q, Fr_Tensor:$k, Fr_Tensor:$v, Optional<Fr_Tensor>:$mask,
                   F64Attr:$scale, OptionalAttr<F64Attr>:$softcap);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$q `,` $k `,` $v (`,` $mask^)? `scale` $scale attr-dict `:` functional-type(operands, $result)";
}

def Fr_L2NormOp : Fr_PureOp<"l2_norm"> {
  let summary = "x / max(sqrt(sum(x^2)), eps) over the last axis";
  let arguments = (ins Fr_Tensor:$x, F64Attr:$eps);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `eps` $eps attr-dict `:` functional-type($x, $result)";
}

#endif
