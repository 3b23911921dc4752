// What the kinds of models brought, printed as it is parsed, in its own form and in the generic one.
// RUN: flagrelease-opt %s | flagrelease-opt | FileCheck %s
// RUN: flagrelease-opt %s --mlir-print-op-generic | flagrelease-opt | FileCheck %s

!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!n = tensor<?x?x8xi64, #fr.dims<B, S, _>>
!b = tensor<?x?x8xi1, #fr.dims<B, S, _>>
!h = tensor<?x8xf32, #fr.dims<B, _>>
!s = tensor<?x4x?xf32, #fr.dims<B, _, S>>

// CHECK: fr.state @conv conv layer 3 part "conv" axis 0 : tensor<?x4x3xf32, #fr.dims<B, _, _>>
fr.state @conv conv layer 3 part "conv" axis 0 : tensor<?x4x3xf32, #fr.dims<B, _, _>>
// CHECK: fr.state @ssm recurrent layer 3 part "ssm" axis 0 : tensor<?x8xf32, #fr.dims<B, _>> {init = -1.000000e+00 : f64}
fr.state @ssm recurrent layer 3 part "ssm" axis 0 : !h {init = -1.0 : f64}
// CHECK: fr.state @window window layer 0 part "ids" axis 0 : tensor<?x4xi64, #fr.dims<B, _>>
fr.state @window window layer 0 part "ids" axis 0 : tensor<?x4xi64, #fr.dims<B, _>>

// CHECK-LABEL: @states
func.func @states() -> !h {
  // CHECK: %[[H:.*]] = fr.state.read @ssm : tensor<?x8xf32, #fr.dims<B, _>>
  %0 = fr.state.read @ssm : !h
  // CHECK: fr.state.update @ssm, %[[H]] : tensor<?x8xf32, #fr.dims<B, _>>
  fr.state.update @ssm, %0 : !h
  return %0 : !h
}

// CHECK-LABEL: @elementwise
func.func @elementwise(%x: !x, %n: !n, %b: !b) {
  // CHECK: fr.abs %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %0 = fr.abs %x : (!x) -> !x
  // CHECK: fr.abs %{{.*}} : (tensor<?x?x8xi64, #fr.dims<B, S, _>>) -> tensor<?x?x8xi64, #fr.dims<B, S, _>>
  %1 = fr.abs %n : (!n) -> !n
  // CHECK: fr.not %{{.*}} : (tensor<?x?x8xi1, #fr.dims<B, S, _>>) -> tensor<?x?x8xi1, #fr.dims<B, S, _>>
  %2 = fr.not %b : (!b) -> !b
  // CHECK: fr.softplus %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %3 = fr.softplus %x : (!x) -> !x
  return
}

// CHECK-LABEL: @shapes
func.func @shapes(%x: !x, %row: tensor<1x8xf32>, %n: !n) {
  // CHECK: fr.narrow %{{.*}} axis 1 start "S + -1" size "1" : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x1x8xf32, #fr.dims<B, _, _>>
  %0 = fr.narrow %x axis 1 start "S + -1" size "1" : (!x) -> tensor<?x1x8xf32, #fr.dims<B, _, _>>
  // CHECK: fr.narrow %{{.*}} axis 1 start "1" size "S + -1" : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S + -1, _>>
  %1 = fr.narrow %x axis 1 start "1" size "S + -1" : (!x) -> tensor<?x?x8xf32, #fr.dims<B, S + -1, _>>
  // CHECK: fr.broadcast %{{.*}} : (tensor<1x8xf32>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %2 = fr.broadcast %row : (tensor<1x8xf32>) -> !x
  // CHECK: fr.pad %{{.*}} constant low [0, 1, 0] high [0, 2, 0] : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S + 3, _>>
  %3 = fr.pad %x constant low [0, 1, 0] high [0, 2, 0] : (!x) -> tensor<?x?x8xf32, #fr.dims<B, S + 3, _>>
  // CHECK: fr.pad %{{.*}} constant low [0, 0, 1] high [0, 0, 0] {value = 7.000000e+00 : f64} : (tensor<?x?x8xi64, #fr.dims<B, S, _>>) -> tensor<?x?x9xi64, #fr.dims<B, S, _>>
  %4 = fr.pad %n constant low [0, 0, 1] high [0, 0, 0] {value = 7.0} : (!n) -> tensor<?x?x9xi64, #fr.dims<B, S, _>>
  // CHECK: fr.pad %{{.*}} edge low
  %5 = fr.pad %x edge low [0, 0, 1] high [0, 0, 0] : (!x) -> tensor<?x?x9xf32, #fr.dims<B, S, _>>
  // CHECK: fr.pad %{{.*}} reflect low
  %6 = fr.pad %x reflect low [0, 0, 1] high [0, 0, 0] : (!x) -> tensor<?x?x9xf32, #fr.dims<B, S, _>>
  // CHECK: fr.top_k %{{.*}} k 3 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> (tensor<?x?x3xf32, #fr.dims<B, S, _>>, tensor<?x?x3xi64, #fr.dims<B, S, _>>)
  %7, %8 = fr.top_k %x k 3 : (!x) -> (tensor<?x?x3xf32, #fr.dims<B, S, _>>, tensor<?x?x3xi64, #fr.dims<B, S, _>>)
  return
}

// CHECK-LABEL: @scan
func.func @scan(%x: !x, %first: !h) -> (!h, !x, !x) {
  // CHECK: fr.scan "sum" inits %{{.*}} sequences %{{.*}} axis 1 : (tensor<?x8xf32, #fr.dims<B, _>>, tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> (tensor<?x8xf32, #fr.dims<B, _>>, tensor<?x?x8xf32, #fr.dims<B, S, _>>) {
  // CHECK-NEXT: ^bb0(%[[H:.*]]: tensor<?x8xf32, #fr.dims<B, _>>, %[[X:.*]]: tensor<?x8xf32, #fr.dims<B, _>>):
  // CHECK-NEXT: %[[N:.*]] = fr.add %[[H]], %[[X]]
  // CHECK-NEXT: fr.scan.yield %[[N]], %[[N]] : tensor<?x8xf32, #fr.dims<B, _>>, tensor<?x8xf32, #fr.dims<B, _>>
  // CHECK-NEXT: }
  %last, %all = fr.scan "sum" inits %first sequences %x axis 1 : (!h, !x) -> (!h, !x) {
  ^bb0(%h: !h, %xi: !h):
    %next = fr.add %h, %xi : (!h, !h) -> !h
    fr.scan.yield %next, %next : !h, !h
  }
  // CHECK: fr.scan "map" sequences %{{.*}} axis 1 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>> {
  %mapped = fr.scan "map" sequences %x axis 1 : (!x) -> !x {
  ^bb0(%xi: !h):
    %y = fr.neg %xi : (!h) -> !h
    fr.scan.yield %y : !h
  }
  return %last, %all, %mapped : !h, !x, !x
}

// CHECK-LABEL: @spatial
func.func @spatial(%s: !s, %image: tensor<2x4x7x6xf32>, %w: tensor<6x2x3xf32>, %b: tensor<6xf32>, %t: tensor<4x3x4xf32>, %scale: tensor<4xf32>) {
  // CHECK: fr.conv %{{.*}}, %{{.*}}, %{{.*}} strides [2] low [1] high [1] dilations [1] {groups = 2 : i64} : (tensor<?x4x?xf32, #fr.dims<B, _, S>>, tensor<6x2x3xf32>, tensor<6xf32>) -> tensor<?x6x?xf32, #fr.dims<B, _, "floor((S + 1) / 2)">>
  %0 = fr.conv %s, %w, %b strides [2] low [1] high [1] dilations [1] {groups = 2 : i64} : (!s, tensor<6x2x3xf32>, tensor<6xf32>) -> tensor<?x6x?xf32, #fr.dims<B, _, "floor((S + 1) / 2)">>
  // CHECK: fr.conv %{{.*}}, %{{.*}} strides [1] low [0] high [0] dilations [1] {groups = 2 : i64} : (tensor<?x4x?xf32, #fr.dims<B, _, S>>, tensor<6x2x3xf32>) -> tensor<?x6x?xf32, #fr.dims<B, _, S + -2>>
  %1 = fr.conv %s, %w strides [1] low [0] high [0] dilations [1] {groups = 2 : i64} : (!s, tensor<6x2x3xf32>) -> tensor<?x6x?xf32, #fr.dims<B, _, S + -2>>
  // CHECK: fr.conv_transpose %{{.*}}, %{{.*}}, %{{.*}} strides [2] low [1] high [1] dilations [1] extra [1] {groups = 2 : i64} : (tensor<?x4x?xf32, #fr.dims<B, _, S>>, tensor<4x3x4xf32>, tensor<6xf32>) -> tensor<?x6x?xf32, #fr.dims<B, _, 2*S + 1>>
  %2 = fr.conv_transpose %s, %t, %b strides [2] low [1] high [1] dilations [1] extra [1] {groups = 2 : i64} : (!s, tensor<4x3x4xf32>, tensor<6xf32>) -> tensor<?x6x?xf32, #fr.dims<B, _, 2*S + 1>>
  // CHECK: fr.pool max %{{.*}} kernel [3, 2] strides [2, 2] low [1, 1] high [1, 0] : (tensor<2x4x7x6xf32>) -> tensor<2x4x4x3xf32>
  %3 = fr.pool max %image kernel [3, 2] strides [2, 2] low [1, 1] high [1, 0] : (tensor<2x4x7x6xf32>) -> tensor<2x4x4x3xf32>
  // CHECK: fr.pool average %{{.*}} kernel [2, 2] strides [2, 2] low [0, 0] high [1, 0] {count_margin} : (tensor<2x4x7x6xf32>) -> tensor<2x4x4x3xf32>
  %4 = fr.pool average %image kernel [2, 2] strides [2, 2] low [0, 0] high [1, 0] {count_margin} : (tensor<2x4x7x6xf32>) -> tensor<2x4x4x3xf32>
  // CHECK: fr.interpolate %{{.*}} nearest : (tensor<2x4x7x6xf32>) -> tensor<2x4x3x9xf32>
  %5 = fr.interpolate %image nearest : (tensor<2x4x7x6xf32>) -> tensor<2x4x3x9xf32>
  // CHECK: fr.interpolate %{{.*}} linear {align_corners} : (tensor<?x4x?xf32, #fr.dims<B, _, S>>) -> tensor<?x4x?xf32, #fr.dims<B, _, 2*S>>
  %6 = fr.interpolate %s linear {align_corners} : (!s) -> tensor<?x4x?xf32, #fr.dims<B, _, 2*S>>
  // CHECK: fr.interpolate %{{.*}} cubic : (tensor<2x4x7x6xf32>) -> tensor<2x4x3x9xf32>
  %7 = fr.interpolate %image cubic : (tensor<2x4x7x6xf32>) -> tensor<2x4x3x9xf32>
  // CHECK: fr.group_norm %{{.*}} weight %{{.*}} bias %{{.*}} groups 2 eps 1.000000e-05 : (tensor<2x4x7x6xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4x7x6xf32>
  %8 = fr.group_norm %image weight %scale bias %scale groups 2 eps 1.0e-5 : (tensor<2x4x7x6xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4x7x6xf32>
  // CHECK: fr.group_norm %{{.*}} bias %{{.*}} groups 4 eps
  %9 = fr.group_norm %s bias %scale groups 4 eps 1.0e-5 : (!s, tensor<4xf32>) -> !s
  return
}

!q = tensor<?x4x?x8xf32, #fr.dims<B, _, S, _>>
!m = tensor<?x1x?x?xi1, #fr.dims<B, _, S, S>>
!bias = tensor<4x?x?xf32, #fr.dims<_, S, S>>
!p = tensor<?x?xi64, #fr.dims<B, S>>
!t = tensor<?x?x4xf32, #fr.dims<B, S, _>>
// CHECK-LABEL: @attention
func.func @attention(%q: !q, %bias: !bias, %sinks: tensor<4xf32>, %mask: !p) {
  // CHECK: %[[M:.*]] = fr.attention_mask padding %{{.*}} : tensor<?x?xi64, #fr.dims<B, S>> {causal = false, two_sided, window = 3 : i64} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, S>>
  %m = fr.attention_mask padding %mask : !p {causal = false, window = 3 : i64, two_sided} : !m
  // CHECK: fr.attention_mask {causal = true, chunk = 4 : i64} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, S>>
  %c = fr.attention_mask {causal = true, chunk = 4 : i64} : !m
  // CHECK: fr.attention %{{.*}}, %{{.*}}, %{{.*}}, %[[M]] bias %{{.*}} sinks %{{.*}} scale 5.000000e-01 {softcap = 3.000000e+00 : f64} : (
  %0 = fr.attention %q, %q, %q, %m bias %bias sinks %sinks scale 0.5 {softcap = 3.0} : (!q, !q, !q, !m, !bias, tensor<4xf32>) -> !q
  // CHECK: fr.attention %{{.*}}, %{{.*}}, %{{.*}} sinks %{{.*}} scale
  %1 = fr.attention %q, %q, %q sinks %sinks scale 0.5 : (!q, !q, !q, tensor<4xf32>) -> !q
  // CHECK: fr.attention %{{.*}}, %{{.*}}, %{{.*}} bias %{{.*}} scale
  %2 = fr.attention %q, %q, %q bias %bias scale 0.5 : (!q, !q, !q, !bias) -> !q
  // CHECK: fr.rope_table proportional %{{.*}} dim 8 theta 1.000000e+02 {angles = 3 : i64} : (tensor<?x?xi64, #fr.dims<B, S>>) -> (tensor<?x?x4xf32, #fr.dims<B, S, _>>, tensor<?x?x4xf32, #fr.dims<B, S, _>>)
  %cos, %sin = fr.rope_table proportional %mask dim 8 theta 100.0 {angles = 3 : i64} : (!p) -> (!t, !t)
  return
}

!two = tensor<?x?x2xf32, #fr.dims<B, S, _>>
!two_n = tensor<?x?x2xi64, #fr.dims<B, S, _>>
!up = tensor<5x4x8xf32>
!down = tensor<5x8x4xf32>
// CHECK-LABEL: @moe
func.func @moe(%x: !x, %at: !two_n, %scores: !two, %up: !up, %down: !down, %inner: tensor<5x4xf32>, %outer: tensor<5x8xf32>) {
  // CHECK: fr.moe %{{.*}}, %{{.*}}, %{{.*}} gate %[[UP:.*]] up %[[UP]] down %{{.*}} silu : (
  %0 = fr.moe %x, %at, %scores gate %up up %up down %down silu : (!x, !two_n, !two, !up, !up, !down) -> !x
  // CHECK: fr.moe %{{.*}}, %{{.*}}, %{{.*}} gate %[[UP]] bias %[[I:.*]] up %[[UP]] bias %[[I]] down %{{.*}} bias %{{.*}} silu {alpha = 1.702000e+00 : f64, limit = 7.000000e+00 : f64, shift = 1.000000e+00 : f64} : (
  %1 = fr.moe %x, %at, %scores gate %up bias %inner up %up bias %inner down %down bias %outer silu {alpha = 1.702, shift = 1.0, limit = 7.0}
      : (!x, !two_n, !two, !up, !up, !down, tensor<5x4xf32>, tensor<5x4xf32>, tensor<5x8xf32>) -> !x
  // CHECK: fr.moe %{{.*}}, %{{.*}}, %{{.*}} up %[[UP]] down %{{.*}} gelu {scores_first} : (
  %2 = fr.moe %x, %at, %scores up %up down %down gelu {scores_first} : (!x, !two_n, !two, !up, !down) -> !x
  // CHECK: fr.moe {{.*}} gelu_tanh :
  %3 = fr.moe %x, %at, %scores up %up down %down gelu_tanh : (!x, !two_n, !two, !up, !down) -> !x
  // CHECK: fr.moe {{.*}} relu :
  %4 = fr.moe %x, %at, %scores up %up down %down relu : (!x, !two_n, !two, !up, !down) -> !x
  // CHECK: fr.moe {{.*}} relu2 :
  %5 = fr.moe %x, %at, %scores up %up down %down relu2 : (!x, !two_n, !two, !up, !down) -> !x
  return
}
