// VARIANT opset=13
// VARIANT opset=17 refuse=InstanceNormalization
// VARIANT opset=18
// VARIANT opset=23
// VARIANT opset=23 table=ort_cpu
// What the kinds of models brought. tests/ir/kinds/oracle.json holds torch's numbers of the same functions.
!x = tensor<?x?x8xf32, #fr.dims<B, S, _>>
!n = tensor<?x?x8xi64, #fr.dims<B, S, _>>
!b = tensor<?x?x8xi1, #fr.dims<B, S, _>>

func.func @elementwise(%x: !x {fr.name = "x"}, %n: !n {fr.name = "n"})
    -> (!x {fr.name = "abs"}, !n {fr.name = "abs_int"}, !b {fr.name = "not"}, !x {fr.name = "softplus"}) {
  %0 = fr.abs %x : (!x) -> !x
  %1 = fr.abs %n : (!n) -> !n
  %zero = fr.constant dense<0.0> : tensor<f32>
  %positive = fr.compare gt %x, %zero : (!x, tensor<f32>) -> !b
  %2 = fr.not %positive : (!b) -> !b
  %3 = fr.softplus %x : (!x) -> !x
  return %0, %1, %2, %3 : !x, !n, !b, !x
}

func.func @extremes(%x: tensor<10xf32> {fr.name = "x"}) -> (tensor<10xf32> {fr.name = "softplus"}, tensor<10xf32> {fr.name = "abs"}) {
  %0 = fr.softplus %x : (tensor<10xf32>) -> tensor<10xf32>
  %1 = fr.abs %x : (tensor<10xf32>) -> tensor<10xf32>
  return %0, %1 : tensor<10xf32>, tensor<10xf32>
}

!last = tensor<?x1x8xf32, #fr.dims<B, _, _>>
!three = tensor<?x?x3xf32, #fr.dims<B, S, _>>
!double = tensor<?x?x8xf32, #fr.dims<B, 2*S, _>>
func.func @narrow(%x: !x {fr.name = "x"})
    -> (!last {fr.name = "last"}, !three {fr.name = "columns"}, !x {fr.name = "second_half"}) {
  %0 = fr.narrow %x axis 1 start "S + -1" size "1" : (!x) -> !last
  %1 = fr.narrow %x axis 2 start "4" size "3" : (!x) -> !three
  %opposite = fr.neg %x : (!x) -> !x
  %twice = fr.concat %opposite, %x axis 1 : (!x, !x) -> !double
  %2 = fr.narrow %twice axis 1 start "S" size "S" : (!double) -> !x
  return %0, %1, %2 : !last, !three, !x
}

!row = tensor<?x1x8xf32, #fr.dims<B, _, _>>
!lead = tensor<2x?x?x8xf32, #fr.dims<_, B, S, _>>
func.func @broadcast(%row: !row {fr.name = "row"}, %x: !x {fr.name = "x"}) -> (!x {fr.name = "rows"}, !lead {fr.name = "lead"}) {
  %0 = fr.broadcast %row : (!row) -> !x
  %1 = fr.sub %0, %x : (!x, !x) -> !x
  %2 = fr.broadcast %1 : (!x) -> !lead
  return %1, %2 : !x, !lead
}

!wide = tensor<?x?x13xf32, #fr.dims<B, S, _>>
!wide_n = tensor<?x?x13xi64, #fr.dims<B, S, _>>
!wide_b = tensor<?x?x9xi1, #fr.dims<B, S, _>>
!tall = tensor<?x?x9xf32, #fr.dims<B + 1, S + 3, _>>
func.func @pad(%x: !x {fr.name = "x"}, %n: !n {fr.name = "n"})
    -> (!wide {fr.name = "edge"}, !wide {fr.name = "reflect"}, !wide_n {fr.name = "ints"}, !wide_n {fr.name = "reflected_ints"},
        !tall {fr.name = "constant"}) {
  %0 = fr.pad %x edge low [0, 0, 2] high [0, 0, 3] : (!x) -> !wide
  %1 = fr.pad %x reflect low [0, 0, 2] high [0, 0, 3] : (!x) -> !wide
  %2 = fr.pad %n constant low [0, 0, 5] high [0, 0, 0] {value = 7.0} : (!n) -> !wide_n
  %3 = fr.pad %n reflect low [0, 0, 0] high [0, 0, 5] : (!n) -> !wide_n
  %4 = fr.pad %x constant low [0, 1, 1] high [1, 2, 0] {value = -1.5} : (!x) -> !tall
  return %0, %1, %2, %3, %4 : !wide, !wide, !wide_n, !wide_n, !tall
}

!top = tensor<?x?x3xf32, #fr.dims<B, S, _>>
!top_n = tensor<?x?x3xi64, #fr.dims<B, S, _>>
func.func @top_k(%x: !x {fr.name = "x"}, %n: !n {fr.name = "n"})
    -> (!top {fr.name = "values"}, !top_n {fr.name = "places"}, !top_n {fr.name = "ints"}, !top_n {fr.name = "first_places"}) {
  %0, %1 = fr.top_k %x k 3 : (!x) -> (!top, !top_n)
  %2, %3 = fr.top_k %n k 3 : (!n) -> (!top_n, !top_n)
  return %0, %1, %2, %3 : !top, !top_n, !top_n, !top_n
}

!h = tensor<?x8xf32, #fr.dims<B, _>>
!hn = tensor<?x8xi64, #fr.dims<B, _>>
// h = decay h + x, y = h - offset; and a count, a scan along the first axis, one without a state, one in another.
func.func @scan(%x: !x {fr.name = "x"}, %decay: !x {fr.name = "decay"}, %first: !h {fr.name = "first"}, %n: !n {fr.name = "n"},
                %offset: tensor<8xf32> {fr.name = "offset"})
    -> (!h {fr.name = "last"}, !x {fr.name = "all"}, !hn {fr.name = "count"}, !n {fr.name = "counts"}, !x {fr.name = "mapped"},
        !x {fr.name = "batches"}, !x {fr.name = "nested"}) {
  %last, %all = fr.scan "decay" inits %first sequences %decay, %x axis 1 : (!h, !x, !x) -> (!h, !x) {
  ^bb0(%h: !h, %d: !h, %xi: !h):
    %kept = fr.mul %h, %d : (!h, !h) -> !h
    %next = fr.add %kept, %xi : (!h, !h) -> !h
    %y = fr.sub %next, %offset : (!h, tensor<8xf32>) -> !h
    fr.scan.yield %next, %y : !h, !h
  }
  %start = fr.narrow %n axis 1 start "0" size "1" : (!n) -> tensor<?x1x8xi64, #fr.dims<B, _, _>>
  %begin = fr.reshape %start : (tensor<?x1x8xi64, #fr.dims<B, _, _>>) -> !hn
  %count, %counts = fr.scan "count" inits %begin sequences %n axis 1 : (!hn, !n) -> (!hn, !n) {
  ^bb0(%c: !hn, %ni: !hn):
    %next = fr.add %c, %ni : (!hn, !hn) -> !hn
    fr.scan.yield %next, %next : !hn, !hn
  }
  %mapped = fr.scan "map" sequences %x axis 1 : (!x) -> !x {
  ^bb0(%xi: !h):
    %y = fr.add %xi, %offset : (!h, tensor<8xf32>) -> !h
    fr.scan.yield %y : !h
  }
  %batches = fr.scan "batches" sequences %x axis 0 : (!x) -> !x {
  ^bb0(%rows: tensor<?x8xf32, #fr.dims<S, _>>):
    %sums = fr.cumsum %rows axis 0 : (tensor<?x8xf32, #fr.dims<S, _>>) -> tensor<?x8xf32, #fr.dims<S, _>>
    fr.scan.yield %sums : tensor<?x8xf32, #fr.dims<S, _>>
  }
  %nested = fr.scan "outer" sequences %x axis 0 : (!x) -> !x {
  ^bb0(%rows: tensor<?x8xf32, #fr.dims<S, _>>):
    %end, %inner = fr.scan "inner" inits %offset sequences %rows axis 0 : (tensor<8xf32>, tensor<?x8xf32, #fr.dims<S, _>>)
        -> (tensor<8xf32>, tensor<?x8xf32, #fr.dims<S, _>>) {
    ^bb0(%h: tensor<8xf32>, %xi: tensor<8xf32>):
      %next = fr.add %h, %xi : (tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>
      fr.scan.yield %next, %next : tensor<8xf32>, tensor<8xf32>
    }
    fr.scan.yield %inner : tensor<?x8xf32, #fr.dims<S, _>>
  }
  return %last, %all, %count, %counts, %mapped, %batches, %nested : !h, !x, !hn, !n, !x, !x, !x
}

!s = tensor<?x4x?xf32, #fr.dims<B, _, S>>
!half = tensor<?x6x?xf32, #fr.dims<B, _, "floor((S + 1) / 2)">>
func.func @conv_1d(%x: !s {fr.name = "x"}, %w: tensor<6x2x3xf32> {fr.name = "w"}, %b: tensor<6xf32> {fr.name = "b"},
                   %v: tensor<4x1x2xf32> {fr.name = "v"}) -> (!half {fr.name = "strided"}, !s {fr.name = "causal"}) {
  %0 = fr.conv %x, %w, %b strides [2] low [1] high [1] dilations [1] {groups = 2 : i64} : (!s, tensor<6x2x3xf32>, tensor<6xf32>) -> !half
  %1 = fr.conv %x, %v strides [1] low [2] high [0] dilations [2] {groups = 4 : i64} : (!s, tensor<4x1x2xf32>) -> !s
  return %0, %1 : !half, !s
}

!image = tensor<2x4x7x6xf32>
func.func @conv_2d(%x: !image {fr.name = "x"}, %w: tensor<6x2x3x2xf32> {fr.name = "w"}, %b: tensor<6xf32> {fr.name = "b"})
    -> (tensor<2x6x4x5xf32> {fr.name = "y"}) {
  %0 = fr.conv %x, %w, %b strides [2, 1] low [1, 0] high [2, 1] dilations [1, 2] {groups = 2 : i64}
      : (!image, tensor<6x2x3x2xf32>, tensor<6xf32>) -> tensor<2x6x4x5xf32>
  return %0 : tensor<2x6x4x5xf32>
}

func.func @conv_3d(%x: tensor<1x2x4x5x5xf32> {fr.name = "x"}, %w: tensor<3x2x2x2x3xf32> {fr.name = "w"})
    -> (tensor<1x3x2x4x3xf32> {fr.name = "y"}) {
  %0 = fr.conv %x, %w strides [2, 1, 2] low [0, 1, 1] high [1, 0, 1] dilations [1, 2, 1]
      : (tensor<1x2x4x5x5xf32>, tensor<3x2x2x2x3xf32>) -> tensor<1x3x2x4x3xf32>
  return %0 : tensor<1x3x2x4x3xf32>
}

!twice = tensor<?x6x?xf32, #fr.dims<B, _, 2*S>>
func.func @conv_transpose_1d(%x: !s {fr.name = "x"}, %w: tensor<4x3x4xf32> {fr.name = "w"}, %b: tensor<6xf32> {fr.name = "b"})
    -> (!twice {fr.name = "y"}) {
  %0 = fr.conv_transpose %x, %w, %b strides [2] low [1] high [1] dilations [1] extra [0] {groups = 2 : i64}
      : (!s, tensor<4x3x4xf32>, tensor<6xf32>) -> !twice
  return %0 : !twice
}

func.func @conv_transpose_2d(%x: tensor<2x4x3x4xf32> {fr.name = "x"}, %w: tensor<4x3x3x2xf32> {fr.name = "w"})
    -> (tensor<2x3x8x11xf32> {fr.name = "y"}) {
  %0 = fr.conv_transpose %x, %w strides [2, 3] low [0, 1] high [1, 0] dilations [2, 1] extra [0, 1]
      : (tensor<2x4x3x4xf32>, tensor<4x3x3x2xf32>) -> tensor<2x3x8x11xf32>
  return %0 : tensor<2x3x8x11xf32>
}

func.func @conv_transpose_3d(%x: tensor<1x2x2x2x3xf32> {fr.name = "x"}, %w: tensor<2x2x2x2x2xf32> {fr.name = "w"},
                             %b: tensor<2xf32> {fr.name = "b"})
    -> (tensor<1x2x3x5x4xf32> {fr.name = "y"}) {
  %0 = fr.conv_transpose %x, %w, %b strides [1, 2, 1] low [0, 0, 0] high [0, 0, 0] dilations [1, 1, 1] extra [0, 1, 0]
      : (tensor<1x2x2x2x3xf32>, tensor<2x2x2x2x2xf32>, tensor<2xf32>) -> tensor<1x2x3x5x4xf32>
  return %0 : tensor<1x2x3x5x4xf32>
}

!pooled = tensor<2x4x4x4xf32>
!halved = tensor<?x4x?xf32, #fr.dims<B, _, "floor((S + 1) / 2)">>
func.func @pool(%x: !image {fr.name = "x"}, %s: !s {fr.name = "s"}, %v: tensor<1x2x4x5x5xf32> {fr.name = "v"})
    -> (!pooled {fr.name = "max"}, !pooled {fr.name = "mean"}, !pooled {fr.name = "mean_with_margin"}, !halved {fr.name = "max_1d"},
        !halved {fr.name = "mean_1d"}, tensor<1x2x2x3x4xf32> {fr.name = "mean_3d"}) {
  %1 = fr.pool max %x kernel [3, 2] strides [2, 2] low [1, 1] high [1, 1] : (!image) -> !pooled
  %2 = fr.pool average %x kernel [3, 2] strides [2, 2] low [1, 1] high [1, 1] : (!image) -> !pooled
  %3 = fr.pool average %x kernel [3, 2] strides [2, 2] low [1, 1] high [1, 1] {count_margin} : (!image) -> !pooled
  %4 = fr.pool max %s kernel [3] strides [2] low [1] high [1] : (!s) -> !halved
  %5 = fr.pool average %s kernel [3] strides [2] low [1] high [1] : (!s) -> !halved
  %6 = fr.pool average %v kernel [2, 3, 2] strides [2, 2, 1] low [0, 1, 0] high [0, 1, 0] {count_margin} : (tensor<1x2x4x5x5xf32>) -> tensor<1x2x2x3x4xf32>
  return %1, %2, %3, %4, %5, %6 : !pooled, !pooled, !pooled, !halved, !halved, tensor<1x2x2x3x4xf32>
}

// A margin on one side only, as a pool that keeps the size has it.
func.func @pool_one_side(%x: !image {fr.name = "x"})
    -> (tensor<2x4x7x6xf32> {fr.name = "max"}, tensor<2x4x7x6xf32> {fr.name = "mean"}, tensor<2x4x7x6xf32> {fr.name = "mean_with_margin"}) {
  %0 = fr.pool max %x kernel [2, 2] strides [1, 1] low [0, 1] high [1, 0] : (!image) -> !image
  %1 = fr.pool average %x kernel [2, 2] strides [1, 1] low [0, 1] high [1, 0] : (!image) -> !image
  %2 = fr.pool average %x kernel [2, 2] strides [1, 1] low [0, 1] high [1, 0] {count_margin} : (!image) -> !image
  return %0, %1, %2 : !image, !image, !image
}

!picture = tensor<1x2x7x6xf32>
!large = tensor<1x2x10x9xf32>
!small = tensor<1x2x3x4xf32>
func.func @interpolate(%x: !picture {fr.name = "x"})
    -> (!large {fr.name = "nearest"}, !small {fr.name = "nearest_down"}, !large {fr.name = "linear"}, !small {fr.name = "linear_down"},
        !large {fr.name = "linear_corners"}, !large {fr.name = "cubic"}, !small {fr.name = "cubic_down"}, !large {fr.name = "cubic_corners"}) {
  %0 = fr.interpolate %x nearest : (!picture) -> !large
  %1 = fr.interpolate %x nearest : (!picture) -> !small
  %2 = fr.interpolate %x linear : (!picture) -> !large
  %3 = fr.interpolate %x linear : (!picture) -> !small
  %4 = fr.interpolate %x linear {align_corners} : (!picture) -> !large
  %5 = fr.interpolate %x cubic : (!picture) -> !large
  %6 = fr.interpolate %x cubic : (!picture) -> !small
  %7 = fr.interpolate %x cubic {align_corners} : (!picture) -> !large
  return %0, %1, %2, %3, %4, %5, %6, %7 : !large, !small, !large, !small, !large, !large, !small, !large
}

!five = tensor<?x4x5xf32, #fr.dims<B, _, _>>
!more = tensor<?x4x?xf32, #fr.dims<B, _, 3*S>>
func.func @interpolate_1d(%x: !s {fr.name = "x"}, %v: tensor<1x2x2x3x4xf32> {fr.name = "v"})
    -> (!five {fr.name = "linear"}, !more {fr.name = "nearest"}, tensor<1x2x4x6x8xf32> {fr.name = "nearest_3d"},
        tensor<1x2x3x2x7xf32> {fr.name = "linear_3d"}) {
  %0 = fr.interpolate %x linear : (!s) -> !five
  %1 = fr.interpolate %x nearest : (!s) -> !more
  %2 = fr.interpolate %v nearest : (tensor<1x2x2x3x4xf32>) -> tensor<1x2x4x6x8xf32>
  %3 = fr.interpolate %v linear : (tensor<1x2x2x3x4xf32>) -> tensor<1x2x3x2x7xf32>
  return %0, %1, %2, %3 : !five, !more, tensor<1x2x4x6x8xf32>, tensor<1x2x3x2x7xf32>
}

!tile = tensor<2x4x2x3xf32>
func.func @group_norm(%x: !tile {fr.name = "x"}, %w: tensor<4xf32> {fr.name = "w"}, %b: tensor<4xf32> {fr.name = "b"})
    -> (!tile {fr.name = "both"}, !tile {fr.name = "scale"}, !tile {fr.name = "shift"}, !tile {fr.name = "plain"}) {
  %0 = fr.group_norm %x weight %w bias %b groups 2 eps 1.0e-5 : (!tile, tensor<4xf32>, tensor<4xf32>) -> !tile
  %1 = fr.group_norm %x weight %w groups 1 eps 1.0e-5 : (!tile, tensor<4xf32>) -> !tile
  %2 = fr.group_norm %x bias %b groups 4 eps 1.0e-2 : (!tile, tensor<4xf32>) -> !tile
  %3 = fr.group_norm %x groups 2 eps 1.0e-5 : (!tile) -> !tile
  return %0, %1, %2, %3 : !tile, !tile, !tile, !tile
}

!pairs = tensor<?x6x?xf32, #fr.dims<B, _, S>>
func.func @group_norm_1d(%x: !pairs {fr.name = "x"}, %w: tensor<6xf32> {fr.name = "w"}, %b: tensor<6xf32> {fr.name = "b"})
    -> (!pairs {fr.name = "y"}) {
  %0 = fr.group_norm %x weight %w bias %b groups 3 eps 1.0e-3 : (!pairs, tensor<6xf32>, tensor<6xf32>) -> !pairs
  return %0 : !pairs
}

!q = tensor<?x4x?x8xf32, #fr.dims<B, _, S, _>>
!k = tensor<?x2x?x8xf32, #fr.dims<B, _, C + S, _>>
!v = tensor<?x2x?x6xf32, #fr.dims<B, _, C + S, _>>
!o = tensor<?x4x?x6xf32, #fr.dims<B, _, S, _>>
!pad = tensor<?x?xi64, #fr.dims<B, C + S>>
!m = tensor<?x1x?x?xi1, #fr.dims<B, _, S, C + S>>
!bias = tensor<4x?x?xf32, #fr.dims<_, S, C + S>>
!keys = tensor<?x1x1x?xf32, #fr.dims<B, _, _, C + S>>
func.func @attention(%q: !q {fr.name = "q"}, %k: !k {fr.name = "k"}, %v: !v {fr.name = "v"}, %mask: !pad {fr.name = "mask"},
                     %bias: !bias {fr.name = "bias"}, %by_key: !keys {fr.name = "by_key"}, %sinks: tensor<4xf32> {fr.name = "sinks"})
    -> (!o {fr.name = "biased"}, !o {fr.name = "biased_by_key"}, !o {fr.name = "sinks_only"}, !o {fr.name = "everything"}) {
  %m = fr.attention_mask padding %mask : !pad {causal = true} : !m
  %0 = fr.attention %q, %k, %v, %m bias %bias scale 0.25 : (!q, !k, !v, !m, !bias) -> !o
  %1 = fr.attention %q, %k, %v bias %by_key scale 0.25 : (!q, !k, !v, !keys) -> !o
  %2 = fr.attention %q, %k, %v sinks %sinks scale 0.5 : (!q, !k, !v, tensor<4xf32>) -> !o
  %3 = fr.attention %q, %k, %v, %m bias %bias sinks %sinks scale 0.5 {softcap = 3.0} : (!q, !k, !v, !m, !bias, tensor<4xf32>) -> !o
  return %0, %1, %2, %3 : !o, !o, !o, !o
}

func.func @mask_kinds(%mask: !pad {fr.name = "mask"}, %columns: tensor<?xi64, #fr.dims<S>> {fr.name = "columns"})
    -> (!m {fr.name = "two_sided"}, !m {fr.name = "two_sided_unpadded"}, !m {fr.name = "chunks"}, !m {fr.name = "chunks_unpadded"},
        !m {fr.name = "chunks_by_columns"}) {
  %0 = fr.attention_mask padding %mask : !pad {causal = false, window = 3 : i64, two_sided} : !m
  %1 = fr.attention_mask {causal = false, window = 2 : i64, two_sided} : !m
  %2 = fr.attention_mask padding %mask : !pad {causal = true, chunk = 3 : i64} : !m
  %3 = fr.attention_mask {causal = false, chunk = 3 : i64} : !m
  %4 = fr.attention_mask padding %mask : !pad columns %columns : tensor<?xi64, #fr.dims<S>> {causal = true, chunk = 2 : i64} : !m
  return %0, %1, %2, %3, %4 : !m, !m, !m, !m, !m
}

!t = tensor<?x?x4xf32, #fr.dims<B, S, _>>
func.func @proportional(%position_ids: tensor<?x?xi64, #fr.dims<B, S>> {fr.name = "position_ids"}) -> (!t {fr.name = "cos"}, !t {fr.name = "sin"}) {
  %0, %1 = fr.rope_table proportional %position_ids dim 8 theta 100.0 {angles = 3 : i64, attention_scaling = 1.25}
      : (tensor<?x?xi64, #fr.dims<B, S>>) -> (!t, !t)
  return %0, %1 : !t, !t
}

!two = tensor<?x?x2xf32, #fr.dims<B, S, _>>
!two_n = tensor<?x?x2xi64, #fr.dims<B, S, _>>
!router = tensor<?x?x5xf32, #fr.dims<B, S, _>>
!up = tensor<5x4x8xf32>
!down = tensor<5x8x4xf32>
!inner = tensor<5x4xf32>
!outer = tensor<5x8xf32>
func.func @moe(%x: !x {fr.name = "x"}, %router: !router {fr.name = "router"}, %gate: !up {fr.name = "gate"}, %up: !up {fr.name = "up"},
               %down: !down {fr.name = "down"}, %gate_bias: !inner {fr.name = "gate_bias"}, %up_bias: !inner {fr.name = "up_bias"},
               %down_bias: !outer {fr.name = "down_bias"})
    -> (!x {fr.name = "silu"}, !x {fr.name = "clamped"}, !x {fr.name = "scores_first"}, !x {fr.name = "no_gate"}, !x {fr.name = "gelu"},
        !x {fr.name = "gelu_tanh"}, !x {fr.name = "relu"}) {
  %chosen, %at = fr.top_k %router k 2 : (!router) -> (!two, !two_n)
  %scores = fr.softmax %chosen axis 2 : (!two) -> !two
  %0 = fr.moe %x, %at, %scores gate %gate up %up down %down silu : (!x, !two_n, !two, !up, !up, !down) -> !x
  %1 = fr.moe %x, %at, %scores gate %gate bias %gate_bias up %up bias %up_bias down %down bias %down_bias silu
      {alpha = 1.702, shift = 1.0, limit = 2.0} : (!x, !two_n, !two, !up, !up, !down, !inner, !inner, !outer) -> !x
  %2 = fr.moe %x, %at, %scores gate %gate up %up down %down bias %down_bias silu {scores_first} : (!x, !two_n, !two, !up, !up, !down, !outer) -> !x
  %3 = fr.moe %x, %at, %scores up %up bias %up_bias down %down relu2 : (!x, !two_n, !two, !up, !down, !inner) -> !x
  %4 = fr.moe %x, %at, %scores gate %gate up %up down %down gelu : (!x, !two_n, !two, !up, !up, !down) -> !x
  %5 = fr.moe %x, %at, %scores gate %gate up %up down %down gelu_tanh : (!x, !two_n, !two, !up, !up, !down) -> !x
  %6 = fr.moe %x, %at, %scores gate %gate up %up down %down bias %down_bias relu : (!x, !two_n, !two, !up, !up, !down, !outer) -> !x
  return %0, %1, %2, %3, %4, %5, %6 : !x, !x, !x, !x, !x, !x, !x
}
