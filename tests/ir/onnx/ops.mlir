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
}
