// VARIANT opset=13
// VARIANT opset=17 refuse=GatherND,Unsqueeze forbid=GatherND
// VARIANT opset=23 table=ort_cpu
!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!ids = tensor<?x?xi64, #fr.dims<B, S>>

func.func @gather(%x: !x {fr.name = "x"}, %ids: !ids {fr.name = "ids"}, %zero: tensor<?xi64, #fr.dims<B>> {fr.name = "index"})
    -> (tensor<?x?x?x?xf32, #fr.dims<B, S, B, S>> {fr.name = "plain"}, tensor<?x8xf32, #fr.dims<B, _>> {fr.name = "rows"},
        tensor<?x?x?xf32, #fr.dims<B, S, S>> {fr.name = "inner"},
        tensor<?x1x8xf32, #fr.dims<B, _, _>> {fr.name = "kept"}) {
  %0 = fr.gather %x [%ids] axis 2 : (!x, !ids) -> tensor<?x?x?x?xf32, #fr.dims<B, S, B, S>>
  %1 = fr.gather %x [%zero] axis 1 {batch_dims = 1 : i64} : (!x, tensor<?xi64, #fr.dims<B>>) -> tensor<?x8xf32, #fr.dims<B, _>>
  %2 = fr.gather %x [%ids] axis 2 {batch_dims = 1 : i64} : (!x, !ids) -> tensor<?x?x?xf32, #fr.dims<B, S, S>>
  %4 = fr.reshape %zero : (tensor<?xi64, #fr.dims<B>>) -> tensor<?x1xi64, #fr.dims<B, _>>
  %5 = fr.gather %x [%4] axis 1 {batch_dims = 1 : i64} : (!x, tensor<?x1xi64, #fr.dims<B, _>>) -> tensor<?x1x8xf32, #fr.dims<B, _, _>>
  return %0, %1, %2, %5
      : tensor<?x?x?x?xf32, #fr.dims<B, S, B, S>>, tensor<?x8xf32, #fr.dims<B, _>>, tensor<?x?x?xf32, #fr.dims<B, S, S>>,
        tensor<?x1x8xf32, #fr.dims<B, _, _>>
}

