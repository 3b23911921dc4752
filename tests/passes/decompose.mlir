// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-decompose | FileCheck %s
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-decompose=ops=silu,fr.rope | FileCheck %s --check-prefix=SOME
// RUN: not flagrelease-opt %S/Inputs/decoder.mlir --fr-decompose=ops=silu,linear 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: flagrelease-opt %s --fr-decompose --canonicalize --cse | FileCheck %s --check-prefix=OPS

// What tests/passes/decompose_test.cpp shows in numbers; here that nothing composite is left, with symbolic sizes.
// CHECK-NOT: {{fr\.(attention|attention_mask|gelu|l2_norm|layer_norm|rms_norm|rope|rope_table|silu|softmax) }}

// SOME-NOT: {{fr\.(silu|rope) }}
// SOME: fr.rope_table
// SOME-NOT: {{fr\.(silu|rope) }}

// UNKNOWN: fr-decompose: no decomposition of 'linear'; there are attention, attention_mask, gelu, l2_norm, layer_norm, rms_norm, rope, rope_table, silu, softmax

// No key or value is repeated: the queries of a group stand one below the other.
// OPS-LABEL: @grouped
// OPS: fr.reshape {{.*}} -> tensor<?x2x?x4xf32, #fr.dims<B, _, 2*S, _>>
// OPS: fr.matmul {{.*}} -> tensor<?x2x?x?xf32, #fr.dims<B, _, 2*S, P + S>>
// OPS: fr.reshape {{.*}} -> tensor<?x4x?x?xf32, #fr.dims<B, _, S, P + S>>
// OPS: fr.matmul {{.*}} -> tensor<?x2x?x4xf32, #fr.dims<B, _, 2*S, _>>
// OPS: fr.reshape {{.*}} -> tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
func.func @grouped(%q: tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>, %k: tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>) -> tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>> {
  %0 = fr.attention %q, %k, %k scale 1.0 : (tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>, tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>, tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>) -> tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
  return %0 : tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
}

// Frequencies that do not depend on the length are a constant.
// OPS-LABEL: @table
// OPS: fr.constant dense<[1.000000e+00, 0.00999999977]> : tensor<2xf32>
// OPS-NOT: fr.pow
// OPS: return
func.func @table(%p: tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?x2xf32, #fr.dims<B, S, _>> {
  %c, %s = fr.rope_table default %p dim 4 theta 1.0e+04 : (tensor<?x?xi64, #fr.dims<B, S>>) -> (tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>)
  return %c : tensor<?x?x2xf32, #fr.dims<B, S, _>>
}

// A mask that hides nothing still has the sizes of its type.
// OPS-LABEL: @all
// OPS: return %{{.*}} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
func.func @all() -> tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>> {
  %0 = fr.attention_mask {causal = false} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
  return %0 : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
}
