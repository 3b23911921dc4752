// Every op prints what it parses, in its own form and in the generic one.
// RUN: flagrelease-opt %s | flagrelease-opt | FileCheck %s
// RUN: flagrelease-opt %s --mlir-print-op-generic | flagrelease-opt | FileCheck %s

!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!h = tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
!kv = tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>
!i = tensor<?x?xi64, #fr.dims<B, S>>
!t = tensor<?x?x2xf32, #fr.dims<B, S, _>>

// CHECK: fr.weights @source {
fr.weights @source {
  // CHECK-NEXT: fr.weight @w : tensor<8x8xbf16>
  fr.weight @w : tensor<8x8xbf16>
  // CHECK-NEXT: fr.weight @"layers.0.experts.{e}.w1" family 256 : tensor<256x4x8xf8E4M3FN>
  fr.weight @"layers.0.experts.{e}.w1" family 256 : tensor<256x4x8xf8E4M3FN>
}
// CHECK: fr.param @w : tensor<8x8xbf16> {
// CHECK-NEXT: %[[W:.*]] = fr.get @source::@w : tensor<8x8xbf16>
// CHECK-NEXT: fr.yield %[[W]] : tensor<8x8xbf16>
fr.param @w : tensor<8x8xbf16> {
  %0 = fr.get @source::@w : tensor<8x8xbf16>
  fr.yield %0 : tensor<8x8xbf16>
}
// CHECK: fr.param @step : tensor<8x8xf32> attributes {sym_visibility = "private"} {
fr.param @step : tensor<8x8xf32> attributes {sym_visibility = "private"} {
  %0 = fr.get @source::@w : tensor<8x8xbf16>
  %1 = fr.cast %0 : (tensor<8x8xbf16>) -> tensor<8x8xf32>
  fr.yield %1 : tensor<8x8xf32>
}
// CHECK: fr.state @k kv layer 3 part "key" axis 2 : tensor<?x2x?x4xf32, #fr.dims<B, _, P, _>>
fr.state @k kv layer 3 part "key" axis 2 : tensor<?x2x?x4xf32, #fr.dims<B, _, P, _>>

// CHECK-LABEL: @model_state
func.func @model_state(%x: tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>) -> !kv {
  // CHECK: fr.use @w : tensor<8x8xbf16>
  %0 = fr.use @w : tensor<8x8xbf16>
  // CHECK: fr.state.append @k, %{{.*}} : (tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>) -> tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>
  %1 = fr.state.append @k, %x : (tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>) -> !kv
  // CHECK: fr.tap "model.layers.3", %{{.*}} : tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>
  %2 = fr.tap "model.layers.3", %1 : !kv
  return %2 : !kv
}

// CHECK-LABEL: @unary
func.func @unary(%x: !x) {
  // CHECK: fr.neg %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %neg = fr.neg %x : (!x) -> !x
  // CHECK: fr.exp %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %exp = fr.exp %x : (!x) -> !x
  // CHECK: fr.log %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %log = fr.log %x : (!x) -> !x
  // CHECK: fr.sqrt %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %sqrt = fr.sqrt %x : (!x) -> !x
  // CHECK: fr.rsqrt %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %rsqrt = fr.rsqrt %x : (!x) -> !x
  // CHECK: fr.sin %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %sin = fr.sin %x : (!x) -> !x
  // CHECK: fr.cos %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %cos = fr.cos %x : (!x) -> !x
  // CHECK: fr.tanh %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %tanh = fr.tanh %x : (!x) -> !x
  // CHECK: fr.erf %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %erf = fr.erf %x : (!x) -> !x
  // CHECK: fr.sigmoid %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %sigmoid = fr.sigmoid %x : (!x) -> !x
  // CHECK: fr.silu %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %silu = fr.silu %x : (!x) -> !x
  // CHECK: fr.relu %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %relu = fr.relu %x : (!x) -> !x
  // CHECK: fr.floor %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %floor = fr.floor %x : (!x) -> !x
  // CHECK: fr.gelu %{{.*}} none : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %g0 = fr.gelu %x none : (!x) -> !x
  // CHECK: fr.gelu %{{.*}} tanh : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %g1 = fr.gelu %x tanh : (!x) -> !x
  return
}

// Shapes broadcast, and the wider float type wins.
// CHECK-LABEL: @binary
func.func @binary(%x: !x, %y: tensor<8xbf16>, %p: !i, %m: tensor<?x?xi1, #fr.dims<B, S>>) {
  // CHECK: fr.add %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %add = fr.add %x, %y : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.sub %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %sub = fr.sub %x, %y : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.mul %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %mul = fr.mul %x, %y : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.div %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %div = fr.div %x, %y : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.pow %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %pow = fr.pow %x, %y : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.maximum %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %maximum = fr.maximum %x, %y : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.minimum %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %minimum = fr.minimum %x, %y : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.and %{{.*}}, %{{.*}} : (tensor<?x?xi1, #fr.dims<B, S>>, tensor<?x?xi1, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  %and = fr.and %m, %m : (tensor<?x?xi1, #fr.dims<B, S>>, tensor<?x?xi1, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  // CHECK: fr.or %{{.*}}, %{{.*}} : (tensor<?x?xi1, #fr.dims<B, S>>, tensor<?x?xi1, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  %or = fr.or %m, %m : (tensor<?x?xi1, #fr.dims<B, S>>, tensor<?x?xi1, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  // CHECK: fr.compare eq %{{.*}}, %{{.*}} : (tensor<?x?xi64, #fr.dims<B, S>>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  %eq = fr.compare eq %p, %p : (!i, !i) -> tensor<?x?xi1, #fr.dims<B, S>>
  // CHECK: fr.compare ne %{{.*}}, %{{.*}} : (tensor<?x?xi64, #fr.dims<B, S>>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  %ne = fr.compare ne %p, %p : (!i, !i) -> tensor<?x?xi1, #fr.dims<B, S>>
  // CHECK: fr.compare lt %{{.*}}, %{{.*}} : (tensor<?x?xi64, #fr.dims<B, S>>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  %lt = fr.compare lt %p, %p : (!i, !i) -> tensor<?x?xi1, #fr.dims<B, S>>
  // CHECK: fr.compare le %{{.*}}, %{{.*}} : (tensor<?x?xi64, #fr.dims<B, S>>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  %le = fr.compare le %p, %p : (!i, !i) -> tensor<?x?xi1, #fr.dims<B, S>>
  // CHECK: fr.compare gt %{{.*}}, %{{.*}} : (tensor<?x?xi64, #fr.dims<B, S>>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  %gt = fr.compare gt %p, %p : (!i, !i) -> tensor<?x?xi1, #fr.dims<B, S>>
  // CHECK: fr.compare ge %{{.*}}, %{{.*}} : (tensor<?x?xi64, #fr.dims<B, S>>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?xi1, #fr.dims<B, S>>
  %ge = fr.compare ge %p, %p : (!i, !i) -> tensor<?x?xi1, #fr.dims<B, S>>
  // CHECK: fr.select %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x?xi1, #fr.dims<B, S>>, tensor<?x?xi64, #fr.dims<B, S>>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?xi64, #fr.dims<B, S>>
  %s = fr.select %m, %p, %p : (tensor<?x?xi1, #fr.dims<B, S>>, !i, !i) -> !i
  return
}

// CHECK-LABEL: @shapes
func.func @shapes(%x: !x, %p: !i, %table: tensor<16x8xf32>, %at: tensor<?xi64, #fr.dims<S>>, %new: tensor<2x?x4xf32, #fr.dims<_, S, _>>,
                  %cache: tensor<2x32x4xf32>) {
  // CHECK: fr.constant dense<[1, 2]> : tensor<2xi64>
  %0 = fr.constant dense<[1, 2]> : tensor<2xi64>
  // CHECK: fr.cast %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf16, #fr.dims<B, S, _>>
  %1 = fr.cast %x : (!x) -> tensor<?x?x8xf16, #fr.dims<B, S, _>>
  // CHECK: fr.reshape %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x2x4xf32, #fr.dims<B, S, _, _>>
  %2 = fr.reshape %x : (!x) -> tensor<?x?x2x4xf32, #fr.dims<B, S, _, _>>
  // CHECK: fr.reshape %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x4xf32, #fr.dims<B, 2*S, _>>
  %3 = fr.reshape %x : (!x) -> tensor<?x?x4xf32, #fr.dims<B, 2*S, _>>
  // CHECK: fr.transpose %{{.*}} [1, 0, 2] : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<S, B, _>>
  %4 = fr.transpose %x [1, 0, 2] : (!x) -> tensor<?x?x8xf32, #fr.dims<S, B, _>>
  // CHECK: fr.slice %{{.*}} axis 2 start 1 size 3 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x3xf32, #fr.dims<B, S, _>>
  %5 = fr.slice %x axis 2 start 1 size 3 : (!x) -> tensor<?x?x3xf32, #fr.dims<B, S, _>>
  // CHECK: fr.concat %{{.*}}, %{{.*}} axis 1 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, 2*S, _>>
  %6 = fr.concat %x, %x axis 1 : (!x, !x) -> tensor<?x?x8xf32, #fr.dims<B, 2*S, _>>
  // CHECK: fr.gather %{{.*}}[%{{.*}}] axis 0 : (tensor<16x8xf32>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %7 = fr.gather %table[%p] axis 0 : (tensor<16x8xf32>, !i) -> !x
  // CHECK: fr.gather %{{.*}}[%{{.*}}] axis 1 {batch_dims = 1 : i64} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %8 = fr.gather %x[%p] axis 1 {batch_dims = 1 : i64} : (!x, !i) -> !x
  // CHECK: fr.scatter %{{.*}}[%{{.*}}], %{{.*}} axis 1 : (tensor<2x32x4xf32>, tensor<?xi64, #fr.dims<S>>, tensor<2x?x4xf32, #fr.dims<_, S, _>>) -> tensor<2x32x4xf32>
  %9 = fr.scatter %cache[%at], %new axis 1 : (tensor<2x32x4xf32>, tensor<?xi64, #fr.dims<S>>, tensor<2x?x4xf32, #fr.dims<_, S, _>>) -> tensor<2x32x4xf32>
  // CHECK: fr.iota : tensor<?xi64, #fr.dims<P + S>>
  %10 = fr.iota : tensor<?xi64, #fr.dims<P + S>>
  // CHECK: fr.size "P + S" : tensor<i64>
  %11 = fr.size "P + S" : tensor<i64>
  // CHECK: fr.cumsum %{{.*}} axis 1 : (tensor<?x?xi64, #fr.dims<B, S>>) -> tensor<?x?xi64, #fr.dims<B, S>>
  %12 = fr.cumsum %p axis 1 : (!i) -> !i
  // CHECK: fr.reduce sum %{{.*}} axes [1, 2] : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  %sum = fr.reduce sum %x axes [1, 2] : (!x) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  // CHECK: fr.reduce mean %{{.*}} axes [1, 2] : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  %mean = fr.reduce mean %x axes [1, 2] : (!x) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  // CHECK: fr.reduce max %{{.*}} axes [1, 2] : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  %max = fr.reduce max %x axes [1, 2] : (!x) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  // CHECK: fr.reduce min %{{.*}} axes [1, 2] : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  %min = fr.reduce min %x axes [1, 2] : (!x) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  // CHECK: fr.arg_max %{{.*}} axis 2 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?xi64, #fr.dims<B, S>>
  %13 = fr.arg_max %x axis 2 : (!x) -> !i
  return
}

// CHECK-LABEL: @layers
func.func @layers(%x: !x, %p: !i, %table: tensor<16x8xbf16>, %w: tensor<4x8xbf16>, %b: tensor<4xbf16>, %n: tensor<8xbf16>) {
  // CHECK: fr.embedding %{{.*}}, %{{.*}} : (tensor<?x?xi64, #fr.dims<B, S>>, tensor<16x8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %0 = fr.embedding %p, %table : (!i, tensor<16x8xbf16>) -> !x
  // CHECK: fr.linear %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<4x8xbf16>) -> tensor<?x?x4xf32, #fr.dims<B, S, _>>
  %1 = fr.linear %x, %w : (!x, tensor<4x8xbf16>) -> tensor<?x?x4xf32, #fr.dims<B, S, _>>
  // CHECK: fr.linear %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<4x8xbf16>, tensor<4xbf16>) -> tensor<?x?x4xf32, #fr.dims<B, S, _>>
  %2 = fr.linear %x, %w, %b : (!x, tensor<4x8xbf16>, tensor<4xbf16>) -> tensor<?x?x4xf32, #fr.dims<B, S, _>>
  // CHECK: fr.transpose
  %t = fr.transpose %x [0, 2, 1] : (!x) -> tensor<?x8x?xf32, #fr.dims<B, _, S>>
  // CHECK: fr.matmul %{{.*}}, %{{.*}} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<?x8x?xf32, #fr.dims<B, _, S>>) -> tensor<?x?x?xf32, #fr.dims<B, S, S>>
  %3 = fr.matmul %x, %t : (!x, tensor<?x8x?xf32, #fr.dims<B, _, S>>) -> tensor<?x?x?xf32, #fr.dims<B, S, S>>
  // CHECK: fr.rms_norm %{{.*}} eps 9.9999999999999995E-7 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %4 = fr.rms_norm %x eps 1.0e-06 : (!x) -> !x
  // CHECK: fr.rms_norm %{{.*}}, %{{.*}} eps 9.9999999999999995E-7 {offset = 1.000000e+00 : f64} : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %5 = fr.rms_norm %x, %n eps 1.0e-06 {offset = 1.0 : f64} : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.layer_norm %{{.*}} eps 1.000000e-05 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %6 = fr.layer_norm %x eps 1.0e-05 : (!x) -> !x
  // CHECK: fr.layer_norm %{{.*}} weight %{{.*}} eps 1.000000e-05 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %7 = fr.layer_norm %x weight %n eps 1.0e-05 : (!x, tensor<8xbf16>) -> !x
  // CHECK: fr.layer_norm %{{.*}} weight %{{.*}} bias %{{.*}} eps 1.000000e-05 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>, tensor<8xbf16>, tensor<8xbf16>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %8 = fr.layer_norm %x weight %n bias %n eps 1.0e-05 : (!x, tensor<8xbf16>, tensor<8xbf16>) -> !x
  // CHECK: fr.softmax %{{.*}} axis 2 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %9 = fr.softmax %x axis 2 : (!x) -> !x
  // CHECK: fr.l2_norm %{{.*}} eps 9.9999999999999998E-13 : (tensor<?x?x8xf32, #fr.dims<B, S, _>>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  %10 = fr.l2_norm %x eps 1.0e-12 : (!x) -> !x
  return
}

// CHECK-LABEL: @attention
func.func @attention(%q: !h, %k: !kv, %p: !i, %padding: tensor<?x?xi64, #fr.dims<B, P + S>>, %columns: tensor<?xi64, #fr.dims<S>>) {
  // CHECK: fr.rope_table default %{{.*}} dim 4 theta 1.000000e+04 : (tensor<?x?xi64, #fr.dims<B, S>>) -> (tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>)
  %c_default, %s_default = fr.rope_table default %p dim 4 theta 1.0e+04 : (!i) -> (!t, !t)
  // CHECK: fr.rope_table linear %{{.*}} dim 4 theta 1.000000e+04 {factor = 2.000000e+00 : f64} : (tensor<?x?xi64, #fr.dims<B, S>>) -> (tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>)
  %c_linear, %s_linear = fr.rope_table linear %p dim 4 theta 1.0e+04 {factor = 2.000000e+00 : f64} : (!i) -> (!t, !t)
  // CHECK: fr.rope_table dynamic %{{.*}} dim 4 theta 1.000000e+04 {factor = 2.000000e+00 : f64, original_max = 32 : i64} : (tensor<?x?xi64, #fr.dims<B, S>>) -> (tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>)
  %c_dynamic, %s_dynamic = fr.rope_table dynamic %p dim 4 theta 1.0e+04 {factor = 2.000000e+00 : f64, original_max = 32 : i64} : (!i) -> (!t, !t)
  // CHECK: fr.rope_table llama3 %{{.*}} dim 4 theta 1.000000e+04 {factor = 8.000000e+00 : f64, high_freq_factor = 4.000000e+00 : f64, low_freq_factor = 1.000000e+00 : f64, original_max = 32 : i64} : (tensor<?x?xi64, #fr.dims<B, S>>) -> (tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>)
  %c_llama3, %s_llama3 = fr.rope_table llama3 %p dim 4 theta 1.0e+04 {factor = 8.000000e+00 : f64, high_freq_factor = 4.000000e+00 : f64, low_freq_factor = 1.000000e+00 : f64, original_max = 32 : i64} : (!i) -> (!t, !t)
  // CHECK: fr.rope_table yarn %{{.*}} dim 4 theta 1.000000e+04 {attention_scaling = 1.100000e+00 : f64, beta_fast = 3.200000e+01 : f64, beta_slow = 1.000000e+00 : f64, factor = 4.000000e+00 : f64, original_max = 32 : i64, truncate = false} : (tensor<?x?xi64, #fr.dims<B, S>>) -> (tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>)
  %c_yarn, %s_yarn = fr.rope_table yarn %p dim 4 theta 1.0e+04 {attention_scaling = 1.100000e+00 : f64, beta_fast = 3.200000e+01 : f64, beta_slow = 1.000000e+00 : f64, factor = 4.000000e+00 : f64, original_max = 32 : i64, truncate = false} : (!i) -> (!t, !t)
  // CHECK: fr.rope_table longrope %{{.*}} dim 4 theta 1.000000e+04 {long_factor = array<f64: 2.000000e+00, 3.000000e+00>, original_max = 32 : i64, short_factor = array<f64: 1.000000e+00, 1.000000e+00>} : (tensor<?x?xi64, #fr.dims<B, S>>) -> (tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>)
  %c_longrope, %s_longrope = fr.rope_table longrope %p dim 4 theta 1.0e+04 {long_factor = array<f64: 2.000000e+00, 3.000000e+00>, original_max = 32 : i64, short_factor = array<f64: 1.000000e+00, 1.000000e+00>} : (!i) -> (!t, !t)
  // CHECK: fr.rope %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>) -> tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
  %0 = fr.rope %q, %c_default, %s_default : (!h, !t, !t) -> !h
  // CHECK: fr.rope %{{.*}}, %{{.*}}, %{{.*}} {interleaved} : (tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>) -> tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
  %1 = fr.rope %q, %c_default, %s_default {interleaved} : (!h, !t, !t) -> !h
  // CHECK: fr.attention_mask {causal = true} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
  %2 = fr.attention_mask {causal = true} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
  // CHECK: fr.attention_mask padding %{{.*}} : tensor<?x?xi64, #fr.dims<B, P + S>> {causal = false, window = 4 : i64} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
  %3 = fr.attention_mask padding %padding : tensor<?x?xi64, #fr.dims<B, P + S>> {causal = false, window = 4 : i64} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
  // CHECK: fr.attention_mask padding %{{.*}} : tensor<?x?xi64, #fr.dims<B, P + S>> columns %{{.*}} : tensor<?xi64, #fr.dims<S>> {causal = true, diagonal = -1 : i64} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
  %4 = fr.attention_mask padding %padding : tensor<?x?xi64, #fr.dims<B, P + S>> columns %columns : tensor<?xi64, #fr.dims<S>> {causal = true, diagonal = -1 : i64} : tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>
  // CHECK: fr.attention %{{.*}}, %{{.*}}, %{{.*}} scale 5.000000e-01 : (tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>, tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>, tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>) -> tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
  %5 = fr.attention %q, %k, %k scale 5.0e-01 : (!h, !kv, !kv) -> !h
  // CHECK: fr.attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} scale 5.000000e-01 {softcap = 5.000000e+01 : f64} : (tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>, tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>, tensor<?x2x?x4xf32, #fr.dims<B, _, P + S, _>>, tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>) -> tensor<?x4x?x4xf32, #fr.dims<B, _, S, _>>
  %6 = fr.attention %q, %k, %k, %4 scale 5.0e-01 {softcap = 5.0e+01 : f64} : (!h, !kv, !kv, tensor<?x1x?x?xi1, #fr.dims<B, _, S, P + S>>) -> !h
  return
}

// How weights are stored: inside params, and those that kernels know too in functions.
fr.weights @stored {
  fr.weight @words : tensor<4x2xi32>
  fr.weight @bytes : tensor<2x34xui8>
  fr.weight @dense : tensor<2x64xbf16>
  fr.weight @fp8 : tensor<3x5xf8E4M3FN>
  fr.weight @e8m0 : tensor<2x1xsi8>
}
// CHECK: fr.param @packed : tensor<8x2xi32>
fr.param @packed : tensor<8x2xi32> {
  %0 = fr.get @stored::@dense : tensor<2x64xbf16>
  %1 = fr.cast %0 : (tensor<2x64xbf16>) -> tensor<2x64xf32>
  // CHECK: fr.quant_scale %{{.*}} abs_max range -8.000000e+00 to 7.000000e+00 blocks [1, 32] : (tensor<2x64xf32>) -> tensor<2x2xf32>
  %2 = fr.quant_scale %1 abs_max range -8.0 to 7.0 blocks [1, 32] : (tensor<2x64xf32>) -> tensor<2x2xf32>
  // CHECK: fr.quant_scale %{{.*}} signed_max range -8.000000e+00 to 7.000000e+00 blocks [1, 32] : (tensor<2x64xf32>) -> tensor<2x2xf32>
  %3 = fr.quant_scale %1 signed_max range -8.0 to 7.0 blocks [1, 32] : (tensor<2x64xf32>) -> tensor<2x2xf32>
  // CHECK: fr.quant_scale %{{.*}} power_of_two range -6.000000e+00 to 6.000000e+00 blocks [1, 32] : (tensor<2x64xf32>) -> tensor<2x2xf32>
  %4 = fr.quant_scale %1 power_of_two range -6.0 to 6.0 blocks [1, 32] : (tensor<2x64xf32>) -> tensor<2x2xf32>
  // CHECK: fr.quant_scale %{{.*}} min_max range 0.000000e+00 to 1.500000e+01 blocks [1, 32] : (tensor<2x64xf32>) -> tensor<2x2xf32>
  %5 = fr.quant_scale %1 min_max range 0.0 to 15.0 blocks [1, 32] : (tensor<2x64xf32>) -> tensor<2x2xf32>
  // CHECK: fr.quant_zero %{{.*}}, %{{.*}} range 0.000000e+00 to 1.500000e+01 blocks [1, 32] : (tensor<2x64xf32>, tensor<2x2xf32>) -> tensor<2x2xui8>
  %6 = fr.quant_zero %1, %5 range 0.0 to 15.0 blocks [1, 32] : (tensor<2x64xf32>, tensor<2x2xf32>) -> tensor<2x2xui8>
  // CHECK: fr.quantize %{{.*}}, %{{.*}}, %{{.*}} range 0.000000e+00 to 1.500000e+01 blocks [1, 32] : (tensor<2x64xf32>, tensor<2x2xf32>, tensor<2x2xui8>) -> tensor<2x64xui8>
  %7 = fr.quantize %1, %5, %6 range 0.0 to 15.0 blocks [1, 32] : (tensor<2x64xf32>, tensor<2x2xf32>, tensor<2x2xui8>) -> tensor<2x64xui8>
  // CHECK: fr.quantize %{{.*}}, %{{.*}} range -8.000000e+00 to 7.000000e+00 blocks [1, 32] : (tensor<2x64xf32>, tensor<2x2xf32>) -> tensor<2x64xi8>
  %8 = fr.quantize %1, %2 range -8.0 to 7.0 blocks [1, 32] : (tensor<2x64xf32>, tensor<2x2xf32>) -> tensor<2x64xi8>
  // CHECK: fr.quantize %{{.*}}, %{{.*}} range -4.480000e+02 to 4.480000e+02 blocks [1, 32] : (tensor<2x64xf32>, tensor<2x2xf32>) -> tensor<2x64xf8E4M3FN>
  %9 = fr.quantize %1, %2 range -448.0 to 448.0 blocks [1, 32] : (tensor<2x64xf32>, tensor<2x2xf32>) -> tensor<2x64xf8E4M3FN>
  %10 = fr.transpose %7 [1, 0] : (tensor<2x64xui8>) -> tensor<64x2xui8>
  // CHECK: fr.pack %{{.*}} bits 4 awq axis 0 : (tensor<64x2xui8>) -> tensor<8x2xi32>
  %11 = fr.pack %10 bits 4 awq axis 0 : (tensor<64x2xui8>) -> tensor<8x2xi32>
  // CHECK: fr.pack %{{.*}} bits 3 low_first axis 1 : (tensor<2x64xi8>) -> tensor<2x6xi32>
  %12 = fr.pack %8 bits 3 low_first axis 1 : (tensor<2x64xi8>) -> tensor<2x6xi32>
  // CHECK: fr.pack %{{.*}} bits 4 high_first axis 1 : (tensor<2x64xi8>) -> tensor<2x32xui8>
  %13 = fr.pack %8 bits 4 high_first axis 1 : (tensor<2x64xi8>) -> tensor<2x32xui8>
  fr.yield %11 : tensor<8x2xi32>
}
// CHECK: fr.param @dequantized : tensor<4x16xf32>
fr.param @dequantized : tensor<4x16xf32> {
  %0 = fr.get @stored::@words : tensor<4x2xi32>
  // CHECK: fr.unpack %{{.*}} bits 4 low_first axis 1 : (tensor<4x2xi32>) -> tensor<4x16xui8>
  %1 = fr.unpack %0 bits 4 low_first axis 1 : (tensor<4x2xi32>) -> tensor<4x16xui8>
  // CHECK: fr.unpack %{{.*}} bits 8 high_first axis 0 : (tensor<4x2xi32>) -> tensor<13x2xui8>
  %2 = fr.unpack %0 bits 8 high_first axis 0 : (tensor<4x2xi32>) -> tensor<13x2xui8>
  %3 = fr.get @stored::@e8m0 : tensor<2x1xsi8>
  // CHECK: fr.dequantize %{{.*}}, %{{.*}} blocks [2, 16] offset 8 : (tensor<4x16xui8>, tensor<2x1xsi8>) -> tensor<4x16xf32>
  %4 = fr.dequantize %1, %3 blocks [2, 16] offset 8 : (tensor<4x16xui8>, tensor<2x1xsi8>) -> tensor<4x16xf32>
  // CHECK: fr.dequantize %{{.*}}, %{{.*}}, %{{.*}} blocks [2, 16] : (tensor<4x16xui8>, tensor<2x1xsi8>, tensor<2x1xsi8>) -> tensor<4x16xf32>
  %5 = fr.dequantize %1, %3, %3 blocks [2, 16] : (tensor<4x16xui8>, tensor<2x1xsi8>, tensor<2x1xsi8>) -> tensor<4x16xf32>
  fr.yield %4 : tensor<4x16xf32>
}
// CHECK: fr.param @blocks : tensor<2x36xui8>
fr.param @blocks : tensor<2x36xui8> {
  %0 = fr.get @stored::@bytes : tensor<2x34xui8>
  // CHECK: fr.decode %{{.*}} "q8_0" : (tensor<2x34xui8>) -> tensor<2x32xf32>
  %1 = fr.decode %0 "q8_0" : (tensor<2x34xui8>) -> tensor<2x32xf32>
  %2 = fr.get @stored::@dense : tensor<2x64xbf16>
  // CHECK: fr.encode %{{.*}} "q4_0" : (tensor<2x64xbf16>) -> tensor<2x36xui8>
  %3 = fr.encode %2 "q4_0" : (tensor<2x64xbf16>) -> tensor<2x36xui8>
  fr.yield %3 : tensor<2x36xui8>
}
// CHECK-LABEL: @stored_numbers
func.func @stored_numbers(%w: tensor<2x3xf8E4M3FN>, %s: tensor<1x1xf32>) -> tensor<2x3xf32> {
  // CHECK: fr.dequantize %{{.*}}, %{{.*}} blocks [2, 3] : (tensor<2x3xf8E4M3FN>, tensor<1x1xf32>) -> tensor<2x3xf32>
  %0 = fr.dequantize %w, %s blocks [2, 3] : (tensor<2x3xf8E4M3FN>, tensor<1x1xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}
