// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-apply-scheme=dtype=f16 | FileCheck %s
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-apply-scheme=dtype=bf16 | FileCheck %s --check-prefix=SAME
// RUN: flagrelease-opt %s --fr-apply-scheme=dtype=f32 | FileCheck %s --check-prefix=TYPES
// RUN: not flagrelease-opt %S/Inputs/decoder.mlir --fr-apply-scheme=dtype=int4 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// The stored types of the source do not change; each param of floats is one cast away from them.
// CHECK: fr.weight @model.embed_tokens.weight : tensor<32x16xbf16>
// CHECK: fr.param @model.embed_tokens.weight : tensor<32x16xf16> {
// CHECK-NEXT: %[[STORED:.*]] = fr.get @source::@model.embed_tokens.weight : tensor<32x16xbf16>
// CHECK-NEXT: %[[CAST:.*]] = fr.cast %[[STORED]] : (tensor<32x16xbf16>) -> tensor<32x16xf16>
// CHECK-NEXT: fr.yield %[[CAST]] : tensor<32x16xf16>
// CHECK: fr.param @step : tensor<1xi64> {
// CHECK-NEXT: %[[STEP:.*]] = fr.get
// CHECK-NEXT: fr.yield %[[STEP]] : tensor<1xi64>
// CHECK: fr.use @model.embed_tokens.weight : tensor<32x16xf16>
// CHECK: fr.linear {{.*}} : (tensor<?x?x16xf32, #fr.dims<B, S, _>>, tensor<16x16xf16>, tensor<16xf16>) -> tensor<?x?x16xf32, #fr.dims<B, S, _>>

// SAME-NOT: fr.cast

// UNKNOWN: fr-apply-scheme: dtype 'int4' is none of f32, f16, bf16

// Ops that take over the type of a param change with it, taps and casts included.
fr.weights @source {
  fr.weight @w : tensor<4x2xf16>
}
fr.param @w : tensor<4x2xf16> {
  %0 = fr.get @source::@w : tensor<4x2xf16>
  fr.yield %0 : tensor<4x2xf16>
}
// TYPES: func.func @main
func.func @main(%x: tensor<3x2xf32>) -> tensor<3x4xf32> {
  %0 = fr.use @w : tensor<4x2xf16>
  // TYPES: fr.reshape {{.*}} : (tensor<4x2xf32>) -> tensor<2x2x2xf32>
  %1 = fr.reshape %0 : (tensor<4x2xf16>) -> tensor<2x2x2xf16>
  %2 = fr.reshape %1 : (tensor<2x2x2xf16>) -> tensor<4x2xf16>
  // TYPES: fr.transpose {{.*}} -> tensor<2x4xf32>
  %3 = fr.transpose %2 [1, 0] : (tensor<4x2xf16>) -> tensor<2x4xf16>
  // TYPES: fr.tap "t", {{.*}} : tensor<2x4xf32>
  %4 = fr.tap "t", %3 : tensor<2x4xf16>
  // TYPES: fr.cast {{.*}} : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %5 = fr.cast %4 : (tensor<2x4xf16>) -> tensor<2x4xf32>
  %6 = fr.matmul %x, %5 : (tensor<3x2xf32>, tensor<2x4xf32>) -> tensor<3x4xf32>
  return %6 : tensor<3x4xf32>
}
