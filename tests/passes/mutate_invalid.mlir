// RUN: not flagrelease-opt %s --fr-mutate="kind=nonsense" 2>&1 | FileCheck %s --check-prefix=KIND
// RUN: not flagrelease-opt %s --fr-mutate="kind=bias layer=7" 2>&1 | FileCheck %s --check-prefix=LAYER
// RUN: not flagrelease-opt %s --fr-mutate="kind=bias" 2>&1 | FileCheck %s --check-prefix=BIAS
// RUN: not flagrelease-opt %s --fr-mutate="kind=bias tensor=b" 2>&1 | FileCheck %s --check-prefix=NAMED
// RUN: not flagrelease-opt %s --fr-mutate="kind=gate-up" 2>&1 | FileCheck %s --check-prefix=GATE
// RUN: not flagrelease-opt %s --fr-mutate="kind=qk-norm" 2>&1 | FileCheck %s --check-prefix=QK
// RUN: not flagrelease-opt %s --fr-mutate="kind=rope-theta" 2>&1 | FileCheck %s --check-prefix=ROPE
// RUN: not flagrelease-opt %s --fr-mutate="kind=decode-position" 2>&1 | FileCheck %s --check-prefix=ROPE
// RUN: not flagrelease-opt %s --fr-mutate="kind=rms-eps" 2>&1 | FileCheck %s --check-prefix=EPS
// RUN: not flagrelease-opt %s --fr-mutate="kind=gelu" 2>&1 | FileCheck %s --check-prefix=GELU
// RUN: not flagrelease-opt %s --fr-mutate="kind=kv-order" 2>&1 | FileCheck %s --check-prefix=KV
// RUN: not flagrelease-opt %s --fr-mutate="kind=causal-plus" 2>&1 | FileCheck %s --check-prefix=CAUSAL
// RUN: not flagrelease-opt %s --fr-mutate="kind=window" 2>&1 | FileCheck %s --check-prefix=WINDOW
// RUN: not flagrelease-opt %s --fr-mutate="kind=padding" 2>&1 | FileCheck %s --check-prefix=PADDING
// RUN: not flagrelease-opt %s --fr-mutate="kind=tensor-scale" 2>&1 | FileCheck %s --check-prefix=TENSOR
// RUN: not flagrelease-opt %s --fr-mutate="kind=tensor-scale tensor=w" 2>&1 | FileCheck %s --check-prefix=NOSUCH
// RUN: not flagrelease-opt %s --fr-mutate="kind=head-scale layer=1" 2>&1 | FileCheck %s --check-prefix=HEAD

// KIND: fr-mutate: no kind 'nonsense'; there are bias, gate-up, qk-norm, rope-theta, rms-eps, gelu, head-scale, kv-order, causal-plus, causal-minus, window, padding, decode-position, tensor-scale, tensor-rows
// LAYER: fr-mutate: no tap starts layer 7
// BIAS: fr-mutate: layer 0 has no linear with a bias
// NAMED: fr-mutate: layer 0 has no linear with a bias 'b'
// GATE: fr-mutate: layer 0 has no product of an activation and another projection
// QK: fr-mutate: layer 0 has no norms on q and k
// ROPE: fr-mutate: layer 0 has no rotary positions
// EPS: fr-mutate: layer 0 has no rms_norm
// GELU: fr-mutate: layer 0 has no gelu
// KV: fr-mutate: layer 0 has 4 query heads and 4 key heads: any order is the right one
// CAUSAL: fr-mutate: layer 0 has no mask that is causal
// WINDOW: fr-mutate: layer 0 has no mask with a window
// PADDING: fr-mutate: layer 0 has no mask that reads padding
// TENSOR: fr-mutate: layer 0 has no such param
// NOSUCH: fr-mutate: nothing uses a param 'w'
// HEAD: fr-mutate: layer 1 has no attention
func.func @main(%q: tensor<1x4x3x4xf32>) -> tensor<1x4x3x4xf32> {
  %0 = fr.tap "h.0", %q : tensor<1x4x3x4xf32>
  %1 = fr.attention %0, %0, %0 scale 1.0 : (tensor<1x4x3x4xf32>, tensor<1x4x3x4xf32>, tensor<1x4x3x4xf32>) -> tensor<1x4x3x4xf32>
  %2 = fr.tap "h.1", %1 : tensor<1x4x3x4xf32>
  return %2 : tensor<1x4x3x4xf32>
}
