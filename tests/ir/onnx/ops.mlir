// RUN: flagrelease-opt %s | flagrelease-opt | FileCheck %s

// CHECK: module attributes {onnx.opset = {ai.onnx = 17 : i64, com.microsoft = 1 : i64}}
module attributes {onnx.opset = {ai.onnx = 17, com.microsoft = 1}} {
  func.func @main(%x: tensor<?x8xf32, #fr.dims<B, _>>) -> tensor<?x8xf32, #fr.dims<B, _>> {
    // CHECK: %[[C:.*]] = onnx.constant dense<[3, 5]> : tensor<2xi64>
    %c = onnx.constant dense<[3, 5]> : tensor<2xi64>
    // CHECK: %[[P:.*]]:2 = onnx.op "Split"(%{{.*}}, %[[C]]) {axis = 1 : i64} : (tensor<?x8xf32, #fr.dims<B, _>>, tensor<2xi64>) -> (tensor<?x3xf32, #fr.dims<B, _>>, tensor<?x5xf32, #fr.dims<B, _>>)
    %p:2 = onnx.op "Split"(%x, %c) {axis = 1 : i64} : (tensor<?x8xf32, #fr.dims<B, _>>, tensor<2xi64>) -> (tensor<?x3xf32, #fr.dims<B, _>>, tensor<?x5xf32, #fr.dims<B, _>>)
    // CHECK: %[[J:.*]] = onnx.op "Concat"(%[[P]]#0, %[[P]]#1) {axis = 1 : i64} attributes {fr.note = "kept"}
    %j = onnx.op "Concat"(%p#0, %p#1) {axis = 1 : i64} attributes {fr.note = "kept"} : (tensor<?x3xf32, #fr.dims<B, _>>, tensor<?x5xf32, #fr.dims<B, _>>) -> tensor<?x8xf32, #fr.dims<B, _>>
    // CHECK: %[[N:.*]] = onnx.none
    %n = onnx.none
    %high = onnx.constant dense<6.0> : tensor<f32>
    // CHECK: %[[CL:.*]] = onnx.op "Clip"(%[[J]], %[[N]], %{{.*}}) : (tensor<?x8xf32, #fr.dims<B, _>>, none, tensor<f32>)
    %cl = onnx.op "Clip"(%j, %n, %high) : (tensor<?x8xf32, #fr.dims<B, _>>, none, tensor<f32>) -> tensor<?x8xf32, #fr.dims<B, _>>
    // CHECK: onnx.op com.microsoft "Gelu"(%[[CL]])
    %g = onnx.op com.microsoft "Gelu"(%cl) : (tensor<?x8xf32, #fr.dims<B, _>>) -> tensor<?x8xf32, #fr.dims<B, _>>
    return %g : tensor<?x8xf32, #fr.dims<B, _>>
  }
  // CHECK: func.func @scan(%[[X:.*]]: tensor<5x8xf32>, %[[H:.*]]: tensor<8xf32>, %[[Y:.*]]: tensor<8xf32>)
  func.func @scan(%x: tensor<5x8xf32>, %h: tensor<8xf32>, %y: tensor<8xf32>) -> (tensor<8xf32>, tensor<5x8xf32>) {
    // CHECK: %[[R:.*]]:2 = onnx.scan %[[H]], %[[X]] states 1 axis 0 : (tensor<8xf32>, tensor<5x8xf32>) -> (tensor<8xf32>, tensor<5x8xf32>) {
    // CHECK-NEXT: ^bb0(%[[S:.*]]: tensor<8xf32>, %[[XI:.*]]: tensor<8xf32>):
    // CHECK-NEXT: %[[N:.*]] = onnx.op "Add"(%[[S]], %[[XI]])
    // CHECK-NEXT: %[[O:.*]] = onnx.op "Mul"(%[[N]], %[[Y]])
    // CHECK-NEXT: onnx.yield %[[N]], %[[O]] : tensor<8xf32>, tensor<8xf32>
    %r:2 = onnx.scan %h, %x states 1 axis 0 : (tensor<8xf32>, tensor<5x8xf32>) -> (tensor<8xf32>, tensor<5x8xf32>) {
    ^bb0(%s: tensor<8xf32>, %xi: tensor<8xf32>):
      %n = onnx.op "Add"(%s, %xi) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
      %o = onnx.op "Mul"(%n, %y) : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
      onnx.yield %n, %o : tensor<8xf32>, tensor<8xf32>
    }
    // CHECK: return %[[R]]#0, %[[R]]#1
    return %r#0, %r#1 : tensor<8xf32>, tensor<5x8xf32>
  }
}
