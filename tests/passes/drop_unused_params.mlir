// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-drop-unused-params | FileCheck %s

// The weights are what the source holds: they stay.
// CHECK: fr.weight @rotary.inv_freq
// CHECK: fr.weight @step
// CHECK: fr.param @model.embed_tokens.weight
// CHECK-NOT: fr.param @rotary.inv_freq
// CHECK: fr.param @model.norm.weight
// CHECK-NOT: fr.param @step
// CHECK: func.func @main
