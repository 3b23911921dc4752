// VARIANT opset=17 contrib=com.microsoft:MatMulNBits
// VARIANT opset=13 forbid=MatMulNBits,BitwiseAnd
// VARIANT opset=17 refuse=DequantizeLinear,MatMulInteger,Gemm
// VARIANT opset=18 refuse=DequantizeLinear
// VARIANT opset=17 refuse=DequantizeLinear,BitShift,BitwiseAnd
// VARIANT opset=21
// VARIANT opset=23 table=ort_cpu
!x = tensor<?x?x96xf32, #fr.dims<B, S, _>>
!x40 = tensor<?x?x40xf32, #fr.dims<B, S, _>>
!ids = tensor<?x?xi64, #fr.dims<B, S>>
!y6 = tensor<?x?x6xf32, #fr.dims<B, S, _>>
!y5 = tensor<?x?x5xf32, #fr.dims<B, S, _>>

fr.weights @source {
  fr.weight @"w4_q" : tensor<6x3x16xui8>
  fr.weight @"w4_scale" : tensor<6x3xf32>
  fr.weight @"w4_scale_h" : tensor<6x3xf16>
  fr.weight @"w4_zero" : tensor<6x2xui8>
  fr.weight @"e4_q" : tensor<8x2x8xui8>
  fr.weight @"e4_scale" : tensor<8x2xf32>
  fr.weight @"e4_zero" : tensor<8x1xui8>
  fr.weight @"w8_q" : tensor<6x3x32xui8>
  fr.weight @"w8_scale" : tensor<6x3xf32>
  fr.weight @"w8_zero" : tensor<6x3xui8>
  fr.weight @"c8_q" : tensor<5x40xi8>
  fr.weight @"c8_scale" : tensor<5x1xf32>
  fr.weight @"bias6" : tensor<6xf32>
  fr.weight @"bias5" : tensor<5xf32>
  fr.weight @"t_scale" : tensor<1x1xf32>
  fr.weight @"b_scale" : tensor<3x3xf32>
  fr.weight @"even_scale" : tensor<5x2xf32>
  fr.weight @"v8_q" : tensor<8x40xi8>
  fr.weight @"v8_scale" : tensor<8x1xf32>
  fr.weight @"u8_q" : tensor<5x40xui8>
}
fr.param @"w4_q" : tensor<6x3x16xui8> {
  %0 = fr.get @source::@"w4_q" : tensor<6x3x16xui8>
  fr.yield %0 : tensor<6x3x16xui8>
}
fr.param @"w4_scale" : tensor<6x3xf32> {
  %0 = fr.get @source::@"w4_scale" : tensor<6x3xf32>
  fr.yield %0 : tensor<6x3xf32>
}
fr.param @"w4_scale_h" : tensor<6x3xf16> {
  %0 = fr.get @source::@"w4_scale_h" : tensor<6x3xf16>
  fr.yield %0 : tensor<6x3xf16>
}
fr.param @"w4_zero" : tensor<6x2xui8> {
  %0 = fr.get @source::@"w4_zero" : tensor<6x2xui8>
  fr.yield %0 : tensor<6x2xui8>
}
fr.param @"e4_q" : tensor<8x2x8xui8> {
  %0 = fr.get @source::@"e4_q" : tensor<8x2x8xui8>
  fr.yield %0 : tensor<8x2x8xui8>
}
fr.param @"e4_scale" : tensor<8x2xf32> {
  %0 = fr.get @source::@"e4_scale" : tensor<8x2xf32>
  fr.yield %0 : tensor<8x2xf32>
}
fr.param @"e4_zero" : tensor<8x1xui8> {
  %0 = fr.get @source::@"e4_zero" : tensor<8x1xui8>
  fr.yield %0 : tensor<8x1xui8>
}
fr.param @"w8_q" : tensor<6x3x32xui8> {
  %0 = fr.get @source::@"w8_q" : tensor<6x3x32xui8>
  fr.yield %0 : tensor<6x3x32xui8>
}
fr.param @"w8_scale" : tensor<6x3xf32> {
  %0 = fr.get @source::@"w8_scale" : tensor<6x3xf32>
  fr.yield %0 : tensor<6x3xf32>
}
fr.param @"w8_zero" : tensor<6x3xui8> {
  %0 = fr.get @source::@"w8_zero" : tensor<6x3xui8>
  fr.yield %0 : tensor<6x3xui8>
}
fr.param @"c8_q" : tensor<5x40xi8> {
  %0 = fr.get @source::@"c8_q" : tensor<5x40xi8>
  fr.yield %0 : tensor<5x40xi8>
}
fr.param @"c8_scale" : tensor<5x1xf32> {
  %0 = fr.get @source::@"c8_scale" : tensor<5x1xf32>
  fr.yield %0 : tensor<5x1xf32>
}
fr.param @"bias6" : tensor<6xf32> {
  %0 = fr.get @source::@"bias6" : tensor<6xf32>
  fr.yield %0 : tensor<6xf32>
}
fr.param @"bias5" : tensor<5xf32> {
  %0 = fr.get @source::@"bias5" : tensor<5xf32>
  fr.yield %0 : tensor<5xf32>
}
fr.param @"t_scale" : tensor<1x1xf32> {
  %0 = fr.get @source::@"t_scale" : tensor<1x1xf32>
  fr.yield %0 : tensor<1x1xf32>
}
fr.param @"b_scale" : tensor<3x3xf32> {
  %0 = fr.get @source::@"b_scale" : tensor<3x3xf32>
  fr.yield %0 : tensor<3x3xf32>
}
fr.param @"even_scale" : tensor<5x2xf32> {
  %0 = fr.get @source::@"even_scale" : tensor<5x2xf32>
  fr.yield %0 : tensor<5x2xf32>
}
fr.param @"v8_q" : tensor<8x40xi8> {
  %0 = fr.get @source::@"v8_q" : tensor<8x40xi8>
  fr.yield %0 : tensor<8x40xi8>
}
fr.param @"v8_scale" : tensor<8x1xf32> {
  %0 = fr.get @source::@"v8_scale" : tensor<8x1xf32>
  fr.yield %0 : tensor<8x1xf32>
}
fr.param @"u8_q" : tensor<5x40xui8> {
  %0 = fr.get @source::@"u8_q" : tensor<5x40xui8>
  fr.yield %0 : tensor<5x40xui8>
}

func.func @w4_symmetric(%x: !x {fr.name = "x"}) -> (!y6 {fr.name = "y"}) {
  %w4_q = fr.use @"w4_q" : tensor<6x3x16xui8>
  %w4_scale = fr.use @"w4_scale" : tensor<6x3xf32>
  %c = fr.unpack %w4_q bits 4 low_first axis 2 : (tensor<6x3x16xui8>) -> tensor<6x3x32xui8>
  %c2 = fr.reshape %c : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %w = fr.dequantize %c2, %w4_scale blocks [1, 32] offset 8 : (tensor<6x96xui8>, tensor<6x3xf32>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y6
  return %y : !y6
}

func.func @w4_asymmetric(%x: !x {fr.name = "x"}) -> (!y6 {fr.name = "y"}) {
  %w4_q = fr.use @"w4_q" : tensor<6x3x16xui8>
  %w4_scale = fr.use @"w4_scale" : tensor<6x3xf32>
  %w4_zero = fr.use @"w4_zero" : tensor<6x2xui8>
  %c = fr.unpack %w4_q bits 4 low_first axis 2 : (tensor<6x3x16xui8>) -> tensor<6x3x32xui8>
  %c2 = fr.reshape %c : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %z = fr.unpack %w4_zero bits 4 low_first axis 1 : (tensor<6x2xui8>) -> tensor<6x3xui8>
  %w = fr.dequantize %c2, %w4_scale, %z blocks [1, 32] : (tensor<6x96xui8>, tensor<6x3xf32>, tensor<6x3xui8>) -> tensor<6x96xf32>
  %bias6 = fr.use @"bias6" : tensor<6xf32>
  %y = fr.linear %x, %w, %bias6 : (!x, tensor<6x96xf32>, tensor<6xf32>) -> !y6
  return %y : !y6
}

func.func @w4_half_scales(%x: !x {fr.name = "x"}) -> (!y6 {fr.name = "y"}) {
  %w4_q = fr.use @"w4_q" : tensor<6x3x16xui8>
  %w4_scale_h = fr.use @"w4_scale_h" : tensor<6x3xf16>
  %w4_zero = fr.use @"w4_zero" : tensor<6x2xui8>
  %c = fr.unpack %w4_q bits 4 low_first axis 2 : (tensor<6x3x16xui8>) -> tensor<6x3x32xui8>
  %c2 = fr.reshape %c : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %z = fr.unpack %w4_zero bits 4 low_first axis 1 : (tensor<6x2xui8>) -> tensor<6x3xui8>
  %w = fr.dequantize %c2, %w4_scale_h, %z blocks [1, 32] : (tensor<6x96xui8>, tensor<6x3xf16>, tensor<6x3xui8>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y6
  return %y : !y6
}

// A zero that MatMulNBits does not know.

func.func @w4_other_zero(%x: !x {fr.name = "x"}) -> (!y6 {fr.name = "y"}) {
  %w4_q = fr.use @"w4_q" : tensor<6x3x16xui8>
  %w4_scale = fr.use @"w4_scale" : tensor<6x3xf32>
  %w4_zero = fr.use @"w4_zero" : tensor<6x2xui8>
  %c = fr.unpack %w4_q bits 4 low_first axis 2 : (tensor<6x3x16xui8>) -> tensor<6x3x32xui8>
  %c2 = fr.reshape %c : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %z = fr.unpack %w4_zero bits 4 low_first axis 1 : (tensor<6x2xui8>) -> tensor<6x3xui8>
  %w = fr.dequantize %c2, %w4_scale, %z blocks [1, 32] offset 1 : (tensor<6x96xui8>, tensor<6x3xf32>, tensor<6x3xui8>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y6
  return %y : !y6
}

func.func @w4_offset(%x: !x {fr.name = "x"}) -> (!y6 {fr.name = "y"}) {
  %w4_q = fr.use @"w4_q" : tensor<6x3x16xui8>
  %w4_scale = fr.use @"w4_scale" : tensor<6x3xf32>
  %c = fr.unpack %w4_q bits 4 low_first axis 2 : (tensor<6x3x16xui8>) -> tensor<6x3x32xui8>
  %c2 = fr.reshape %c : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %w = fr.dequantize %c2, %w4_scale blocks [1, 32] offset 7 : (tensor<6x96xui8>, tensor<6x3xf32>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y6
  return %y : !y6
}

func.func @w8_symmetric(%x: !x {fr.name = "x"}) -> (!y6 {fr.name = "y"}) {
  %w8_q = fr.use @"w8_q" : tensor<6x3x32xui8>
  %w8_scale = fr.use @"w8_scale" : tensor<6x3xf32>
  %c = fr.reshape %w8_q : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %w = fr.dequantize %c, %w8_scale blocks [1, 32] offset 128 : (tensor<6x96xui8>, tensor<6x3xf32>) -> tensor<6x96xf32>
  %bias6 = fr.use @"bias6" : tensor<6xf32>
  %y = fr.linear %x, %w, %bias6 : (!x, tensor<6x96xf32>, tensor<6xf32>) -> !y6
  return %y : !y6
}

func.func @w8_asymmetric(%x: !x {fr.name = "x"}) -> (!y6 {fr.name = "y"}) {
  %w8_q = fr.use @"w8_q" : tensor<6x3x32xui8>
  %w8_scale = fr.use @"w8_scale" : tensor<6x3xf32>
  %w8_zero = fr.use @"w8_zero" : tensor<6x3xui8>
  %c = fr.reshape %w8_q : (tensor<6x3x32xui8>) -> tensor<6x96xui8>
  %w = fr.dequantize %c, %w8_scale, %w8_zero blocks [1, 32] : (tensor<6x96xui8>, tensor<6x3xf32>, tensor<6x3xui8>) -> tensor<6x96xf32>
  %y = fr.linear %x, %w : (!x, tensor<6x96xf32>) -> !y6
  return %y : !y6
}

func.func @w8_channel(%x: !x40 {fr.name = "x"}) -> (!y5 {fr.name = "y"}) {
  %c8_q = fr.use @"c8_q" : tensor<5x40xi8>
  %c8_scale = fr.use @"c8_scale" : tensor<5x1xf32>
  %w = fr.dequantize %c8_q, %c8_scale blocks [1, 40] : (tensor<5x40xi8>, tensor<5x1xf32>) -> tensor<5x40xf32>
  %bias5 = fr.use @"bias5" : tensor<5xf32>
  %y = fr.linear %x, %w, %bias5 : (!x40, tensor<5x40xf32>, tensor<5xf32>) -> !y5
  return %y : !y5
}

func.func @w8_tensor(%x: !x40 {fr.name = "x"}) -> (!y5 {fr.name = "y"}) {
  %c8_q = fr.use @"c8_q" : tensor<5x40xi8>
  %t_scale = fr.use @"t_scale" : tensor<1x1xf32>
  %w = fr.dequantize %c8_q, %t_scale blocks [5, 40] : (tensor<5x40xi8>, tensor<1x1xf32>) -> tensor<5x40xf32>
  %y = fr.linear %x, %w : (!x40, tensor<5x40xf32>) -> !y5
  return %y : !y5
}

func.func @w8_tiles(%x: !x40 {fr.name = "x"}) -> (!y5 {fr.name = "y"}) {
  %c8_q = fr.use @"c8_q" : tensor<5x40xi8>
  %b_scale = fr.use @"b_scale" : tensor<3x3xf32>
  %w = fr.dequantize %c8_q, %b_scale blocks [2, 16] : (tensor<5x40xi8>, tensor<3x3xf32>) -> tensor<5x40xf32>
  %y = fr.linear %x, %w : (!x40, tensor<5x40xf32>) -> !y5
  return %y : !y5
}

func.func @w8_halves(%x: !x40 {fr.name = "x"}) -> (!y5 {fr.name = "y"}) {
  %c8_q = fr.use @"c8_q" : tensor<5x40xi8>
  %even_scale = fr.use @"even_scale" : tensor<5x2xf32>
  %w = fr.dequantize %c8_q, %even_scale blocks [1, 20] : (tensor<5x40xi8>, tensor<5x2xf32>) -> tensor<5x40xf32>
  %y = fr.linear %x, %w : (!x40, tensor<5x40xf32>) -> !y5
  return %y : !y5
}

// Scales of tokens are found while the graph runs.

func.func @w8a8(%x: !x40 {fr.name = "x"}) -> (!y5 {fr.name = "y"}) {
  %s = fr.quant_scale %x abs_max range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 40] : (!x40) -> tensor<?x?x1xf32, #fr.dims<B, S, _>>
  %q = fr.quantize %x, %s range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 40] : (!x40, tensor<?x?x1xf32, #fr.dims<B, S, _>>) -> tensor<?x?x40xi8, #fr.dims<B, S, _>>
  %t = fr.dequantize %q, %s blocks [1, 1, 40] : (tensor<?x?x40xi8, #fr.dims<B, S, _>>, tensor<?x?x1xf32, #fr.dims<B, S, _>>) -> !x40
  %c8_q = fr.use @"c8_q" : tensor<5x40xi8>
  %c8_scale = fr.use @"c8_scale" : tensor<5x1xf32>
  %w = fr.dequantize %c8_q, %c8_scale blocks [1, 40] : (tensor<5x40xi8>, tensor<5x1xf32>) -> tensor<5x40xf32>
  %bias5 = fr.use @"bias5" : tensor<5xf32>
  %y = fr.linear %t, %w, %bias5 : (!x40, tensor<5x40xf32>, tensor<5xf32>) -> !y5
  return %y : !y5
}

func.func @w8a8_unsigned(%x: !x40 {fr.name = "x"}) -> (!y5 {fr.name = "y"}) {
  %s = fr.quant_scale %x abs_max range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 40] : (!x40) -> tensor<?x?x1xf32, #fr.dims<B, S, _>>
  %q = fr.quantize %x, %s range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 40] : (!x40, tensor<?x?x1xf32, #fr.dims<B, S, _>>) -> tensor<?x?x40xi8, #fr.dims<B, S, _>>
  %t = fr.dequantize %q, %s blocks [1, 1, 40] : (tensor<?x?x40xi8, #fr.dims<B, S, _>>, tensor<?x?x1xf32, #fr.dims<B, S, _>>) -> !x40
  %u8_q = fr.use @"u8_q" : tensor<5x40xui8>
  %c8_scale = fr.use @"c8_scale" : tensor<5x1xf32>
  %w = fr.dequantize %u8_q, %c8_scale blocks [1, 40] offset 128 : (tensor<5x40xui8>, tensor<5x1xf32>) -> tensor<5x40xf32>
  %y = fr.linear %t, %w : (!x40, tensor<5x40xf32>) -> !y5
  return %y : !y5
}

func.func @tokens(%x: !x40 {fr.name = "x"}) -> (!x40 {fr.name = "y"}) {
  %s = fr.quant_scale %x abs_max range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 40] : (!x40) -> tensor<?x?x1xf32, #fr.dims<B, S, _>>
  %q = fr.quantize %x, %s range -1.270000e+02 to 1.270000e+02 blocks [1, 1, 40] : (!x40, tensor<?x?x1xf32, #fr.dims<B, S, _>>) -> tensor<?x?x40xi8, #fr.dims<B, S, _>>
  %t = fr.dequantize %q, %s blocks [1, 1, 40] : (tensor<?x?x40xi8, #fr.dims<B, S, _>>, tensor<?x?x1xf32, #fr.dims<B, S, _>>) -> !x40
  return %t : !x40
}

func.func @fixed_scale(%x: !x40 {fr.name = "x"}) -> (!x40 {fr.name = "y"}) {
  %v8_scale = fr.use @"v8_scale" : tensor<8x1xf32>
  %v8_q = fr.use @"v8_q" : tensor<8x40xi8>
  %w = fr.dequantize %v8_q, %v8_scale blocks [1, 40] : (tensor<8x40xi8>, tensor<8x1xf32>) -> tensor<8x40xf32>
  %q = fr.quantize %w, %v8_scale range 0.000000e+00 to 2.000000e+02 blocks [1, 40] offset 100 : (tensor<8x40xf32>, tensor<8x1xf32>) -> tensor<8x40xui8>
  %d = fr.dequantize %q, %v8_scale blocks [1, 40] offset 100 : (tensor<8x40xui8>, tensor<8x1xf32>) -> tensor<8x40xf32>
  %row = fr.reduce sum %d axes [0] : (tensor<8x40xf32>) -> tensor<1x40xf32>
  %y = fr.add %x, %row : (!x40, tensor<1x40xf32>) -> !x40
  return %y : !x40
}

// A table whose rows are picked before they are unpacked, and which is the last layer as well.

func.func @tied(%ids: !ids {fr.name = "ids"}) -> (tensor<?x?x8xf32, #fr.dims<B, S, _>> {fr.name = "y"}) {
  %e4_q = fr.use @"e4_q" : tensor<8x2x8xui8>
  %e4_scale = fr.use @"e4_scale" : tensor<8x2xf32>
  %e4_zero = fr.use @"e4_zero" : tensor<8x1xui8>
  %c = fr.unpack %e4_q bits 4 low_first axis 2 : (tensor<8x2x8xui8>) -> tensor<8x2x16xui8>
  %c2 = fr.reshape %c : (tensor<8x2x16xui8>) -> tensor<8x32xui8>
  %z = fr.unpack %e4_zero bits 4 low_first axis 1 : (tensor<8x1xui8>) -> tensor<8x2xui8>
  %w = fr.dequantize %c2, %e4_scale, %z blocks [1, 16] : (tensor<8x32xui8>, tensor<8x2xf32>, tensor<8x2xui8>) -> tensor<8x32xf32>
  %h = fr.embedding %ids, %w : (!ids, tensor<8x32xf32>) -> tensor<?x?x32xf32, #fr.dims<B, S, _>>
  %y = fr.linear %h, %w : (tensor<?x?x32xf32, #fr.dims<B, S, _>>, tensor<8x32xf32>) -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
  return %y : tensor<?x?x8xf32, #fr.dims<B, S, _>>
}

func.func @embedding8(%ids: !ids {fr.name = "ids"}) -> (!x40 {fr.name = "y"}) {
  %v8_q = fr.use @"v8_q" : tensor<8x40xi8>
  %v8_scale = fr.use @"v8_scale" : tensor<8x1xf32>
  %w = fr.dequantize %v8_q, %v8_scale blocks [1, 40] : (tensor<8x40xi8>, tensor<8x1xf32>) -> tensor<8x40xf32>
  %y = fr.embedding %ids, %w : (!ids, tensor<8x40xf32>) -> !x40
  return %y : !x40
}

// Orders and sizes that no weight of this program has in a graph.

func.func @unpack2(%x: !x40 {fr.name = "x"}) -> (!x40 {fr.name = "y"}) {
  %v8_scale = fr.use @"v8_scale" : tensor<8x1xf32>
  %e4_zero = fr.use @"e4_zero" : tensor<8x1xui8>
  %h = fr.unpack %e4_zero bits 2 high_first axis 0 : (tensor<8x1xui8>) -> tensor<30x1xui8>
  %l = fr.unpack %e4_zero bits 2 low_first axis 1 : (tensor<8x1xui8>) -> tensor<8x4xui8>
  %lf = fr.cast %l : (tensor<8x4xui8>) -> tensor<8x4xf32>
  %hf = fr.cast %h : (tensor<30x1xui8>) -> tensor<30x1xf32>
  %ls = fr.reduce max %lf axes [0] : (tensor<8x4xf32>) -> tensor<1x4xf32>
  %l1 = fr.reduce sum %ls axes [1] : (tensor<1x4xf32>) -> tensor<1x1xf32>
  %hr = fr.reshape %hf : (tensor<30x1xf32>) -> tensor<1x30xf32>
  %ten = fr.slice %hr axis 1 start 0 size 10 : (tensor<1x30xf32>) -> tensor<1x10xf32>
  %all = fr.concat %hr, %ten axis 1 : (tensor<1x30xf32>, tensor<1x10xf32>) -> tensor<1x40xf32>
  %s = fr.add %all, %l1 : (tensor<1x40xf32>, tensor<1x1xf32>) -> tensor<1x40xf32>
  %y = fr.add %x, %s : (!x40, tensor<1x40xf32>) -> !x40
  return %y : !x40
}
