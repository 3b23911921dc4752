// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-cache-none --fr-taps-to-outputs | FileCheck %s
// RUN: flagrelease-opt %s --fr-taps-to-outputs --split-input-file --verify-diagnostics

// CHECK: func.func @main(
// CHECK-SAME: {fr.name = "logits"}
// CHECK-SAME: {fr.name = "model.layers.0"}
// CHECK-SAME: {fr.name = "model.layers.0.self_attn"}
// CHECK-SAME: {fr.name = "model.layers.0.mlp"}
// CHECK-SAME: {fr.name = "model.layers.1"}
// CHECK-SAME: {fr.name = "model.norm"}
// CHECK-NOT: fr.tap
// CHECK: %[[X:.*]] = fr.embedding
// CHECK: %[[L:.*]] = fr.linear
// CHECK: return %{{[^,]*}}, %[[X]], %

func.func @same(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = fr.tap "a", %x : tensor<4xf32>
  // expected-error @+1 {{'fr.tap' op has the name of another output: 'a'}}
  %1 = fr.tap "a", %0 : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

func.func @output(%x: tensor<4xf32>) -> (tensor<4xf32> {fr.name = "y"}) {
  // expected-error @+1 {{'fr.tap' op has the name of another output: 'y'}}
  %0 = fr.tap "y", %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
