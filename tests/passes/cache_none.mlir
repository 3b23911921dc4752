// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-cache-none | FileCheck %s
// RUN: flagrelease-opt %s --fr-cache-none --split-input-file | FileCheck %s --check-prefix=SIZE

// CHECK-NOT: fr.state
// CHECK-NOT: P + S
// CHECK: func.func @main(
// CHECK-SAME: tensor<?x?xi64, #fr.dims<B, S>> {fr.name = "input_ids"}
// CHECK-SAME: tensor<?x?xi64, #fr.dims<B, S>> {fr.name = "attention_mask"}
// CHECK-SAME: tensor<?x?xi64, #fr.dims<B, S>> {fr.name = "position_ids"}
// CHECK-SAME: -> (tensor<?x?x32xf32, #fr.dims<B, S, _>> {fr.name = "logits"})
// CHECK: %[[K:.*]] = fr.rope {{.*}} : (tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>,
// CHECK: %[[V:.*]] = fr.transpose {{.*}} -> tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
// CHECK: %[[MASK:.*]] = fr.attention_mask {{.*}} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, S>>
// CHECK: fr.attention %{{.*}}, %[[K]], %[[V]], %[[MASK]]
// CHECK-NOT: fr.state

// SIZE: func.func @sizes(
// SIZE-SAME: tensor<?x?xf32, #fr.dims<B, S>>
// SIZE: fr.constant dense<0> : tensor<i64>
// SIZE: fr.size "S" : tensor<i64>
// SIZE: fr.iota : tensor<?xi64, #fr.dims<2*S + 1>>
// SIZE: fr.iota : tensor<0xi64>
func.func @sizes(%x: tensor<?x?xf32, #fr.dims<B, P + S>>) -> (tensor<i64>, tensor<i64>, tensor<?xi64, #fr.dims<P + 2*S + 1>>, tensor<?xi64, #fr.dims<P>>) {
  %0 = fr.size "P" : tensor<i64>
  %1 = fr.size "P + S" : tensor<i64>
  %2 = fr.iota : tensor<?xi64, #fr.dims<P + 2*S + 1>>
  %3 = fr.iota : tensor<?xi64, #fr.dims<P>>
  return %0, %1, %2, %3 : tensor<i64>, tensor<i64>, tensor<?xi64, #fr.dims<P + 2*S + 1>>, tensor<?xi64, #fr.dims<P>>
}
