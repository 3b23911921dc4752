// VARIANT opset=13
// VARIANT opset=17 refuse=CumSum,Unsqueeze
// VARIANT opset=18
// VARIANT opset=23 refuse=Split
// VARIANT opset=23 table=ort_cpu
!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!i = tensor<?x?x8xi64, #fr.dims<B, S, _>>
!ids = tensor<?x?xi64, #fr.dims<B, S>>

!heads = tensor<?x?x2x4xf32, #fr.dims<B, S, _, _>>
!turned = tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
func.func @reshape(%x: !x {fr.name = "x"})
    -> (!turned {fr.name = "turned"}, !x {fr.name = "back"}, tensor<?x?x16xf32, #fr.dims<S, B, _>> {fr.name = "swapped"},
        tensor<?x?x1x4xf32, #fr.dims<B, 2*S, _, _>> {fr.name = "double"}) {
  %0 = fr.reshape %x : (!x) -> !heads
  %1 = fr.transpose %0 [0, 2, 1, 3] : (!heads) -> !turned
  %2 = fr.transpose %1 [0, 2, 1, 3] : (!turned) -> !heads
  %3 = fr.reshape %2 : (!heads) -> !x
  %4 = fr.concat %x, %x axis 2 : (!x, !x) -> tensor<?x?x16xf32, #fr.dims<B, S, _>>
  %5 = fr.reshape %4 : (tensor<?x?x16xf32, #fr.dims<B, S, _>>) -> tensor<?x?x16xf32, #fr.dims<S, B, _>>
  %6 = fr.reshape %x : (!x) -> tensor<?x?x1x4xf32, #fr.dims<B, 2*S, _, _>>
  return %1, %3, %5, %6 : !turned, !x, tensor<?x?x16xf32, #fr.dims<S, B, _>>, tensor<?x?x1x4xf32, #fr.dims<B, 2*S, _, _>>
}

func.func @slice_concat(%x: !x {fr.name = "x"}, %past: tensor<?x?x8xf32, #fr.dims<B, C, _>> {fr.name = "past"})
    -> (tensor<?x?x3xf32, #fr.dims<B, S, _>> {fr.name = "slice"}, tensor<?x?x8xf32, #fr.dims<B, C + S, _>> {fr.name = "longer"}) {
  %0 = fr.slice %x axis 2 start 2 size 3 : (!x) -> tensor<?x?x3xf32, #fr.dims<B, S, _>>
  %1 = fr.concat %past, %x axis 1 : (tensor<?x?x8xf32, #fr.dims<B, C, _>>, !x) -> tensor<?x?x8xf32, #fr.dims<B, C + S, _>>
  return %0, %1 : tensor<?x?x3xf32, #fr.dims<B, S, _>>, tensor<?x?x8xf32, #fr.dims<B, C + S, _>>
}

func.func @same(%x: !x {fr.name = "x"}) -> (!x {fr.name = "y"}, !x {fr.name = "z"}, tensor<2xi64> {fr.name = "c"}) {
  %0 = fr.constant dense<[3, 5]> : tensor<2xi64>
  return %x, %x, %0 : !x, !x, tensor<2xi64>
}

// Sizes that only a sum of inputs carries: C of C + S.
func.func @sizes(%x: !x {fr.name = "x"}, %mask: tensor<?x?xi64, #fr.dims<B, C + S>> {fr.name = "mask"})
    -> (tensor<?xi64, #fr.dims<S>> {fr.name = "iota"}, tensor<i64> {fr.name = "p"}, tensor<i64> {fr.name = "affine"}, tensor<i64> {fr.name = "seven"},
        tensor<4xi64> {fr.name = "four"}) {
  %0 = fr.iota : tensor<?xi64, #fr.dims<S>>
  %1 = fr.size "C" : tensor<i64>
  %2 = fr.size "C + 2*S + 1" : tensor<i64>
  %3 = fr.size "7" : tensor<i64>
  %4 = fr.iota : tensor<4xi64>
  return %0, %1, %2, %3, %4 : tensor<?xi64, #fr.dims<S>>, tensor<i64>, tensor<i64>, tensor<i64>, tensor<4xi64>
}

func.func @reduce(%x: !x {fr.name = "x"})
    -> (tensor<?x?x1xf32, #fr.dims<B, S, _>> {fr.name = "mean"}, tensor<?x1x1xf32, #fr.dims<B, _, _>> {fr.name = "sum"},
        tensor<?x?x1xf32, #fr.dims<B, S, _>> {fr.name = "max"}, tensor<?x?x1xf32, #fr.dims<B, S, _>> {fr.name = "min"},
        tensor<?x?xi64, #fr.dims<B, S>> {fr.name = "best"}, !x {fr.name = "running"}) {
  %0 = fr.reduce mean %x axes [2] : (!x) -> tensor<?x?x1xf32, #fr.dims<B, S, _>>
  %1 = fr.reduce sum %x axes [1, 2] : (!x) -> tensor<?x1x1xf32, #fr.dims<B, _, _>>
  %2 = fr.reduce max %x axes [2] : (!x) -> tensor<?x?x1xf32, #fr.dims<B, S, _>>
  %3 = fr.reduce min %x axes [2] : (!x) -> tensor<?x?x1xf32, #fr.dims<B, S, _>>
  %4 = fr.arg_max %x axis 2 : (!x) -> tensor<?x?xi64, #fr.dims<B, S>>
  %5 = fr.cumsum %x axis 1 : (!x) -> !x
  return %0, %1, %2, %3, %4, %5
      : tensor<?x?x1xf32, #fr.dims<B, S, _>>, tensor<?x1x1xf32, #fr.dims<B, _, _>>, tensor<?x?x1xf32, #fr.dims<B, S, _>>,
        tensor<?x?x1xf32, #fr.dims<B, S, _>>, tensor<?x?xi64, #fr.dims<B, S>>, !x
}

// The first of equal elements, and running sums of integers along each axis.
func.func @first_and_running(%x: !i {fr.name = "x"}, %ids: !ids {fr.name = "ids"})
    -> (tensor<?x?xi64, #fr.dims<B, S>> {fr.name = "first"}, tensor<?xi64, #fr.dims<B>> {fr.name = "any"}, !ids {fr.name = "along_s"}, !ids {fr.name = "along_b"}) {
  %0 = fr.arg_max %x axis 2 : (!i) -> tensor<?x?xi64, #fr.dims<B, S>>
  %1 = fr.compare ge %ids, %ids : (!ids, !ids) -> tensor<?x?xi1, #fr.dims<B, S>>
  %2 = fr.arg_max %1 axis 1 : (tensor<?x?xi1, #fr.dims<B, S>>) -> tensor<?xi64, #fr.dims<B>>
  %3 = fr.cumsum %ids axis 1 : (!ids) -> !ids
  %4 = fr.cumsum %ids axis 0 : (!ids) -> !ids
  return %0, %2, %3, %4 : tensor<?x?xi64, #fr.dims<B, S>>, tensor<?xi64, #fr.dims<B>>, !ids, !ids
}

func.func @gather_two(%x: !x {fr.name = "x"}, %ids: !ids {fr.name = "ids"}) -> (tensor<?x?xf32, #fr.dims<B, S>> {fr.name = "both"}) {
  %0 = fr.gather %x [%ids] axis 2 {batch_dims = 2 : i64} : (!x, !ids) -> tensor<?x?xf32, #fr.dims<B, S>>
  return %0 : tensor<?x?xf32, #fr.dims<B, S>>
}

// A cache of 32 columns takes the tokens of this call.
!cache = tensor<?x2x32x4xf32, #fr.dims<B, _, _, _>>
!new = tensor<?x2x?x4xf32, #fr.dims<B, _, S, _>>
func.func @scatter(%cache: !cache {fr.name = "cache"}, %columns: tensor<?xi64, #fr.dims<S>> {fr.name = "columns"}, %new: !new {fr.name = "new"})
    -> (!cache {fr.name = "out"}) {
  %0 = fr.scatter %cache [%columns], %new axis 2 : (!cache, tensor<?xi64, #fr.dims<S>>, !new) -> !cache
  return %0 : !cache
}
