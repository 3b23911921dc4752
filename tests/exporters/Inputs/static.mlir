// VARIANT opset=13 forbid=Shape,Range
// VARIANT opset=17 forbid=Shape,Range refuse=CumSum,Range,GatherND
// VARIANT opset=23 forbid=Shape,Range
// VARIANT opset=23 table=ort_cpu
// VARIANT opset=18 table=ascend_atc
// VARIANT opset=20 table=tensorrt
// VARIANT opset=19 table=rknn_toolkit2
!pad = tensor<2x9xi64>
!q = tensor<2x4x6x8xf32>
!k = tensor<2x2x9x8xf32>
!m = tensor<2x1x6x9xi1>

func.func @main(%q: !q {fr.name = "q"}, %k: !k {fr.name = "k"}, %mask: !pad {fr.name = "mask"}, %ids: tensor<2xi64> {fr.name = "ids"})
    -> (!q {fr.name = "y"}, tensor<2x6x32xf32> {fr.name = "merged"}, tensor<2x32xf32> {fr.name = "last"}, tensor<6xi64> {fr.name = "iota"}, tensor<i64> {fr.name = "size"}) {
  %0 = fr.attention_mask padding %mask : !pad {causal = true, window = 3 : i64} : !m
  %1 = fr.attention %q, %k, %k, %0 scale 0.35355339059327379 : (!q, !k, !k, !m) -> !q
  %2 = fr.transpose %1 [0, 2, 1, 3] : (!q) -> tensor<2x6x4x8xf32>
  %3 = fr.reshape %2 : (tensor<2x6x4x8xf32>) -> tensor<2x6x32xf32>
  %c = fr.constant dense<5> : tensor<i64>
  %4 = fr.minimum %ids, %c : (tensor<2xi64>, tensor<i64>) -> tensor<2xi64>
  %5 = fr.gather %3 [%4] axis 1 {batch_dims = 1 : i64} : (tensor<2x6x32xf32>, tensor<2xi64>) -> tensor<2x32xf32>
  %6 = fr.iota : tensor<6xi64>
  %7 = fr.size "12" : tensor<i64>
  return %1, %3, %5, %6, %7 : !q, tensor<2x6x32xf32>, tensor<2x32xf32>, tensor<6xi64>, tensor<i64>
}
