// RUN: flagrelease-opt %s --convert-fr-to-onnx="opset=17 contrib=com.microsoft:MatMulNBits" | FileCheck %s
// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=21 | FileCheck %s --check-prefix=QDQ
// RUN: flagrelease-opt %s --convert-fr-to-onnx=opset=17 | FileCheck %s --check-prefix=ROWS
// RUN: flagrelease-opt %s --convert-fr-to-onnx="opset=18 refuse=DequantizeLinear,MatMulInteger" | FileCheck %s --check-prefix=PLAIN
// RUN: flagrelease-opt %s --convert-fr-to-onnx="opset=17 refuse=DequantizeLinear,BitShift" | FileCheck %s --check-prefix=DIGITS

!x = tensor<?x?x96xf32, #fr.dims<B, S, _>>
!y = tensor<?x?x6xf32, #fr.dims<B, S, _>>
!rows = tensor<?x?x1xf32, #fr.dims<B, S, _>>

fr.weights @source {
  fr.weight @"q" : tensor<6x3x16xui8>
  fr.weight @"scale" : tensor<6x3xf16>
  fr.weight @"zero" : tensor<6x2xui8>
  fr.weight @"bytes" : tensor<6x96xi8>
  fr.weight @"channel" : tensor<6x1xf32>
}
fr.param @"q" : tensor<6x3x16xui8> {
  %0 = fr.get @source::@"q" : tensor<6x3x16xui8>
  fr.yield %0 : tensor<6x3x16xui8>
}
fr.param @"scale" : tensor<6x3xf16> {
  %0 = fr.get @source::@"scale" : tensor<6x3xf16>
  fr.yield %0 : tensor<6x3xf16>
}
fr.param @"zero" : tensor<6x2xui8> {
  %0 = fr.get @source::@"zero" : tensor<6x2xui8>
  fr.yield %0 : tensor<6x2xui8>
}
fr.param @"bytes" : tensor<6x96xi8> {
  %0 = fr.get @source::@"bytes" : tensor<6x96xi8>
  fr.yield %0 : tensor<6x96xi8>
}
fr.param @"channel" : tensor<6x1xf32> {
  %0 = fr.get @source::@"channel" : tensor<6x1xf32>
  fr.yield %0 : tensor<6x1xf32>
}

// The packed bytes go to the operator as they are; three zeros of a row are two bytes.
// CHECK-LABEL: func.func @blocks(
// CHECK-DAG: %[[Q:.*]] = fr.use @q
// CHECK-DAG: %[[Z:.*]] = fr.use @zero
// CHECK-DAG: %[[S:.*]] = onnx.op "Cast"(%{{.*}}) {to = 1 : i64} : (tensor<6x3xf16>) -> tensor<6x3xf32>
// CHECK: onnx.op com.microsoft "MatMulNBits"(%arg0, %[[Q]], %[[S]], %[[Z]]) {K = 96 : i64, N = 6 : i64, bits = 4 : i64, block_size = 32 : i64}
// CHECK-NOT: onnx.op
// CHECK: return
// The nibbles are a type of their own; the zeros are not, an odd number of them is padded.
// QDQ-LABEL: func.func @blocks(
// QDQ-DAG: %[[W:.*]] = onnx.view %{{.*}} : tensor<6x3x16xui8> -> tensor<6x96xui4>
// QDQ-DAG: %[[Z:.*]] = onnx.op "Cast"(%{{.*}}) {to = 21 : i64} : (tensor<6x3xui8>) -> tensor<6x3xui4>
// QDQ: %[[D:.*]] = onnx.op "DequantizeLinear"(%[[W]], %{{.*}}, %[[Z]]) {axis = 1 : i64, block_size = 32 : i64}
// QDQ: onnx.op "Gemm"(%{{.*}}, %[[D]]) {transB = 1 : i64}
// ROWS-LABEL: func.func @blocks(
// ROWS: onnx.op "BitShift"(%{{.*}}, %{{.*}}) {direction = "LEFT"}
// ROWS: onnx.op "DequantizeLinear"(%{{.*}}, %{{.*}}, %{{.*}}) {axis = 0 : i64} : (tensor<18x32xui8>, tensor<18xf32>, tensor<18xui8>)
// PLAIN-LABEL: func.func @blocks(
// PLAIN: onnx.op "BitwiseAnd"
// PLAIN: onnx.op "BitShift"(%{{.*}}, %{{.*}}) {direction = "RIGHT"}
// PLAIN: onnx.op "Sub"(%{{.*}}, %{{.*}}) : (tensor<6x3x32xf32>, tensor<6x3x1xf32>) -> tensor<6x3x32xf32>
// PLAIN: onnx.op "Mul"
// DIGITS-LABEL: func.func @blocks(
// DIGITS: onnx.op "Floor"
func.func @blocks(%x: !x) -> !y {
  %q = fr.use @"q" : tensor<6x3x16xui8>
  %scale = fr.use @"scale" : tensor<6x3xf16>
  %zero = fr.use @"zero" : tensor<6x2xui8>
  %0 = fr.unpack %q bits 4 low_first axis 2 : (tensor<6x3x16xui8>) -> tensor<6x3x32xui8>
  %1 = fr.reshape %0 : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %2 = fr.unpack %zero bits 4 low_first axis 1 : (tensor<6x2xui8>) -> tensor<6x3xui8>
  %w = fr.dequantize %1, %scale, %2 blocks [1, 32] : (tensor<6x96xui8>, tensor<6x3xf16>, tensor<6x3xui8>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y
  return %y : !y
}

// The zero that all blocks share is the operator's own.
// CHECK-LABEL: func.func @middle(
// CHECK: onnx.op com.microsoft "MatMulNBits"(%arg0, %{{[^,]*}}, %{{[^,]*}}) {
// QDQ-LABEL: func.func @middle(
// QDQ: %[[EIGHT:.*]] = onnx.constant dense<8> : tensor<1x1xui8>
// QDQ: onnx.op "Expand"(%[[EIGHT]], %{{.*}}) : (tensor<1x1xui8>, tensor<2xi64>) -> tensor<6x3xui8>
func.func @middle(%x: !x) -> !y {
  %q = fr.use @"q" : tensor<6x3x16xui8>
  %scale = fr.use @"scale" : tensor<6x3xf16>
  %0 = fr.unpack %q bits 4 low_first axis 2 : (tensor<6x3x16xui8>) -> tensor<6x3x32xui8>
  %1 = fr.reshape %0 : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %w = fr.dequantize %1, %scale blocks [1, 32] offset 8 : (tensor<6x96xui8>, tensor<6x3xf16>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y
  return %y : !y
}

// A zero that the operator has no place for: the next way.
// CHECK-LABEL: func.func @other(
// CHECK-NOT: MatMulNBits
// CHECK: onnx.op "Gemm"
func.func @other(%x: !x) -> !y {
  %q = fr.use @"q" : tensor<6x3x16xui8>
  %scale = fr.use @"scale" : tensor<6x3xf16>
  %0 = fr.unpack %q bits 4 low_first axis 2 : (tensor<6x3x16xui8>) -> tensor<6x3x32xui8>
  %1 = fr.reshape %0 : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %w = fr.dequantize %1, %scale blocks [1, 32] offset 7 : (tensor<6x96xui8>, tensor<6x3xf16>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y
  return %y : !y
}

// One DequantizeLinear for each weight, the product of integers where both sides are.
// ROWS-LABEL: func.func @channels(
// ROWS: %[[D:.*]] = onnx.op "DequantizeLinear"(%{{.*}}, %{{.*}}) {axis = 0 : i64} : (tensor<6x96xi8>, tensor<6xf32>) -> tensor<6x96xf32>
// ROWS: onnx.op "Gemm"(%{{.*}}, %[[D]]) {transB = 1 : i64}
// ROWS: onnx.op "ReduceMax"
// ROWS: onnx.op "Round"
// ROWS: onnx.op "MatMulInteger"(%{{.*}}, %{{.*}}, %[[M:.*]], %[[M]]) : (tensor<?x?x96xui8, #fr.dims<B, S, _>>, tensor<96x6xui8>, tensor<ui8>, tensor<ui8>)
// ROWS-NOT: "DequantizeLinear"
// ROWS: return
// QDQ-LABEL: func.func @channels(
// QDQ: onnx.view %{{.*}} : tensor<6x96xi8> -> tensor<6x96xui8>
// QDQ: onnx.op "BitwiseXor"
// PLAIN-LABEL: func.func @channels(
// PLAIN: onnx.op "Cast"(%{{.*}}) {to = 1 : i64} : (tensor<6x96xi8>) -> tensor<6x96xf32>
func.func @channels(%x: !x) -> (!y, !y) {
  %q = fr.use @"bytes" : tensor<6x96xi8>
  %scale = fr.use @"channel" : tensor<6x1xf32>
  %w = fr.dequantize %q, %scale blocks [1, 96] : (tensor<6x96xi8>, tensor<6x1xf32>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y
  %s = fr.quant_scale %x abs_max range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 96] : (!x) -> !rows
  %t = fr.quantize %x, %s range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 96] : (!x, !rows) -> tensor<?x?x96xi8, #fr.dims<B, S, _>>
  %x8 = fr.dequantize %t, %s blocks [1, 1, 96] : (tensor<?x?x96xi8, #fr.dims<B, S, _>>, !rows) -> !x
  %z = fr.linear %x8, %w : (!x, tensor<6x96xf32>) -> !y
  return %y, %z : !y, !y
}
