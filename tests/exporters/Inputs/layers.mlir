// VARIANT opset=13
// VARIANT opset=17 refuse=Gemm
// VARIANT opset=17 contrib=SimplifiedLayerNormalization refuse=ReduceL2,LayerNormalization
// VARIANT opset=23
// VARIANT opset=23 table=ort_cpu
!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!ids = tensor<?x?xi64, #fr.dims<B, S>>

fr.weights @source {
  fr.weight @"embed.weight" : tensor<16x8xbf16>
  fr.weight @"proj.weight" : tensor<6x8xbf16>
  fr.weight @"proj.bias" : tensor<6xbf16>
  fr.weight @"up.weight" : tensor<5x8xf16>
  fr.weight @"norm.weight" : tensor<8xf32>
  fr.weight @"norm.bias" : tensor<8xf32>
}
fr.param @"embed.weight" : tensor<16x8xbf16> {
  %0 = fr.get @source::@"embed.weight" : tensor<16x8xbf16>
  fr.yield %0 : tensor<16x8xbf16>
}
fr.param @"proj.weight" : tensor<6x8xbf16> {
  %0 = fr.get @source::@"proj.weight" : tensor<6x8xbf16>
  fr.yield %0 : tensor<6x8xbf16>
}
fr.param @"proj.bias" : tensor<6xf32> {
  %0 = fr.get @source::@"proj.bias" : tensor<6xbf16>
  %1 = fr.cast %0 : (tensor<6xbf16>) -> tensor<6xf32>
  fr.yield %1 : tensor<6xf32>
}
fr.param @"up.weight" : tensor<5x8xbf16> {
  %0 = fr.get @source::@"up.weight" : tensor<5x8xf16>
  %1 = fr.cast %0 : (tensor<5x8xf16>) -> tensor<5x8xbf16>
  fr.yield %1 : tensor<5x8xbf16>
}
fr.param @"norm.weight" : tensor<8xf32> {
  %0 = fr.get @source::@"norm.weight" : tensor<8xf32>
  fr.yield %0 : tensor<8xf32>
}
fr.param @"norm.bias" : tensor<8xf32> {
  %0 = fr.get @source::@"norm.bias" : tensor<8xf32>
  fr.yield %0 : tensor<8xf32>
}

func.func @embedding(%ids: !ids {fr.name = "ids"}) -> (!x {fr.name = "y"}) {
  %w = fr.use @"embed.weight" : tensor<16x8xbf16>
  %0 = fr.embedding %ids, %w : (!ids, tensor<16x8xbf16>) -> !x
  return %0 : !x
}

func.func @linear(%x: !x {fr.name = "x"})
    -> (tensor<?x?x6xf32, #fr.dims<B, S, _>> {fr.name = "with_bias"}, tensor<?x?x5xf32, #fr.dims<B, S, _>> {fr.name = "without"}) {
  %w = fr.use @"proj.weight" : tensor<6x8xbf16>
  %b = fr.use @"proj.bias" : tensor<6xf32>
  %u = fr.use @"up.weight" : tensor<5x8xbf16>
  %0 = fr.linear %x, %w, %b : (!x, tensor<6x8xbf16>, tensor<6xf32>) -> tensor<?x?x6xf32, #fr.dims<B, S, _>>
  %1 = fr.linear %x, %u : (!x, tensor<5x8xbf16>) -> tensor<?x?x5xf32, #fr.dims<B, S, _>>
  return %0, %1 : tensor<?x?x6xf32, #fr.dims<B, S, _>>, tensor<?x?x5xf32, #fr.dims<B, S, _>>
}

!square = tensor<?x?x?xf32, #fr.dims<B, S, S>>
func.func @matmul_softmax(%x: !x {fr.name = "x"}) -> (!square {fr.name = "scores"}, !square {fr.name = "last"}, !square {fr.name = "middle"}) {
  %t = fr.transpose %x [0, 2, 1] : (!x) -> tensor<?x8x?xf32, #fr.dims<B, _, S>>
  %0 = fr.matmul %x, %t : (!x, tensor<?x8x?xf32, #fr.dims<B, _, S>>) -> !square
  %1 = fr.softmax %0 axis 2 : (!square) -> !square
  %2 = fr.softmax %0 axis 1 : (!square) -> !square
  return %0, %1, %2 : !square, !square, !square
}

func.func @norms(%x: !x {fr.name = "x"})
    -> (!x {fr.name = "rms"}, !x {fr.name = "rms_offset"}, !x {fr.name = "rms_plain"}, !x {fr.name = "layer"}, !x {fr.name = "layer_scale"},
        !x {fr.name = "layer_offset"}, !x {fr.name = "layer_plain"}, !x {fr.name = "l2"}) {
  %w = fr.use @"norm.weight" : tensor<8xf32>
  %b = fr.use @"norm.bias" : tensor<8xf32>
  %0 = fr.rms_norm %x, %w eps 1.0e-6 : (!x, tensor<8xf32>) -> !x
  %1 = fr.rms_norm %x, %w eps 1.0e-1 {offset = 1.0 : f64} : (!x, tensor<8xf32>) -> !x
  %2 = fr.rms_norm %x eps 1.0e-5 : (!x) -> !x
  %3 = fr.layer_norm %x weight %w bias %b eps 1.0e-5 : (!x, tensor<8xf32>, tensor<8xf32>) -> !x
  %4 = fr.layer_norm %x weight %w eps 1.0e-1 : (!x, tensor<8xf32>) -> !x
  %5 = fr.layer_norm %x weight %w bias %b eps 1.0e-5 {offset = 1.0 : f64} : (!x, tensor<8xf32>, tensor<8xf32>) -> !x
  %6 = fr.layer_norm %x eps 1.0e-5 : (!x) -> !x
  %7 = fr.l2_norm %x eps 1.0e-12 : (!x) -> !x
  return %0, %1, %2, %3, %4, %5, %6, %7 : !x, !x, !x, !x, !x, !x, !x, !x
}
