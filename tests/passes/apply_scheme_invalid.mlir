// RUN: flagrelease-opt %s --fr-apply-scheme=dtype=f32 --verify-diagnostics

fr.weights @source {
  fr.weight @w : tensor<4xf16>
}
fr.param @w : tensor<4xf16> {
  %0 = fr.get @source::@w : tensor<4xf16>
  fr.yield %0 : tensor<4xf16>
}
func.func @main() -> tensor<4xf16> {
  %0 = fr.use @w : tensor<4xf16>
  // expected-error @+1 {{'func.return' op takes a param whose type changes from what it was declared with}}
  return %0 : tensor<4xf16>
}
