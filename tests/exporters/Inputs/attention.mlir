// VARIANT opset=13
// VARIANT opset=17 refuse=CumSum,Where,LessOrEqual
// VARIANT opset=23
// VARIANT opset=23 table=ort_cpu
!q = tensor<?x4x?x8xf32, #fr.dims<B, _, S, _>>
!k = tensor<?x2x?x8xf32, #fr.dims<B, _, C + S, _>>
!v = tensor<?x2x?x6xf32, #fr.dims<B, _, C + S, _>>
!o = tensor<?x4x?x6xf32, #fr.dims<B, _, S, _>>
!pad = tensor<?x?xi64, #fr.dims<B, C + S>>
!m = tensor<?x1x?x?xi1, #fr.dims<B, _, S, C + S>>

func.func @masks(%mask: !pad {fr.name = "mask"}, %columns: tensor<?xi64, #fr.dims<S>> {fr.name = "columns"})
    -> (!m {fr.name = "padding"}, !m {fr.name = "causal"}, !m {fr.name = "window"}, !m {fr.name = "by_columns"}, !m {fr.name = "unpadded"},
        !m {fr.name = "unpadded_window"}, !m {fr.name = "shifted"}, !m {fr.name = "all"}) {
  %0 = fr.attention_mask padding %mask : !pad {causal = false} : !m
  %1 = fr.attention_mask padding %mask : !pad {causal = true} : !m
  %2 = fr.attention_mask padding %mask : !pad {causal = true, window = 3 : i64} : !m
  %3 = fr.attention_mask padding %mask : !pad columns %columns : tensor<?xi64, #fr.dims<S>> {causal = true, window = 4 : i64} : !m
  %4 = fr.attention_mask {causal = true} : !m
  %5 = fr.attention_mask {causal = true, window = 2 : i64} : !m
  %6 = fr.attention_mask padding %mask : !pad {causal = true, diagonal = -1 : i64} : !m
  %7 = fr.attention_mask {causal = false} : !m
  return %0, %1, %2, %3, %4, %5, %6, %7 : !m, !m, !m, !m, !m, !m, !m, !m
}

// The padded rows see nothing: they get the mean of all values.
func.func @attention(%q: !q {fr.name = "q"}, %k: !k {fr.name = "k"}, %v: !v {fr.name = "v"}, %mask: !pad {fr.name = "mask"})
    -> (!o {fr.name = "masked"}, !o {fr.name = "unmasked"}, !o {fr.name = "softcap"}) {
  %0 = fr.attention_mask padding %mask : !pad {causal = true} : !m
  %1 = fr.attention %q, %k, %v, %0 scale 0.35355339059327379 : (!q, !k, !v, !m) -> !o
  %2 = fr.attention %q, %k, %v scale 0.5 : (!q, !k, !v) -> !o
  %3 = fr.attention %q, %k, %v, %0 scale 0.35355339059327379 {softcap = 2.0 : f64} : (!q, !k, !v, !m) -> !o
  return %1, %2, %3 : !o, !o, !o
}

// As many key heads as query heads, and one for all.
!k4 = tensor<?x4x?x8xf32, #fr.dims<B, _, S, _>>
!k1 = tensor<?x1x?x8xf32, #fr.dims<B, _, S, _>>
func.func @heads(%q: !q {fr.name = "q"}, %k: !k4 {fr.name = "k"}, %one: !k1 {fr.name = "one"}) -> (!q {fr.name = "all"}, !q {fr.name = "shared"}) {
  %0 = fr.attention %q, %k, %k scale 0.35355339059327379 : (!q, !k4, !k4) -> !q
  %1 = fr.attention %q, %one, %one scale 0.35355339059327379 : (!q, !k1, !k1) -> !q
  return %0, %1 : !q, !q
}
