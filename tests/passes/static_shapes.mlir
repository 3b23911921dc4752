// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-cache-none --fr-static-shapes=sizes=B=1,S=512 | FileCheck %s
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-cache-static=size=64 --fr-static-shapes=sizes=S=1 | FileCheck %s --check-prefix=DECODE
// RUN: not flagrelease-opt %S/Inputs/decoder.mlir --fr-static-shapes=sizes=Q=1 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not flagrelease-opt %S/Inputs/decoder.mlir --fr-static-shapes=sizes=B=zero 2>&1 | FileCheck %s --check-prefix=NUMBER
// RUN: not flagrelease-opt %S/Inputs/decoder.mlir --fr-static-shapes=sizes=B=0 2>&1 | FileCheck %s --check-prefix=POSITIVE

// CHECK-NOT: #fr.dims
// CHECK: func.func @main(%{{.*}}: tensor<1x512xi64> {fr.name = "input_ids"}
// CHECK-SAME: -> (tensor<1x512x32xf32> {fr.name = "logits"})
// CHECK: fr.attention_mask {{.*}} : tensor<1x1x512x512xi1>
// CHECK-NOT: #fr.dims

// DECODE: func.func @main(%{{.*}}: tensor<?x1xi64, #fr.dims<B, _>> {fr.name = "input_ids"}
// DECODE-SAME: tensor<1xi64> {fr.name = "cache_position"}

// UNKNOWN: fr-static-shapes: no tensor has a size Q; the sizes are B, P, S
// NUMBER: fr-static-shapes: 'B=zero' is not symbol=number with a positive number
// POSITIVE: fr-static-shapes: 'B=0' is not symbol=number with a positive number
