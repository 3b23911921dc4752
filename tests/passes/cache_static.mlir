// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-cache-static=size=32 | FileCheck %s
// RUN: flagrelease-opt %s --fr-cache-static=size=32 | FileCheck %s --check-prefix=SIZE

// CHECK-NOT: fr.state
// CHECK-NOT: P + S
// CHECK: func.func @main(
// CHECK-SAME: {fr.name = "input_ids"}
// CHECK-SAME: tensor<?x32xi64, #fr.dims<B, _>> {fr.name = "attention_mask"}
// CHECK-SAME: {fr.name = "position_ids"}
// CHECK-SAME: %[[AT:[^:]*]]: tensor<?xi64, #fr.dims<S>> {fr.name = "cache_position"}
// CHECK-SAME: %[[K0:[^:]*]]: tensor<?x2x32x4xf32, #fr.dims<B, _, _, _>> {fr.name = "past_key_values.0.key"}
// CHECK-SAME: {fr.name = "past_key_values.1.value"}
// CHECK-SAME: {fr.name = "logits"}
// CHECK-SAME: tensor<?x2x32x4xf32, #fr.dims<B, _, _, _>> {fr.name = "present.0.key"}
// CHECK: %[[K:.*]] = fr.scatter %[[K0]][%[[AT]]], %{{.*}} axis 2
// CHECK: fr.attention_mask padding %{{.*}} : {{.*}} columns %[[AT]] : tensor<?xi64, #fr.dims<S>> {causal = true} : tensor<?x1x?x32xi1, #fr.dims<B, _, S, _>>
// CHECK: fr.attention %{{.*}}, %[[K]], %
// CHECK: return %{{[^,]*}}, %[[K]], %
// CHECK-NOT: fr.state

fr.state @a kv layer 0 part "key" axis 0 : tensor<?xf32, #fr.dims<P>>
// A number P + S is the size of the cache; P alone is where this call begins.
// SIZE: func.func @sizes(%{{.*}}: tensor<?xf32, #fr.dims<S>>, %[[AT:[^:]*]]: tensor<?xi64, #fr.dims<S>> {fr.name = "cache_position"}
// SIZE: %[[FIRST:.*]] = fr.gather %[[AT]][%{{.*}}] axis 0
// SIZE: %[[ONCE:.*]] = fr.mul %[[FIRST]]
// SIZE: %[[P:.*]] = fr.add %{{.*}}, %[[ONCE]]
// SIZE: %[[ALL:.*]] = fr.constant dense<32> : tensor<i64>
// SIZE: %[[S:.*]] = fr.size "S" : tensor<i64>
// SIZE: return %{{.*}}, %[[P]], %[[ALL]], %[[S]], %
func.func @sizes(%x: tensor<?xf32, #fr.dims<S>>) -> (tensor<?xf32, #fr.dims<P + S>>, tensor<i64>, tensor<i64>, tensor<i64>) {
  %all = fr.state.append @a, %x : (tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<P + S>>
  %0 = fr.size "P" : tensor<i64>
  %1 = fr.size "P + S" : tensor<i64>
  %2 = fr.size "S" : tensor<i64>
  return %all, %0, %1, %2 : tensor<?xf32, #fr.dims<P + S>>, tensor<i64>, tensor<i64>, tensor<i64>
}
