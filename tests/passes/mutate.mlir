// Each mistake changes what it names, in the chosen layer and nowhere else.
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=bias layer=1" | FileCheck %s --check-prefix=BIAS
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=gate-up layer=0" | FileCheck %s --check-prefix=GATE
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=qk-norm layer=1" --cse | FileCheck %s --check-prefix=QKNORM
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=rope-theta layer=0" | FileCheck %s --check-prefix=THETA
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=rms-eps layer=1" | FileCheck %s --check-prefix=EPS
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=head-scale layer=1" | FileCheck %s --check-prefix=HEAD
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=kv-order layer=0" | FileCheck %s --check-prefix=KV
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=causal-plus layer=0" | FileCheck %s --check-prefix=PLUS
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=causal-minus layer=1" | FileCheck %s --check-prefix=MINUS
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=window layer=1" | FileCheck %s --check-prefix=WINDOW
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=padding layer=0" | FileCheck %s --check-prefix=PADDING
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=decode-position layer=1" | FileCheck %s --check-prefix=POSITION
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=tensor-scale layer=1" | FileCheck %s --check-prefix=SCALE
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=tensor-scale tensor=model.norm.weight" | FileCheck %s --check-prefix=NAMED
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=tensor-rows layer=0" | FileCheck %s --check-prefix=ROWS
// Params stay as they were: only the graph is wrong.
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --cse --fr-mutate="kind=tensor-scale layer=1" | FileCheck %s --check-prefix=PARAMS
// A mistake about the past cannot be seen without a cache.
// RUN: flagrelease-opt %S/Inputs/decoder.mlir --fr-mutate="kind=decode-position layer=0" --fr-cache-none | FileCheck %s --check-prefix=NOPAST

// BIAS: fr.tap "model.layers.0",
// BIAS: fr.linear {{.*}} : ({{.*}}, tensor<16x16xbf16>, tensor<16xbf16>)
// BIAS: fr.tap "model.layers.1",
// BIAS-NOT: tensor<16x16xbf16>, tensor<16xbf16>)

// GATE: %[[GATE:.*]] = fr.linear {{.*}} -> tensor<?x?x24xf32
// GATE: %[[UP:.*]] = fr.linear {{.*}} -> tensor<?x?x24xf32
// GATE: %[[ACT:.*]] = fr.silu %[[UP]]
// GATE: fr.mul %[[ACT]], %[[GATE]]
// GATE: fr.tap "model.layers.1",
// GATE: %[[ACT1:.*]] = fr.silu
// GATE: fr.mul %[[ACT1]], %

// QKNORM: fr.tap "model.layers.1",
// QKNORM: %[[Q:.*]] = fr.use @model.layers.1.self_attn.q_norm.weight
// QKNORM: %[[K:.*]] = fr.use @model.layers.1.self_attn.k_norm.weight
// QKNORM: fr.rms_norm %{{.*}}, %[[K]] {{.*}}<?x?x4x4xf32
// QKNORM: fr.rms_norm %{{.*}}, %[[Q]] {{.*}}<?x?x2x4xf32

// THETA: %[[COS:.*]], %[[SIN:.*]] = fr.rope_table default %{{.*}} dim 4 theta 1.000000e+04
// THETA: %[[COS0:.*]], %[[SIN0:.*]] = fr.rope_table default %{{.*}} dim 4 theta 1.010000e+04
// THETA: fr.rope %{{.*}}, %[[COS0]], %[[SIN0]] : (tensor<?x4x
// THETA: fr.rope %{{.*}}, %[[COS0]], %[[SIN0]] : (tensor<?x2x
// THETA: fr.tap "model.layers.1",
// THETA: fr.rope %{{.*}}, %[[COS]], %[[SIN]] :
// THETA: fr.rope %{{.*}}, %[[COS]], %[[SIN]] :

// EPS-COUNT-4: eps 9.9999999999999995E-7
// EPS: fr.tap "model.layers.1",
// EPS-COUNT-4: eps {{9.9999999999999.*E-6|1.000000e-05}}
// EPS: fr.tap "model.layers.1.mlp"
// The final norm lies behind the last layer.
// EPS: fr.rms_norm {{.*}} eps 9.9999999999999995E-7

// HEAD: fr.tap "model.layers.1",
// HEAD: %[[FACTOR:.*]] = fr.constant dense<{{\[\[}}{{\[\[}}1.100000e+00]], {{\[\[}}1.000000e+00]], {{\[\[}}1.000000e+00]], {{\[\[}}1.000000e+00]]]]> : tensor<1x4x1x1xf32>
// HEAD: %[[Q:.*]] = fr.mul %{{.*}}, %[[FACTOR]]
// HEAD: fr.attention %[[Q]],

// KV: %[[ORDER:.*]] = fr.constant dense<[0, 1, 0, 1]> : tensor<4xi64>
// KV: %[[K:.*]] = fr.gather %{{.*}}[%[[ORDER]]] axis 1 {{.*}} -> tensor<?x4x?x4xf32, #fr.dims<B, _, P + S, _>>
// KV: %[[V:.*]] = fr.gather %{{.*}}[%[[ORDER]]] axis 1
// KV: fr.attention %{{.*}}, %[[K]], %[[V]],
// KV-NOT: fr.gather

// PLUS: fr.attention_mask {{.*}}{causal = true} : tensor
// PLUS: %[[M:.*]] = fr.attention_mask {{.*}}{causal = true, diagonal = 1 : i64} : tensor
// PLUS: fr.attention %{{.*}}, %{{.*}}, %{{.*}}, %[[M]] scale
// PLUS: fr.tap "model.layers.1",
// PLUS-NOT: diagonal

// MINUS-NOT: diagonal
// MINUS: fr.tap "model.layers.1",
// MINUS: {causal = true, diagonal = -1 : i64, window = 4 : i64}

// WINDOW: fr.tap "model.layers.1",
// WINDOW: %[[RIGHT:.*]] = fr.attention_mask {{.*}}{causal = true, window = 4 : i64}
// WINDOW: %[[WRONG:.*]] = fr.attention_mask {{.*}}{causal = true} :
// WINDOW: fr.attention %{{.*}}, %{{.*}}, %{{.*}}, %[[WRONG]] scale

// PADDING: %[[M:.*]] = fr.attention_mask {causal = true} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
// PADDING: fr.attention %{{.*}}, %{{.*}}, %{{.*}}, %[[M]] scale

// POSITION: func.func @main({{.*}}%[[POS:[^:,]*]]: tensor<?x?xi64, #fr.dims<B, S>> {fr.name = "position_ids"})
// POSITION: fr.rope_table default %[[POS]]
// POSITION: %[[P:.*]] = fr.size "P" : tensor<i64>
// POSITION: %[[ONE:.*]] = fr.constant dense<1> : tensor<i64>
// POSITION: %[[BY:.*]] = fr.minimum %[[P]], %[[ONE]]
// POSITION: %[[SHIFTED:.*]] = fr.add %[[POS]], %[[BY]]
// POSITION: fr.rope_table default %[[SHIFTED]]

// SCALE: fr.tap "model.layers.1",
// SCALE: %[[W:.*]] = fr.use @model.layers.1.input_layernorm.weight : tensor<16xbf16>
// SCALE: %[[BY:.*]] = fr.constant dense<1.010000e+00> : tensor<f32>
// SCALE: %[[LARGER:.*]] = fr.mul %[[W]], %[[BY]] : (tensor<16xbf16>, tensor<f32>) -> tensor<16xf32>
// SCALE: fr.rms_norm %{{.*}}, %[[LARGER]]

// NAMED: %[[W:.*]] = fr.use @model.norm.weight
// NAMED: %[[LARGER:.*]] = fr.mul %[[W]],
// NAMED: fr.rms_norm %{{.*}}, %[[LARGER]]

// ROWS: %[[W:.*]] = fr.use @model.layers.0.self_attn.q_proj.weight
// ROWS: %[[SECOND:.*]] = fr.slice %[[W]] axis 0 start 1 size 1
// ROWS: %[[FIRST:.*]] = fr.slice %[[W]] axis 0 start 0 size 1
// ROWS: %[[REST:.*]] = fr.slice %[[W]] axis 0 start 2 size 14
// ROWS: %[[SWAPPED:.*]] = fr.concat %[[SECOND]], %[[FIRST]], %[[REST]] axis 0
// ROWS: fr.linear %{{.*}}, %[[SWAPPED]],

// PARAMS: fr.param @model.layers.1.input_layernorm.weight : tensor<16xbf16> {
// PARAMS-NEXT: fr.get
// PARAMS-NEXT: fr.yield

// NOPAST-NOT: fr.size
// NOPAST: fr.constant dense<0> : tensor<i64>
