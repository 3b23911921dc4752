// Numbers: how weights are stored.
#ifndef FLAGRELEASE_IR_FRNUMBEROPS_TD
#define FLAGRELEASE_IR_FRNUMBEROPS_TD

include "ir/FrOpBase.td"

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

#endif
