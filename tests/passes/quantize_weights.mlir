// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=4 columns=32 scale=bf16 layout=compressed-tensors skip=embedding,output" | FileCheck %s --check-prefixes=CHECK,INT4
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=8 packed=false layout=compressed-tensors skip=embedding,output" | FileCheck %s --check-prefixes=CHECK,INT8
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=4 columns=32 symmetric=false layout=onnx skip=embedding,output" | FileCheck %s --check-prefix=ONNX
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=fp8 rows=16 columns=32 layout=fp8 skip=embedding,output" | FileCheck %s --check-prefixes=CHECK,FP8
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=blocks formats=up.weight=q8_0,embed.weight=q4_0" | FileCheck %s --check-prefix=BLOCKS
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=8 columns=0" | FileCheck %s --check-prefix=ALL
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=4 columns=64 fallback=true skip=embedding,output" | FileCheck %s --check-prefix=FALLBACK
// RUN: not flagrelease-opt %s --fr-quantize-weights="kind=int bits=4 columns=64 skip=embedding,output" 2>&1 | FileCheck %s --check-prefix=REFUSED
// RUN: not flagrelease-opt %s --fr-quantize-weights="kind=blocks formats=up.weight=q4_k" 2>&1 | FileCheck %s --check-prefix=WIDE
// RUN: not flagrelease-opt %s --fr-quantize-weights="kind=ints" 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: not flagrelease-opt %s --fr-quantize-weights="layout=gguf" 2>&1 | FileCheck %s --check-prefix=LAYOUT
// RUN: not flagrelease-opt %s --fr-quantize-weights="bits=9" 2>&1 | FileCheck %s --check-prefix=BITS
// RUN: not flagrelease-opt %s --fr-quantize-weights="scale=i8" 2>&1 | FileCheck %s --check-prefix=SCALE
// RUN: not flagrelease-opt %s --fr-quantize-weights="kind=blocks formats=up.weight=q9_0" 2>&1 | FileCheck %s --check-prefix=FORMAT

// Which matrices: what a linear layer multiplies by, but the table and the head where they are to stay; no norm, no bias.
// CHECK: module attributes {fr.kept = {embed.weight = "a table that is looked up", head.weight = "the head"}, fr.quantized = ["up.weight", "down.weight"]}
// ALL: fr.kept = {embed.weight = "a table that is looked up"}, fr.quantized = ["up.weight", "down.weight", "head.weight"]
// BLOCKS: fr.kept = {down.weight = "the scheme says so", head.weight = "the scheme says so"}, fr.quantized = ["embed.weight", "up.weight"]
// FALLBACK: fr.fallback = {up.weight = "its rows of 32 numbers are no whole groups of 64"}
// FALLBACK-SAME: up.weight = "its rows of 32 numbers are no whole groups of 64"}, fr.quantized = ["down.weight"]
// REFUSED: "up.weight"]): its rows of 32 numbers are no whole groups of 64
// REFUSED: note: {{.*}}choose a scheme whose groups fit, or pass --allow-type-fallback
// WIDE: error: its rows of 32 numbers are no whole blocks of q4_k
// KIND: fr-quantize-weights: kind 'ints' is none of int, fp8, mxfp4, blocks
// LAYOUT: fr-quantize-weights: layout 'gguf' is none of compressed-tensors, fp8, gptq, onnx, effective
// BITS: fr-quantize-weights: integers have 2 to 8 bits
// SCALE: fr-quantize-weights: scale 'i8' is no float type
// FORMAT: fr-quantize-weights: 'up.weight=q9_0' names no block format

// What stays as it is. Vectors are nobody's matrices.
// CHECK: fr.param @embed.weight : tensor<8x32xbf16> {
// CHECK-NEXT: fr.get
// CHECK-NEXT: fr.yield

// The graph uses numbers that stored ones stand for: a private param, from the source in f32, scales rounded to what is stored first.
// INT4: fr.param @up.weight.effective : tensor<64x32xf32> attributes {fr.keep_type, sym_visibility = "private"}
// INT4-NEXT: %[[W:.*]] = fr.get @source::@up.weight : tensor<64x32xbf16>
// INT4-NEXT: %[[X:.*]] = fr.cast %[[W]] : (tensor<64x32xbf16>) -> tensor<64x32xf32>
// INT4-NEXT: %[[S:.*]] = fr.quant_scale %[[X]] signed_max range -8.000000e+00 to 7.000000e+00 blocks [1, 32] : (tensor<64x32xf32>) -> tensor<64x1xf32>
// INT4-NEXT: %[[STORED:.*]] = fr.cast %[[S]] : (tensor<64x1xf32>) -> tensor<64x1xbf16>
// INT4-NEXT: %[[Q:.*]] = fr.quantize %[[X]], %[[STORED]] range -8.000000e+00 to 7.000000e+00 blocks [1, 32] : (tensor<64x32xf32>, tensor<64x1xbf16>) -> tensor<64x32xi8>
// INT4-NEXT: %[[D:.*]] = fr.dequantize %[[Q]], %[[STORED]] blocks [1, 32]
// INT4-NEXT: fr.yield %[[D]]
// Eight nibbles in a word, 8 more than the number, the first lowest; scales and shape beside them, as compressed-tensors names them.
// INT4: fr.param @up.weight_packed : tensor<64x4xi32>
// INT4: fr.quantize %{{.*}} range 0.000000e+00 to 1.500000e+01 blocks [1, 32] offset 8 : (tensor<64x32xf32>, tensor<64x1xbf16>) -> tensor<64x32xui8>
// INT4: fr.pack %{{.*}} bits 4 low_first axis 1 : (tensor<64x32xui8>) -> tensor<64x4xi32>
// INT4: fr.param @up.weight_shape : tensor<2xi64>
// INT4: dense<[64, 32]>
// INT4: fr.param @up.weight_scale : tensor<64x1xbf16>
// INT4: fr.param @down.weight_packed : tensor<32x8xi32>
// INT4: fr.param @down.weight_scale : tensor<32x2xbf16>

// Eight bits that an engine multiplies as they are: -127 to 127, one scale for a row.
// INT8: fr.param @up.weight : tensor<64x32xi8>
// INT8: fr.quant_scale %{{.*}} abs_max range -1.270000e+02 to 1.270000e+02 blocks [1, 32]
// INT8: fr.param @up.weight_scale : tensor<64x1xf32>
// INT8: fr.param @down.weight : tensor<32x64xi8>

// FP8 in blocks: the last block of a row or column may be short.
// FP8: fr.param @up.weight : tensor<64x32xf8E4M3FN>
// FP8: fr.quant_scale %{{.*}} abs_max range -4.480000e+02 to 4.480000e+02 blocks [16, 32] : (tensor<64x32xf32>) -> tensor<4x1xf32>
// FP8: fr.param @up.weight_scale_inv : tensor<4x1xf32>
// FP8: fr.param @down.weight_scale_inv : tensor<2x2xf32>

// No source of a matrix that is stored otherwise is left.
// CHECK-NOT: fr.param @up.weight.source

// Norms and the head are as they were, and layers read the private params.
// CHECK: fr.param @head.weight : tensor<8x32xbf16> {
// CHECK: func.func @main
// CHECK: fr.use @embed.weight : tensor<8x32xbf16>
// CHECK: fr.use @up.weight.effective : tensor<64x32xf32>
// CHECK: fr.use @down.weight.effective : tensor<32x64xf32>
// CHECK: fr.use @head.weight : tensor<8x32xbf16>

// For a graph: groups apart, zeros packed by rows, and the layer's weight is computed in the graph.
// ONNX: fr.param @up.weight_scale : tensor<64x1xf32>
// ONNX: fr.param @up.weight_q : tensor<64x1x16xui8>
// ONNX: fr.param @up.weight_zero : tensor<64x1xui8>
// ONNX: fr.param @down.weight_q : tensor<32x2x16xui8>
// ONNX: fr.param @down.weight_zero : tensor<32x1xui8>
// ONNX-NOT: effective
// ONNX: %[[Q:.*]] = fr.use @down.weight_q
// ONNX: %[[S:.*]] = fr.use @down.weight_scale
// ONNX: %[[U:.*]] = fr.unpack %[[Q]] bits 4 low_first axis 2 : (tensor<32x2x16xui8>) -> tensor<32x2x32xui8>
// ONNX: %[[R:.*]] = fr.reshape %[[U]] : (tensor<32x2x32xui8>) -> tensor<32x64xui8>
// ONNX: %[[P:.*]] = fr.use @down.weight_zero
// ONNX: %[[Z:.*]] = fr.unpack %[[P]] bits 4 low_first axis 1 : (tensor<32x1xui8>) -> tensor<32x2xui8>
// ONNX: fr.dequantize %[[R]], %[[S]], %[[Z]] blocks [1, 32]

// Blocks of ggml: the params of the file hold them; here stands what the graph computes with, also of the table.
// BLOCKS: fr.param @embed.weight : tensor<8x32xbf16>
// BLOCKS: fr.param @embed.weight.effective : tensor<8x32xf32> attributes {fr.keep_type, sym_visibility = "private"}
// BLOCKS: fr.encode %{{.*}} "q4_0" : (tensor<8x32xf32>) -> tensor<8x18xui8>
// BLOCKS-NEXT: fr.decode %{{.*}} "q4_0" : (tensor<8x18xui8>) -> tensor<8x32xf32>
// BLOCKS: fr.param @up.weight.effective : tensor<64x32xf32> attributes {fr.keep_type, sym_visibility = "private"}
// BLOCKS: fr.encode %{{.*}} "q8_0" : (tensor<64x32xf32>) -> tensor<64x34xui8>
// BLOCKS: fr.use @embed.weight.effective : tensor<8x32xf32>
// BLOCKS: fr.use @down.weight : tensor<32x64xbf16>

!h = tensor<?x32xf32, #fr.dims<S, _>>
!wide = tensor<?x64xf32, #fr.dims<S, _>>
!ids = tensor<?xi64, #fr.dims<S>>

fr.weights @source {
  fr.weight @embed.weight : tensor<8x32xbf16>
  fr.weight @norm.weight : tensor<32xbf16>
  fr.weight @up.weight : tensor<64x32xbf16>
  fr.weight @up.bias : tensor<64xbf16>
  fr.weight @down.weight : tensor<32x64xbf16>
  fr.weight @head.weight : tensor<8x32xbf16>
}
fr.param @embed.weight : tensor<8x32xbf16> {
  %0 = fr.get @source::@embed.weight : tensor<8x32xbf16>
  fr.yield %0 : tensor<8x32xbf16>
}
fr.param @norm.weight : tensor<32xbf16> {
  %0 = fr.get @source::@norm.weight : tensor<32xbf16>
  fr.yield %0 : tensor<32xbf16>
}
fr.param @up.weight : tensor<64x32xbf16> {
  %0 = fr.get @source::@up.weight : tensor<64x32xbf16>
  fr.yield %0 : tensor<64x32xbf16>
}
fr.param @up.bias : tensor<64xbf16> {
  %0 = fr.get @source::@up.bias : tensor<64xbf16>
  fr.yield %0 : tensor<64xbf16>
}
fr.param @down.weight : tensor<32x64xbf16> {
  %0 = fr.get @source::@down.weight : tensor<32x64xbf16>
  fr.yield %0 : tensor<32x64xbf16>
}
fr.param @head.weight : tensor<8x32xbf16> {
  %0 = fr.get @source::@head.weight : tensor<8x32xbf16>
  fr.yield %0 : tensor<8x32xbf16>
}
func.func @main(%ids: !ids) -> tensor<?x8xf32, #fr.dims<S, _>> {
  %e = fr.use @embed.weight : tensor<8x32xbf16>
  %h = fr.embedding %ids, %e : (!ids, tensor<8x32xbf16>) -> !h
  %n = fr.use @norm.weight : tensor<32xbf16>
  %x = fr.rms_norm %h, %n eps 1.0e-6 : (!h, tensor<32xbf16>) -> !h
  %u = fr.use @up.weight : tensor<64x32xbf16>
  %b = fr.use @up.bias : tensor<64xbf16>
  %y = fr.linear %x, %u, %b : (!h, tensor<64x32xbf16>, tensor<64xbf16>) -> !wide
  %d = fr.use @down.weight : tensor<32x64xbf16>
  %z = fr.linear %y, %d : (!wide, tensor<32x64xbf16>) -> !h
  %t = fr.tap "last", %z : !h
  %w = fr.use @head.weight : tensor<8x32xbf16>
  %l = fr.linear %t, %w : (!h, tensor<8x32xbf16>) -> tensor<?x8xf32, #fr.dims<S, _>>
  return %l : tensor<?x8xf32, #fr.dims<S, _>>
}
