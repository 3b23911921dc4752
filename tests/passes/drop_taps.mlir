// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-drop-taps | FileCheck %s
// Clean-up alone keeps every tap.
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --canonicalize --cse | FileCheck %s --check-prefix=KEPT

// CHECK-NOT: fr.tap
// CHECK: %[[X:.*]] = fr.embedding
// CHECK: fr.rms_norm %[[X]],
// CHECK-NOT: fr.tap

// KEPT-COUNT-7: fr.tap
// KEPT-NOT: fr.tap
