// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=17 | FileCheck %s
// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=23 | FileCheck %s --check-prefix=OP23
// RUN: flagrelease-opt %s --convert-fr-to-onnx="opset=17 contrib=SimplifiedLayerNormalization refuse=LayerNormalization,Gemm" | tee %t | FileCheck %s --check-prefix=CONTRIB
// RUN: FileCheck %s --check-prefix=MATMUL < %t

!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>

fr.weights @source {
  fr.weight @"head.weight" : tensor<16x8xbf16>
  fr.weight @"norm.weight" : tensor<8xf32>
}
fr.param @"head.weight" : tensor<16x8xbf16> {
  %0 = fr.get @source::@"head.weight" : tensor<16x8xbf16>
  fr.yield %0 : tensor<16x8xbf16>
}
fr.param @"norm.weight" : tensor<8xf32> {
  %0 = fr.get @source::@"norm.weight" : tensor<8xf32>
  fr.yield %0 : tensor<8xf32>
}

// The stored weight is used as it lies in the file: widened in the graph, rows picked before they are widened.
// CHECK-LABEL: func.func @tied(
// CHECK: %[[W:.*]] = fr.use @head.weight : tensor<16x8xbf16>
// CHECK: %[[ROWS:.*]] = onnx.op "Gather"(%[[W]], %arg0) {axis = 0 : i64}
// CHECK: %[[X:.*]] = onnx.op "Cast"(%[[ROWS]]) {to = 1 : i64}
// CHECK: %[[WIDE:.*]] = onnx.op "Cast"(%[[W]]) {to = 1 : i64}
// CHECK: %[[ALL:.*]] = onnx.op "Reshape"(%[[X]], %{{.*}}) : {{.*}} -> tensor<?x8xf32, #fr.dims<B*S, _>>
// CHECK: onnx.op "Gemm"(%[[ALL]], %[[WIDE]]) {transB = 1 : i64}
// MATMUL-LABEL: func.func @tied(
// MATMUL: %[[T:.*]] = onnx.op "Transpose"(%{{.*}}) {perm = array<i64: 1, 0>} : (tensor<16x8xf32>) -> tensor<8x16xf32>
// MATMUL: onnx.op "MatMul"(%{{.*}}, %[[T]])
func.func @tied(%ids: tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?x16xf32, #fr.dims<B, S, _>> {
  %w = fr.use @"head.weight" : tensor<16x8xbf16>
  %0 = fr.embedding %ids, %w : (tensor<?x?xi64, #fr.dims<B, S>>, tensor<16x8xbf16>) -> !x
  %1 = fr.linear %0, %w : (!x, tensor<16x8xbf16>) -> tensor<?x?x16xf32, #fr.dims<B, S, _>>
  return %1 : tensor<?x?x16xf32, #fr.dims<B, S, _>>
}

// CHECK-LABEL: func.func @norms(
// CHECK: onnx.op "Sqrt"
// CHECK: onnx.op "LayerNormalization"(%arg0, %{{.*}}) {axis = -1 : i64, epsilon = 9.99999974E-6 : f32, stash_type = 1 : i64}
// OP23-LABEL: func.func @norms(
// OP23: onnx.op "RMSNormalization"(%arg0, %{{.*}}) {axis = -1 : i64, epsilon = 9.99999997E-7 : f32, stash_type = 1 : i64}
// CONTRIB-LABEL: func.func @norms(
// CONTRIB: onnx.op "SimplifiedLayerNormalization"
// CONTRIB-NOT: "LayerNormalization"
func.func @norms(%x: !x) -> (!x, !x) {
  %w = fr.use @"norm.weight" : tensor<8xf32>
  %0 = fr.rms_norm %x, %w eps 1.0e-6 : (!x, tensor<8xf32>) -> !x
  %1 = fr.layer_norm %x weight %w eps 1.0e-5 : (!x, tensor<8xf32>) -> !x
  return %0, %1 : !x, !x
}
