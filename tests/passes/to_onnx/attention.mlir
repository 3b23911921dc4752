// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=17 | FileCheck %s
// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=23 | FileCheck %s --check-prefix=OP23
// RUN: flagrelease-opt %s --convert-fr-to-onnx="opset=17 refuse=Where" | FileCheck %s --check-prefix=NOWHERE
// RUN: not flagrelease-opt %s --convert-fr-to-onnx="opset=17 refuse=Softmax" 2>&1 | FileCheck %s --check-prefix=REFUSED
// REFUSED: error: fr.attention: needs Softmax, which is refused

!ids = tensor<?x?xi64, #fr.dims<B, S>>
!pad = tensor<?x?xi64, #fr.dims<B, P + S>>
!q = tensor<?x4x?x8xf32, #fr.dims<B, _, S, _>>
!k = tensor<?x2x?x8xf32, #fr.dims<B, _, P + S, _>>
!m = tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
!t = tensor<?x?x4xf32, #fr.dims<B, S, _>>

// Query heads of one key head are rows of one product: keys and values are not repeated.
// CHECK-LABEL: func.func @attention(
// CHECK: onnx.op "CumSum"
// CHECK: %[[G:.*]] = onnx.op "Reshape"(%{{.*}}) : (tensor<?x4x?x8xf32, #fr.dims<B, _, S, _>>, tensor<4xi64>) -> tensor<?x2x?x8xf32, #fr.dims<B, _, 2*S, _>>
// CHECK: onnx.op "MatMul"(%[[G]], %{{.*}})
// CHECK: onnx.constant dense<-3.40282347E+38> : tensor<f32>
// CHECK: onnx.op "Where"
// CHECK: onnx.op "Softmax"
// CHECK-NOT: "Expand"
// NOWHERE-LABEL: func.func @attention(
// NOWHERE-NOT: "Where"
func.func @attention(%q: !q, %k: !k, %mask: !pad) -> !q {
  %0 = fr.attention_mask padding %mask : !pad {causal = true, window = 4 : i64} : !m
  %1 = fr.attention %q, %k, %k, %0 scale 0.5 : (!q, !k, !k, !m) -> !q
  return %1 : !q
}

// CHECK-LABEL: func.func @rope(
// CHECK: onnx.constant dense<[1.000000e+00, 1.000000e-01, 0.00999999977, 1.000000e-03]> : tensor<4xf32>
// CHECK: onnx.op "Cos"
// CHECK: onnx.op "Split"
// CHECK: onnx.op "Concat"
// OP23-LABEL: func.func @rope(
// OP23: onnx.op "RotaryEmbedding"(%arg0, %{{.*}}, %{{.*}}) {interleaved = 0 : i64}
func.func @rope(%q: !q, %position_ids: !ids) -> !q {
  %0:2 = fr.rope_table default %position_ids dim 8 theta 1.0e4 : (!ids) -> (!t, !t)
  %1 = fr.rope %q, %0#0, %0#1 : (!q, !t, !t) -> !q
  return %1 : !q
}
