// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-cache-dynamic | FileCheck %s

// CHECK-NOT: fr.state
// CHECK: func.func @main(
// CHECK-SAME: {fr.name = "input_ids"}
// CHECK-SAME: tensor<?x?xi64, #fr.dims<B, P + S>> {fr.name = "attention_mask"}
// CHECK-SAME: {fr.name = "position_ids"}
// CHECK-SAME: %[[K0:[^:]*]]: tensor<?x2x?x4xf32, #fr.dims<B, _, P, _>> {fr.name = "past_key_values.0.key"}
// CHECK-SAME: %[[V0:[^:]*]]: tensor<?x2x?x4xf32, #fr.dims<B, _, P, _>> {fr.name = "past_key_values.0.value"}
// CHECK-SAME: {fr.name = "past_key_values.1.key"}
// CHECK-SAME: {fr.name = "past_key_values.1.value"}
// CHECK-SAME: -> ({{.*}} {fr.name = "logits"},
// CHECK-SAME: tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>> {fr.name = "present.0.key"}
// CHECK-SAME: {fr.name = "present.0.value"}
// CHECK-SAME: {fr.name = "present.1.key"}
// CHECK-SAME: {fr.name = "present.1.value"}
// CHECK: %[[K:.*]] = fr.concat %[[K0]], %{{.*}} axis 2
// CHECK: %[[V:.*]] = fr.concat %[[V0]], %{{.*}} axis 2
// CHECK: fr.attention %{{.*}}, %[[K]], %[[V]], %{{.*}} scale
// CHECK: return %{{[^,]*}}, %[[K]], %[[V]], %
// CHECK-NOT: fr.state
