// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=17 | FileCheck %s --check-prefixes=CHECK,OP17
// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=20 | FileCheck %s --check-prefixes=CHECK,OP20
// RUN: flagrelease-opt %s --convert-fr-to-onnx="opset=24" | FileCheck %s --check-prefixes=CHECK,OP24
// RUN: flagrelease-opt %s --convert-fr-to-onnx="opset=20 contrib=com.microsoft:Gelu" | FileCheck %s --check-prefix=CONTRIB

// OP17: module attributes {onnx.opset = {ai.onnx = 17 : i64}}
// CONTRIB: module attributes {onnx.opset = {ai.onnx = 20 : i64, com.microsoft = 1 : i64}}
!x = tensor<?x8xf32, #fr.dims<B, _>>

// CHECK-LABEL: func.func @silu(
// OP17: %[[S:.*]] = onnx.op "Sigmoid"(%[[X:.*]]) :
// OP17: onnx.op "Mul"(%[[X]], %[[S]])
// OP24: onnx.op "Swish"(
func.func @silu(%x: !x) -> !x {
  %0 = fr.silu %x : (!x) -> !x
  return %0 : !x
}

// CHECK-LABEL: func.func @gelu(
// OP17: onnx.op "Erf"
// OP20: onnx.op "Gelu"(%{{.*}}) {approximate = "none"}
// OP20: onnx.op "Gelu"(%{{.*}}) {approximate = "tanh"}
// CONTRIB-LABEL: func.func @gelu(
// CONTRIB: onnx.op com.microsoft "Gelu"
// CONTRIB: onnx.op "Gelu"(%{{.*}}) {approximate = "tanh"}
func.func @gelu(%x: !x) -> (!x, !x) {
  %0 = fr.gelu %x none : (!x) -> !x
  %1 = fr.gelu %x tanh : (!x) -> !x
  return %0, %1 : !x, !x
}

// The narrower operand is widened: ONNX takes equal types only.
// CHECK-LABEL: func.func @mixed(
// CHECK: %[[W:.*]] = onnx.op "Cast"(%arg1) {to = 1 : i64} : (tensor<8xbf16>) -> tensor<8xf32>
// CHECK: onnx.op "Mul"(%arg0, %[[W]])
func.func @mixed(%x: !x, %w: tensor<8xbf16>) -> !x {
  %0 = fr.mul %x, %w : (!x, tensor<8xbf16>) -> !x
  return %0 : !x
}

// An argument that is a result, and a result that is returned twice, get nodes of their own.
// CHECK-LABEL: func.func @results(
// CHECK: %[[N:.*]] = onnx.op "Neg"(%arg0)
// CHECK: %[[A:.*]] = onnx.op "Identity"(%[[N]])
// CHECK: %[[B:.*]] = onnx.op "Identity"(%arg0)
// CHECK: return %[[N]], %[[A]], %[[B]]
func.func @results(%x: !x) -> (!x, !x, !x) {
  %0 = fr.neg %x : (!x) -> !x
  %1 = fr.neg %x : (!x) -> !x
  return %0, %1, %x : !x, !x, !x
}
