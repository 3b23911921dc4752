// VARIANT opset=13
// VARIANT opset=17 refuse=Split,Where,Unsqueeze
// VARIANT opset=17 refuse_f64=true
// VARIANT opset=23
// VARIANT opset=23 table=ort_cpu
!ids = tensor<?x?xi64, #fr.dims<B, S>>
!t = tensor<?x?x4xf32, #fr.dims<B, S, _>>
!q = tensor<?x3x?x8xf32, #fr.dims<B, _, S, _>>

func.func @tables(%position_ids: !ids {fr.name = "position_ids"})
    -> (!t {fr.name = "default.cos"}, !t {fr.name = "default.sin"}, !t {fr.name = "linear.cos"}, !t {fr.name = "linear.sin"},
        !t {fr.name = "llama3.cos"}, !t {fr.name = "llama3.sin"}, !t {fr.name = "yarn.cos"}, !t {fr.name = "yarn.sin"}) {
  %0:2 = fr.rope_table default %position_ids dim 8 theta 1.0e4 : (!ids) -> (!t, !t)
  %1:2 = fr.rope_table linear %position_ids dim 8 theta 1.0e4 {factor = 4.0 : f64} : (!ids) -> (!t, !t)
  %2:2 = fr.rope_table llama3 %position_ids dim 8 theta 5.0e5 {factor = 8.0 : f64, low_freq_factor = 1.0 : f64, high_freq_factor = 4.0 : f64, original_max = 32 : i64} : (!ids) -> (!t, !t)
  %3:2 = fr.rope_table yarn %position_ids dim 8 theta 1.0e4 {factor = 4.0 : f64, beta_fast = 32.0 : f64, beta_slow = 1.0 : f64, original_max = 64 : i64, attention_scaling = 1.1386294361119891 : f64} : (!ids) -> (!t, !t)
  return %0#0, %0#1, %1#0, %1#1, %2#0, %2#1, %3#0, %3#1 : !t, !t, !t, !t, !t, !t, !t, !t
}

// original_max 8: the calls of 1 and 7 tokens stay within it, that of 24 does not.
func.func @by_length(%position_ids: !ids {fr.name = "position_ids"})
    -> (!t {fr.name = "dynamic.cos"}, !t {fr.name = "dynamic.sin"}, !t {fr.name = "longrope.cos"}, !t {fr.name = "longrope.sin"}) {
  %0:2 = fr.rope_table dynamic %position_ids dim 8 theta 1.0e4 {factor = 2.0 : f64, original_max = 8 : i64} : (!ids) -> (!t, !t)
  %1:2 = fr.rope_table longrope %position_ids dim 8 theta 1.0e4 {original_max = 8 : i64, short_factor = array<f64: 1.0, 1.1, 1.2, 1.3>, long_factor = array<f64: 2.0, 3.0, 4.0, 5.0>, attention_scaling = 1.2 : f64} : (!ids) -> (!t, !t)
  return %0#0, %0#1, %1#0, %1#1 : !t, !t, !t, !t
}

func.func @rope(%q: !q {fr.name = "q"}, %position_ids: !ids {fr.name = "position_ids"})
    -> (!q {fr.name = "half"}, !q {fr.name = "interleaved"}, !q {fr.name = "partial"}, !q {fr.name = "partial_interleaved"}) {
  %0:2 = fr.rope_table default %position_ids dim 8 theta 1.0e4 : (!ids) -> (!t, !t)
  %1:2 = fr.rope_table default %position_ids dim 4 theta 1.0e4 : (!ids) -> (tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>)
  %2 = fr.rope %q, %0#0, %0#1 : (!q, !t, !t) -> !q
  %3 = fr.rope %q, %0#0, %0#1 {interleaved} : (!q, !t, !t) -> !q
  %4 = fr.rope %q, %1#0, %1#1 : (!q, tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>) -> !q
  %5 = fr.rope %q, %1#0, %1#1 {interleaved} : (!q, tensor<?x?x2xf32, #fr.dims<B, S, _>>, tensor<?x?x2xf32, #fr.dims<B, S, _>>) -> !q
  return %2, %3, %4, %5 : !q, !q, !q, !q
}
