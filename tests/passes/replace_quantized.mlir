// RUN: flagrelease-opt %s --fr-replace-quantized="drop=a.weight_shape,a.input_scale" | FileCheck %s
// RUN: flagrelease-opt %s --fr-replace-quantized | FileCheck %s --check-prefix=KEPT

// The source is what it was; of the params, the parts are gone and their numbers have the name.
// CHECK: fr.weight @a.weight_packed
// CHECK: fr.weight @a.weight_scale
// CHECK-NOT: fr.param @a.weight_packed
// CHECK-NOT: fr.param @a.weight_scale
// CHECK-NOT: fr.param @a.weight_shape
// CHECK-NOT: fr.param @a.input_scale
// CHECK-NOT: dequantized
// CHECK: fr.param @a.weight : tensor<4x8xf32> {
// CHECK: fr.get @source::@a.weight_packed
// CHECK: fr.dequantize
// A param that is made of a part without being that part stays, as does everything else.
// CHECK: fr.param @a.weight_scale.twice : tensor<4x1xf32> {
// CHECK: fr.param @b.weight : tensor<4x4xbf16> {
// CHECK: func.func @main
// CHECK: fr.use @a.weight : tensor<4x8xf32>
// CHECK: fr.use @b.weight : tensor<4x4xbf16>

// What no number depends on stays unless it is named.
// KEPT-NOT: fr.param @a.weight_packed
// KEPT: fr.param @a.weight_shape
// KEPT: fr.param @a.input_scale
// KEPT: fr.param @a.weight : tensor<4x8xf32>

fr.weights @source {
  fr.weight @a.weight_packed : tensor<4x1xi32>
  fr.weight @a.weight_scale : tensor<4x1xf32>
  fr.weight @a.weight_shape : tensor<2xi64>
  fr.weight @a.input_scale : tensor<1xf32>
  fr.weight @b.weight : tensor<4x4xbf16>
}
fr.param @a.weight_packed : tensor<4x1xi32> {
  %0 = fr.get @source::@a.weight_packed : tensor<4x1xi32>
  fr.yield %0 : tensor<4x1xi32>
}
fr.param @a.weight_scale : tensor<4x1xf32> {
  %0 = fr.get @source::@a.weight_scale : tensor<4x1xf32>
  fr.yield %0 : tensor<4x1xf32>
}
fr.param @a.weight_shape : tensor<2xi64> {
  %0 = fr.get @source::@a.weight_shape : tensor<2xi64>
  fr.yield %0 : tensor<2xi64>
}
fr.param @a.input_scale : tensor<1xf32> {
  %0 = fr.get @source::@a.input_scale : tensor<1xf32>
  fr.yield %0 : tensor<1xf32>
}
fr.param @a.weight.dequantized : tensor<4x8xf32> {
  %0 = fr.get @source::@a.weight_packed : tensor<4x1xi32>
  %1 = fr.unpack %0 bits 4 low_first axis 1 : (tensor<4x1xi32>) -> tensor<4x8xui8>
  %2 = fr.get @source::@a.weight_scale : tensor<4x1xf32>
  %3 = fr.dequantize %1, %2 blocks [1, 8] offset 8 : (tensor<4x8xui8>, tensor<4x1xf32>) -> tensor<4x8xf32>
  fr.yield %3 : tensor<4x8xf32>
}
fr.param @a.weight_scale.twice : tensor<4x1xf32> {
  %0 = fr.get @source::@a.weight_scale : tensor<4x1xf32>
  %1 = fr.add %0, %0 : (tensor<4x1xf32>, tensor<4x1xf32>) -> tensor<4x1xf32>
  fr.yield %1 : tensor<4x1xf32>
}
fr.param @b.weight : tensor<4x4xbf16> {
  %0 = fr.get @source::@b.weight : tensor<4x4xbf16>
  fr.yield %0 : tensor<4x4xbf16>
}
func.func @main(%x: tensor<2x8xf32>) -> tensor<2x4xf32> {
  %a = fr.use @a.weight.dequantized : tensor<4x8xf32>
  %y = fr.linear %x, %a : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  %b = fr.use @b.weight : tensor<4x4xbf16>
  %z = fr.linear %y, %b : (tensor<2x4xf32>, tensor<4x4xbf16>) -> tensor<2x4xf32>
  return %z : tensor<2x4xf32>
}
