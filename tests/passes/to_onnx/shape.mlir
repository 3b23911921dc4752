// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=17 | FileCheck %s
// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=18 | FileCheck %s --check-prefix=OP18
// RUN: flagrelease-opt %s --convert-fr-to-onnx="opset=17 refuse=Split,CumSum,GatherND" | FileCheck %s --check-prefix=WITHOUT

!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>

// Sizes at their place are copied: no arithmetic at run time.
// CHECK-LABEL: func.func @heads(
// CHECK: %[[SHAPE:.*]] = onnx.constant dense<[0, 0, 2, 4]>
// CHECK: %[[H:.*]] = onnx.op "Reshape"(%arg0, %[[SHAPE]])
// CHECK: %[[T:.*]] = onnx.op "Transpose"(%[[H]]) {perm = array<i64: 0, 2, 1, 3>}
// CHECK: %[[SHAPE2:.*]] = onnx.constant dense<[0, 8, 0]>
// CHECK: onnx.op "Reshape"(%[[T]], %[[SHAPE2]])
// CHECK-NOT: "Shape"
func.func @heads(%x: !x) -> tensor<?x8x?xf32, #fr.dims<B, _, S>> {
  %0 = fr.reshape %x : (!x) -> tensor<?x?x2x4xf32, #fr.dims<B, S, _, _>>
  %1 = fr.transpose %0 [0, 2, 1, 3] : (tensor<?x?x2x4xf32, #fr.dims<B, S, _, _>>) -> tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
  %2 = fr.reshape %1 : (tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>) -> tensor<?x8x?xf32, #fr.dims<B, _, S>>
  return %2 : tensor<?x8x?xf32, #fr.dims<B, _, S>>
}

// P follows from P + S; the size of S is read once.
// CHECK-LABEL: func.func @sizes(
// CHECK: onnx.op "Shape"(%arg1)
// CHECK: onnx.op "Shape"(%arg0)
// CHECK: %[[P:.*]] = onnx.op "Sub"
// CHECK: onnx.op "Range"
func.func @sizes(%x: !x, %mask: tensor<?x?xi64, #fr.dims<B, P + S>>) -> (tensor<i64>, tensor<?xi64, #fr.dims<S>>) {
  %0 = fr.size "P" : tensor<i64>
  %1 = fr.iota : tensor<?xi64, #fr.dims<S>>
  return %0, %1 : tensor<i64>, tensor<?xi64, #fr.dims<S>>
}

// CHECK-LABEL: func.func @static_sizes(
// CHECK-NOT: "Shape"
// CHECK-NOT: "Range"
// CHECK: onnx.constant dense<[0, 1, 2]> : tensor<3xi64>
// CHECK: onnx.constant dense<12> : tensor<i64>
func.func @static_sizes() -> (tensor<3xi64>, tensor<i64>) {
  %0 = fr.iota : tensor<3xi64>
  %1 = fr.size "12" : tensor<i64>
  return %0, %1 : tensor<3xi64>, tensor<i64>
}

// Axes are an attribute of ReduceMean up to opset 17, an input from 18 on.
// CHECK-LABEL: func.func @reduce(
// CHECK: onnx.op "ReduceMean"(%arg0) {axes = array<i64: 2>, keepdims = 1 : i64}
// OP18-LABEL: func.func @reduce(
// OP18: %[[AXES:.*]] = onnx.constant dense<2> : tensor<1xi64>
// OP18: onnx.op "ReduceMean"(%arg0, %[[AXES]]) {keepdims = 1 : i64}
func.func @reduce(%x: !x) -> tensor<?x?x1xf32, #fr.dims<B, S, _>> {
  %0 = fr.reduce mean %x axes [2] : (!x) -> tensor<?x?x1xf32, #fr.dims<B, S, _>>
  return %0 : tensor<?x?x1xf32, #fr.dims<B, S, _>>
}

// CHECK-LABEL: func.func @cumsum(
// CHECK: onnx.op "CumSum"
// WITHOUT-LABEL: func.func @cumsum(
// WITHOUT-NOT: "CumSum"
// WITHOUT: onnx.op "Less"
// WITHOUT: onnx.op "MatMul"
func.func @cumsum(%x: !x) -> !x {
  %0 = fr.cumsum %x axis 2 : (!x) -> !x
  return %0 : !x
}

// CHECK-LABEL: func.func @gather(
// CHECK: onnx.op "GatherND"(%arg0, %{{.*}}) {batch_dims = 1 : i64}
// WITHOUT-LABEL: func.func @gather(
// WITHOUT-NOT: "GatherND"
// WITHOUT: onnx.op "Gather"(%{{.*}}, %{{.*}}) {axis = 0 : i64} : (tensor<?x8xf32, #fr.dims<B*S, _>>, tensor<?xi64, #fr.dims<B>>)
func.func @gather(%x: !x, %i: tensor<?xi64, #fr.dims<B>>) -> tensor<?x8xf32, #fr.dims<B, _>> {
  %0 = fr.gather %x [%i] axis 1 {batch_dims = 1 : i64} : (!x, tensor<?xi64, #fr.dims<B>>) -> tensor<?x8xf32, #fr.dims<B, _>>
  return %0 : tensor<?x8xf32, #fr.dims<B, _>>
}
