// Layers.
#ifndef FLAGRELEASE_IR_FRLAYEROPS_TD
#define FLAGRELEASE_IR_FRLAYEROPS_TD

include "ir/FrOpBase.td"

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
    once, as engines keep it. `dynamic` and `longrope` depend on the length: the largest position of the whole batch + 1. `proportional` turns
    only the first `angles` pairs, with exponents over the whole of `dim`; the others have frequency 0.
  }];
  let arguments = (ins Fr_Tensor:$position_ids, Fr_I64Attr:$dim, F64Attr:$theta, Fr_RopeKindAttr:$kind,
                   DefaultValuedAttr<F64Attr, "1.0">:$attention_scaling, OptionalAttr<F64Attr>:$factor,
                   OptionalAttr<F64Attr>:$low_freq_factor, OptionalAttr<F64Attr>:$high_freq_factor,
                   OptionalAttr<F64Attr>:$beta_fast, OptionalAttr<F64Attr>:$beta_slow,
                   DefaultValuedAttr<BoolAttr, "true">:$truncate,
                   OptionalAttr<Fr_I64Attr>:$original_max, OptionalAttr<Fr_I64Attr>:$angles, OptionalAttr<DenseF64ArrayAttr>:$short_factor,
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
    less than W real tokens back (and, if `two_sided`, less than W ahead): counting tokens by the running sum of the padding mask,
    so that holes made by padding do not count. With `chunk` C both must lie in the same run of C real tokens, counted from the
    first one. Without the padding operand all columns are real.
  }];
  let arguments = (ins Optional<Fr_Tensor>:$padding, Optional<Fr_Tensor>:$query_columns, BoolAttr:$causal,
                   OptionalAttr<Fr_I64Attr>:$window, DefaultValuedAttr<Fr_I64Attr, "0">:$diagonal, OptionalAttr<Fr_I64Attr>:$chunk,
                   UnitAttr:$two_sided);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "(`padding` $padding^ `:` type($padding))? (`columns` $query_columns^ `:` type($query_columns))? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Fr_AttentionOp : Fr_PureOp<"attention", [AttrSizedOperandSegments]> {
  let summary = "softmax(scale * q k^T + bias, mask) v on heads [B, n, S, d]; key heads are shared by n / k query heads each";
  let description = [{
    q [B, n, S, d], k [B, k, T, d], v [B, k, T, dv], mask i1 [B or 1, 1 or n, S, T]. Query head h reads key head h / (n / k).
    With `softcap` c, scores become c * tanh(scores / c); then `bias` is added, which broadcasts to [B, n, S, T]; then the mask. A
    hidden score is the most negative finite number, so a query that sees nothing gets the mean of all values, never NaN. `sinks`
    [n] is one more score for each head, which takes its share of the softmax and has no value.
  }];
  let arguments = (ins Fr_Tensor:$q, Fr_Tensor:$k, Fr_Tensor:$v, Optional<Fr_Tensor>:$mask, Optional<Fr_Tensor>:$bias,
                   Optional<Fr_Tensor>:$sinks, F64Attr:$scale, OptionalAttr<F64Attr>:$softcap);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$q `,` $k `,` $v (`,` $mask^)? (`bias` $bias^)? (`sinks` $sinks^)? `scale` $scale attr-dict `:` functional-type(operands, $result)";
}

def Fr_L2NormOp : Fr_PureOp<"l2_norm"> {
  let summary = "x / max(sqrt(sum(x^2)), eps) over the last axis";
  let arguments = (ins Fr_Tensor:$x, F64Attr:$eps);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `eps` $eps attr-dict `:` functional-type($x, $result)";
}

def Fr_GroupNormOp : Fr_PureOp<"group_norm", [AttrSizedOperandSegments]> {
  let summary = "layer norm over each of `groups` groups of channels of x [B, C, ..] and all that follows; scale and shift by channel (arXiv:1803.08494)";
  let arguments = (ins Fr_Tensor:$x, Optional<Fr_Tensor>:$weight, Optional<Fr_Tensor>:$bias, Fr_I64Attr:$groups, F64Attr:$eps);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x (`weight` $weight^)? (`bias` $bias^)? `groups` $groups `eps` $eps attr-dict `:` functional-type(operands, $result)";
}

def Fr_ConvOp : Fr_PureOp<"conv"> {
  let summary = "cross-correlation over 1 to 3 spatial dimensions: x [B, C, ..], weight [O, C / groups, ..], bias [O]";
  let description = [{
    `strides` and `dilations` have one entry for each spatial dimension; `low` and `high` are the zeros before and after it. A size
    L becomes floor((L + low + high - dilation (kernel - 1) - 1) / stride) + 1. Channel o of the result reads the channels of group
    o / (O / groups).
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$weight, Optional<Fr_Tensor>:$bias, DenseI64ArrayAttr:$strides,
                   DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high, DenseI64ArrayAttr:$dilations, DefaultValuedAttr<Fr_I64Attr, "1">:$groups);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `,` $weight (`,` $bias^)? `strides` $strides `low` $low `high` $high `dilations` $dilations attr-dict `:` functional-type(operands, $result)";
}

def Fr_ConvTransposeOp : Fr_PureOp<"conv_transpose"> {
  let summary = "the transpose of conv: x [B, C, ..], weight [C, O / groups, ..], bias [O]";
  let description = [{
    A size L becomes (L - 1) stride - low - high + dilation (kernel - 1) + 1 + `extra`.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$weight, Optional<Fr_Tensor>:$bias, DenseI64ArrayAttr:$strides,
                   DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high, DenseI64ArrayAttr:$dilations, DenseI64ArrayAttr:$extra,
                   DefaultValuedAttr<Fr_I64Attr, "1">:$groups);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `,` $weight (`,` $bias^)? `strides` $strides `low` $low `high` $high `dilations` $dilations `extra` $extra attr-dict `:` functional-type(operands, $result)";
}

def Fr_PoolOp : Fr_PureOp<"pool"> {
  let summary = "maximum or mean of each window over the spatial dimensions of x [B, C, ..]";
  let description = "Sizes as in conv. A mean counts the margin as zeros if `count_margin`, else not at all; a maximum never sees it.";
  let arguments = (ins Fr_PoolKindAttr:$kind, Fr_Tensor:$x, DenseI64ArrayAttr:$kernel, DenseI64ArrayAttr:$strides,
                   DenseI64ArrayAttr:$low, DenseI64ArrayAttr:$high, UnitAttr:$count_margin);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$kind $x `kernel` $kernel `strides` $strides `low` $low `high` $high attr-dict `:` functional-type($x, $result)";
}

def Fr_InterpolateOp : Fr_Op<"interpolate", [Pure]> {
  let summary = "x [B, C, ..] at other spatial sizes, those of the result";
  let description = [{
    Sample i of n stands at (i + 1/2) m / n - 1/2 among the m of x, clamped; with `align_corners` at i (m - 1) / (n - 1). `nearest`
    takes sample floor(i m / n). `cubic` is the convolution of Keys (1981) with a = -0.75, samples clamped. As torch's interpolate.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_InterpolationAttr:$mode, UnitAttr:$align_corners);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x $mode attr-dict `:` functional-type($x, $result)";
  let hasVerifier = 1;
}

def Fr_MoeOp : Fr_PureOp<"moe", [AttrSizedOperandSegments]> {
  let summary = "experts: the sum over the k chosen ones of score * down(act(gate x) * (up x + shift))";
  let description = [{
    x [.., H], indices i64 [.., k], scores [.., k]; gate, up [E, I, H], down [E, H, I]; biases [E, I] and [E, H]. Without a gate
    the middle is act(up x). `silu` is g * sigmoid(alpha g). With `limit` l, g is cut at l and the other factor at -l and l before
    `shift` is added. `scores_first` multiplies x by the score instead of the result.
  }];
  let arguments = (ins Fr_Tensor:$x, Fr_Tensor:$indices, Fr_Tensor:$scores, Optional<Fr_Tensor>:$gate, Fr_Tensor:$up, Fr_Tensor:$down,
                   Optional<Fr_Tensor>:$gate_bias, Optional<Fr_Tensor>:$up_bias, Optional<Fr_Tensor>:$down_bias, Fr_ActKindAttr:$act,
                   DefaultValuedAttr<F64Attr, "1.0">:$alpha, DefaultValuedAttr<F64Attr, "0.0">:$shift, OptionalAttr<F64Attr>:$limit,
                   UnitAttr:$scores_first);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$x `,` $indices `,` $scores (`gate` $gate^ (`bias` $gate_bias^)?)? `up` $up (`bias` $up_bias^)? `down` $down (`bias` $down_bias^)? $act attr-dict `:` functional-type(operands, $result)";
}

#endif
