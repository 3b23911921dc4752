// What clean-up may do: equal ops merge, casts to the same type vanish; weights are not touched, taps and states stay.
// RUN: flagrelease-opt %s --canonicalize --cse | FileCheck %s

fr.weights @source {
  fr.weight @w : tensor<4xf32>
}
// CHECK: fr.param @w : tensor<4xf32> {
// CHECK-NEXT: fr.get
// CHECK-NEXT: fr.exp
// CHECK-NEXT: fr.yield
fr.param @w : tensor<4xf32> {
  %0 = fr.get @source::@w : tensor<4xf32>
  %1 = fr.exp %0 : (tensor<4xf32>) -> tensor<4xf32>
  fr.yield %1 : tensor<4xf32>
}
// CHECK: fr.state
fr.state @k kv layer 0 part "key" axis 0 : tensor<?xf32, #fr.dims<P>>

// CHECK-LABEL: @main
// CHECK-SAME: %[[X:.*]]: tensor<4xf32>, %[[NEW:.*]]: tensor
func.func @main(%x: tensor<4xf32>, %new: tensor<?xf32, #fr.dims<S>>) -> tensor<4xf32> {
  // CHECK: %[[W:.*]] = fr.use @w
  // CHECK-NOT: fr.use
  %w0 = fr.use @w : tensor<4xf32>
  %w1 = fr.use @w : tensor<4xf32>
  // CHECK-NOT: fr.cast
  %same = fr.cast %x : (tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %[[SUM:.*]] = fr.add %[[X]], %[[W]]
  %0 = fr.add %same, %w0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = fr.add %x, %w1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  // CHECK: fr.state.append @k
  %all = fr.state.append @k, %new : (tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<P + S>>
  // CHECK: fr.tap "unused", %[[SUM]]
  %2 = fr.tap "unused", %0 : tensor<4xf32>
  // CHECK: fr.mul %[[SUM]], %[[SUM]]
  %3 = fr.mul %0, %1 : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %3 : tensor<4xf32>
}
