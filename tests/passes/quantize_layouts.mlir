// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=8 layout=onnx activations=8 skip=output" | FileCheck %s --check-prefix=W8A8
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=8 layout=effective activations=8 skip=output" | FileCheck %s --check-prefix=EFFECTIVE
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=4 columns=32 scale=f16 layout=gptq skip=output" | FileCheck %s --check-prefix=GPTQ
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=mxfp4 layout=compressed-tensors skip=output" | FileCheck %s --check-prefix=MXFP4
// RUN: flagrelease-opt %s --fr-quantize-weights="kind=int bits=4 columns=48 fallback skip=output" | FileCheck %s --check-prefix=FALLBACK
// RUN: not flagrelease-opt %s --fr-quantize-weights="kind=int bits=4 columns=48 skip=output" 2>&1 | FileCheck %s --check-prefix=MISFIT
// RUN: not flagrelease-opt %s --fr-quantize-weights="kind=fp8 layout=gptq" 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: not flagrelease-opt %s --fr-quantize-weights="layout=gguf" 2>&1 | FileCheck %s --check-prefix=LAYOUT
// RUN: not flagrelease-opt %s --fr-quantize-weights="activations=4" 2>&1 | FileCheck %s --check-prefix=BITS

!stream = tensor<?x?x64xf32, #fr.dims<B, S, _>>

fr.weights @source {
  fr.weight @up.weight : tensor<96x64xbf16>
  fr.weight @head.weight : tensor<8x96xbf16>
}
fr.param @up.weight : tensor<96x64xbf16> {
  %0 = fr.get @source::@up.weight : tensor<96x64xbf16>
  fr.yield %0 : tensor<96x64xbf16>
}
fr.param @head.weight : tensor<8x96xbf16> {
  %0 = fr.get @source::@head.weight : tensor<8x96xbf16>
  fr.yield %0 : tensor<8x96xbf16>
}
func.func @main(%x: !stream {fr.name = "x"}) -> (tensor<?x?x8xf32, #fr.dims<B, S, _>> {fr.name = "y"}) {
  %up = fr.use @up.weight : tensor<96x64xbf16>
  %0 = fr.linear %x, %up : (!stream, tensor<96x64xbf16>) -> tensor<?x?x96xf32, #fr.dims<B, S, _>>
  %1 = fr.tanh %0 : (tensor<?x?x96xf32, #fr.dims<B, S, _>>) -> tensor<?x?x96xf32, #fr.dims<B, S, _>>
  %head = fr.use @head.weight : tensor<8x96xbf16>
  %2 = fr.linear %1, %head : (tensor<?x?x96xf32, #fr.dims<B, S, _>>, tensor<8x96xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  return %2 : tensor<?x?x8xf32, #fr.dims<B, S, _>>
}

// The input of the layer that became small goes through integers, that of the head does not. This is the form that the lowering of
// integer products reads (tests/exporters/Inputs/quant.mlir, @w8a8).
// W8A8: fr.kept = {head.weight = "the head"}, fr.quantized = ["up.weight"]
// W8A8: func.func @main
// W8A8: %[[Q:.*]] = fr.use @up.weight_q : tensor<96x64xi8>
// W8A8: %[[WS:.*]] = fr.use @up.weight_scale : tensor<96x1xf32>
// W8A8: %[[W:.*]] = fr.dequantize %[[Q]], %[[WS]] blocks [1, 64]
// W8A8: %[[S:.*]] = fr.quant_scale %arg0 abs_max range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 64] : (tensor<?x?x64xf32, #fr.dims<B, S, _>>) -> tensor<?x?x1xf32, #fr.dims<B, S, _>>
// W8A8: %[[C:.*]] = fr.quantize %arg0, %[[S]] range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 64] {{.*}} -> tensor<?x?x64xi8, #fr.dims<B, S, _>>
// W8A8: %[[T:.*]] = fr.dequantize %[[C]], %[[S]] blocks [1, 1, 64]
// W8A8: fr.linear %[[T]], %[[W]]
// W8A8-NOT: fr.quantize
// W8A8: return

// The reference rounds alike.
// EFFECTIVE: func.func @main
// EFFECTIVE: %[[W:.*]] = fr.use @up.weight.effective : tensor<96x64xf32>
// EFFECTIVE: %[[S:.*]] = fr.quant_scale %arg0 abs_max
// EFFECTIVE: %[[C:.*]] = fr.quantize %arg0, %[[S]]
// EFFECTIVE: %[[T:.*]] = fr.dequantize %[[C]], %[[S]]
// EFFECTIVE: fr.linear %[[T]], %[[W]]

// GPTQ: fr.param @up.weight.effective : {{.*}} sym_visibility = "private"
// GPTQ: fr.param @up.qweight : tensor<8x96xi32>
// GPTQ: fr.transpose {{.*}} [1, 0] : (tensor<96x64xui8>) -> tensor<64x96xui8>
// GPTQ: fr.pack {{.*}} bits 4 low_first axis 0
// GPTQ: fr.param @up.qzeros : tensor<2x12xi32>
// GPTQ: fr.constant dense<2004318071>
// GPTQ: fr.param @up.scales : tensor<2x96xf16>
// GPTQ: fr.param @up.g_idx : tensor<64xi32>
// GPTQ-NOT: fr.param @up.weight :

// MXFP4: fr.param @up.weight.effective : tensor<96x64xf32> {{.*}} sym_visibility = "private"
// MXFP4: fr.encode {{.*}} "mxfp4"
// MXFP4: fr.decode {{.*}} "mxfp4"
// MXFP4: fr.param @up.weight_packed : tensor<96x32xui8>
// MXFP4: fr.param @up.weight_scale : tensor<96x2xui8>

// FALLBACK: fr.fallback = {up.weight = "its rows of 64 numbers are no whole groups of 48"}
// FALLBACK: fr.use @up.weight : tensor<96x64xbf16>

// MISFIT: its rows of 64 numbers are no whole groups of 48
// MISFIT: choose a scheme whose groups fit, or pass --allow-type-fallback
// KIND: layout gptq holds symmetric integers of 2, 4 or 8 bits by rows
// LAYOUT: layout 'gguf' is none of compressed-tensors, fp8, gptq, onnx, effective
// BITS: activations have 8 bits or stay as they are
