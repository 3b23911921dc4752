// Ops that move, pick, count or reduce elements.
#ifndef FLAGRELEASE_IR_FRSHAPEOPS_TD
#define FLAGRELEASE_IR_FRSHAPEOPS_TD

include "ir/FrOpBase.td"

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

def Fr_NarrowOp : Fr_Op<"narrow", [Pure]> {
  let summary = "`size` elements from `start` on along an axis whose size may have a name";
  let description = [{
    `start` and `size` are expressions over size symbols: the last 3 of S + 3 columns are `"S" size "3"`. The result has `size` there.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_I64Attr:$axis, StrAttr:$start, StrAttr:$size);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `axis` $axis `start` $start `size` $size attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
}

def Fr_BroadcastOp : Fr_Op<"broadcast", [Pure]> {
  let summary = "x repeated along sizes of 1, and along new leading dimensions";
  let arguments = (ins Fr_Tensor:$x);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
}

def Fr_PadOp : Fr_PureOp<"pad"> {
  let summary = "x with a margin: `low` elements before and `high` after it along each dimension";
  let arguments = (ins Fr_Tensor:$x, DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high, Fr_PadModeAttr:$mode,
                   DefaultValuedAttr<F64Attr, "0.0">:$value);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x $mode `low` $low `high` $high attr-dict `:` functional-type($x, $result)";
}

def Fr_TopKOp : Fr_PureOp<"top_k"> {
  let summary = "the k largest elements of the last axis in descending order, and where they are (i64); of equals the first one";
  let arguments = (ins Fr_Tensor:$x, Fr_I64Attr:$k);
  let results = (outs Fr_Tensor:$values, Fr_Tensor:$indices);
  let assemblyFormat = "$x `k` $k attr-dict `:` functional-type($x, results)";
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
  let summary = "the value of a size expression, as an i64 scalar";
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

#endif
