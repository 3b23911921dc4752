// One wrong module per diagnostic of ir/FrOps.cpp, and of #fr.dims.
// RUN: flagrelease-opt %s --split-input-file --verify-diagnostics

fr.weights @source {
  // expected-error @+1 {{a family of tensors has '{e}' in its name and a count, a single tensor has neither}}
  fr.weight @w family 4 : tensor<4x8xf32>
}

// -----

fr.weights @source {
  // expected-error @+1 {{a family of tensors has '{e}' in its name and a count, a single tensor has neither}}
  fr.weight @"w.{e}" : tensor<4x8xf32>
}

// -----

// expected-error @+1 {{'fr.param' op yields nothing}}
fr.param @p : tensor<4xf32> {
}

// -----

fr.weights @source {
  fr.weight @w : tensor<4xf32>
}
// expected-error @+1 {{'fr.param' op is declared as 'tensor<4xbf16>' but yields 'tensor<4xf32>'}}
fr.param @p : tensor<4xbf16> {
  %0 = fr.get @source::@w : tensor<4xf32>
  fr.yield %0 : tensor<4xf32>
}

// -----

fr.param @p : tensor<4xf32> {
  // expected-error @+1 {{'fr.get' op names no weight: @source::@w}}
  %0 = fr.get @source::@w : tensor<4xf32>
  fr.yield %0 : tensor<4xf32>
}

// -----

fr.weights @source {
  fr.weight @w : tensor<4xf16>
}
fr.param @p : tensor<4xf32> {
  // expected-error @+1 {{'fr.get' op has type 'tensor<4xf32>' but the weight has 'tensor<4xf16>'}}
  %0 = fr.get @source::@w : tensor<4xf32>
  fr.yield %0 : tensor<4xf32>
}

// -----

func.func @f() -> tensor<4xf32> {
  // expected-error @+1 {{'fr.use' op names no param: @p}}
  %0 = fr.use @p : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

fr.weights @source {
  fr.weight @w : tensor<4xf16>
}
fr.param @p : tensor<4xf16> {
  %0 = fr.get @source::@w : tensor<4xf16>
  fr.yield %0 : tensor<4xf16>
}
func.func @f() -> tensor<4xf32> {
  // expected-error @+1 {{'fr.use' op has type 'tensor<4xf32>' but the param has 'tensor<4xf16>'}}
  %0 = fr.use @p : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// expected-error @+1 {{'fr.state' op grows along axis 2 of 'tensor<2x4xf32>'}}
fr.state @k kv layer 0 part "key" axis 2 : tensor<2x4xf32>

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @+1 {{'fr.state.append' op names no state: @k}}
  %0 = fr.state.append @k, %x : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

fr.state @k kv layer 0 part "key" axis 0 : tensor<?xf32, #fr.dims<P>>
func.func @f(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-error @+1 {{value and state differ in rank}}
  %0 = fr.state.append @k, %x : (tensor<4x4xf32>) -> tensor<4x4xf32>
  return %0 : tensor<4x4xf32>
}

// -----

fr.state @k kv layer 0 part "key" axis 0 : tensor<?xf16, #fr.dims<P>>
func.func @f(%x: tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<P + S>> {
  // expected-error @+1 {{appends 'f32' to a state of 'f16'}}
  %0 = fr.state.append @k, %x : (tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<P + S>>
  return %0 : tensor<?xf32, #fr.dims<P + S>>
}

// -----

fr.state @k kv layer 0 part "key" axis 0 : tensor<?xf32, #fr.dims<P>>
func.func @f(%x: tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<S>> {
  // expected-error @+1 {{appends 'tensor<?xf32, #fr.dims<S>>' to 'tensor<?xf32, #fr.dims<P>>' but returns 'tensor<?xf32, #fr.dims<S>>'}}
  %0 = fr.state.append @k, %x : (tensor<?xf32, #fr.dims<S>>) -> tensor<?xf32, #fr.dims<S>>
  return %0 : tensor<?xf32, #fr.dims<S>>
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<3xf32>) {
  // expected-error @+2 {{sizes 4 and 3 do not broadcast}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.add %x, %y : (tensor<4xf32>, tensor<3xf32>) -> tensor<4xf32>
  return
}

// -----

// Two symbols may be equal at run time; nothing here says so.
func.func @f(%x: tensor<?xf32, #fr.dims<S>>, %y: tensor<?xf32, #fr.dims<P>>) {
  // expected-error @+2 {{sizes S and P do not broadcast}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.compare lt %x, %y : (tensor<?xf32, #fr.dims<S>>, tensor<?xf32, #fr.dims<P>>) -> tensor<?xi1, #fr.dims<S>>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<4xbf16>) {
  // expected-error @+2 {{inferred type(s) 'tensor<4xf32>' are incompatible with return type(s) of operation 'tensor<4xbf16>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.add %x, %y : (tensor<4xf32>, tensor<4xbf16>) -> tensor<4xbf16>
  return
}

// -----

func.func @f(%c: tensor<4xi64>, %x: tensor<4xf32>) {
  // expected-error @+2 {{a condition is i1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.select %c, %x, %x : (tensor<4xi64>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'fr.cast' op changes sizes from 'tensor<4xf32>' to 'tensor<5xf16>'}}
  %0 = fr.cast %x : (tensor<4xf32>) -> tensor<5xf16>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'fr.reshape' op changes the element type from 'f32' to 'f16'}}
  %0 = fr.reshape %x : (tensor<4xf32>) -> tensor<2x2xf16>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{'fr.reshape' op changes the element count from}}
  %0 = fr.reshape %x : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x3xf32, #fr.dims<S, _>>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{'fr.reshape' op changes the element count from}}
  %0 = fr.reshape %x : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x2xf32, #fr.dims<3*S, _>>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{'fr.reshape' op changes the element count from}}
  %0 = fr.reshape %x : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x4xf32, #fr.dims<P, _>>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @+2 {{axis 2 is outside a tensor of rank 2}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.transpose %x [0, 2] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @+2 {{permutation names dimension 0 twice}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.transpose %x [0, 0] : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>) {
  // expected-error @+2 {{permutation has 1 entries for rank 2}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.transpose %x [0] : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+2 {{slice [2, 5) of a size 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.slice %x axis 0 start 2 size 3 : (tensor<4xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%x: tensor<?xf32, #fr.dims<S>>) {
  // expected-error @+2 {{slice [0, 1) of a size S}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.slice %x axis 0 start 0 size 1 : (tensor<?xf32, #fr.dims<S>>) -> tensor<1xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+2 {{axis -1 is outside a tensor of rank 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.slice %x axis -1 start 0 size 1 : (tensor<4xf32>) -> tensor<1xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+2 {{concat of nothing}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = "fr.concat"() {axis = 0 : i64} : () -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<4x4xf32>) {
  // expected-error @+2 {{concat of ranks 1 and 2}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.concat %x, %y axis 0 : (tensor<4xf32>, tensor<4x4xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %y: tensor<4xf16>) {
  // expected-error @+2 {{concat of different element types}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.concat %x, %y axis 0 : (tensor<4xf32>, tensor<4xf16>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x2xf32>, %y: tensor<4x3xf32>) {
  // expected-error @+2 {{concat of sizes 2 and 3}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.concat %x, %y axis 0 : (tensor<4x2xf32>, tensor<4x3xf32>) -> tensor<8x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x2xf32>, %i: tensor<4xf32>) {
  // expected-error @+2 {{indices are integers}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.gather %x[%i] axis 0 : (tensor<4x2xf32>, tensor<4xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x2xf32>, %i: tensor<4xi64>) {
  // expected-error @+2 {{batch_dims 1 does not fit axis 0}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.gather %x[%i] axis 0 {batch_dims = 1 : i64} : (tensor<4x2xf32>, tensor<4xi64>) -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x2xf32>, %i: tensor<3x1xi64>) {
  // expected-error @+2 {{batch sizes 4 and 3 differ}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.gather %x[%i] axis 1 {batch_dims = 1 : i64} : (tensor<4x2xf32>, tensor<3x1xi64>) -> tensor<4x1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x2xf32>, %i: tensor<1x1xi64>) {
  // expected-error @+2 {{scatter takes a vector of i64 places}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.scatter %x[%i], %x axis 0 : (tensor<4x2xf32>, tensor<1x1xi64>, tensor<4x2xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%x: tensor<4x2xf32>, %i: tensor<3xi64>, %u: tensor<3x1xf32>) {
  // expected-error @+2 {{updates do not fit 3 places along axis 0}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.scatter %x[%i], %u axis 0 : (tensor<4x2xf32>, tensor<3xi64>, tensor<3x1xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'fr.iota' op returns an i64 vector, not 'tensor<4xf32>'}}
  %0 = fr.iota : tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'fr.size' op 'P * 2' is no size}}
  %0 = fr.size "P * 2" : tensor<i64>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'fr.size' op returns an i64 scalar, not 'tensor<1xi64>'}}
  %0 = fr.size "P" : tensor<1xi64>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+2 {{axis 1 is outside a tensor of rank 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.cumsum %x axis 1 : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xi1>) {
  // expected-error @+2 {{adds numbers, not truth values: cast them first}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.cumsum %x axis 0 : (tensor<4xi1>) -> tensor<4xi1>
  return
}

// -----

func.func @f(%ids: tensor<2xf32>, %t: tensor<4x2xf32>) {
  // expected-error @+2 {{ids are integers}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.embedding %ids, %t : (tensor<2xf32>, tensor<4x2xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @f(%ids: tensor<2xi64>, %t: tensor<4xf32>) {
  // expected-error @+2 {{an embedding table has rank 2, not 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.embedding %ids, %t : (tensor<2xi64>, tensor<4xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4xf32>, %w: tensor<4xf32>) {
  // expected-error @+2 {{a linear weight has rank 2, not 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.linear %x, %w : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4xf32>, %w: tensor<8x5xf32>) {
  // expected-error @+2 {{input has 4 features, the weight takes 5}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.linear %x, %w : (tensor<2x4xf32>, tensor<8x5xf32>) -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4xf32>, %w: tensor<8x4xf32>, %b: tensor<7xf32>) {
  // expected-error @+2 {{bias and weight [8, 4] do not fit}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.linear %x, %w, %b : (tensor<2x4xf32>, tensor<8x4xf32>, tensor<7xf32>) -> tensor<2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4xf32>, %y: tensor<5x2xf32>) {
  // expected-error @+2 {{inner sizes do not fit}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.matmul %x, %y : (tensor<2x4xf32>, tensor<5x2xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4xf32>, %w: tensor<3xf32>) {
  // expected-error @+2 {{scale and features differ: 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.rms_norm %x, %w eps 1.0e-06 : (tensor<2x4xf32>, tensor<3xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4xf32>, %w: tensor<4xf32>, %b: tensor<3xf32>) {
  // expected-error @+2 {{scale and features differ: 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.layer_norm %x weight %w bias %b eps 1.0e-06 : (tensor<2x4xf32>, tensor<4xf32>, tensor<3xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%p: tensor<2x4xi64>) {
  // expected-error @+2 {{rotary size 3 is not even and positive}}
  // expected-error @+1 {{failed to infer returned types}}
  %c, %s = fr.rope_table default %p dim 3 theta 1.0e+04 : (tensor<2x4xi64>) -> (tensor<2x4x1xf32>, tensor<2x4x1xf32>)
  return
}

// -----

func.func @f(%p: tensor<2x4xi64>) {
  // expected-error @+1 {{'fr.rope_table' op of kind linear needs factor}}
  %c, %s = fr.rope_table linear %p dim 4 theta 1.0e+04 : (tensor<2x4xi64>) -> (tensor<2x4x2xf32>, tensor<2x4x2xf32>)
  return
}

// -----

func.func @f(%p: tensor<2x4xi64>) {
  // expected-error @+1 {{'fr.rope_table' op of kind dynamic needs original_max}}
  %c, %s = fr.rope_table dynamic %p dim 4 theta 1.0e+04 {factor = 2.0} : (tensor<2x4xi64>) -> (tensor<2x4x2xf32>, tensor<2x4x2xf32>)
  return
}

// -----

func.func @f(%p: tensor<2x4xi64>) {
  // expected-error @+1 {{'fr.rope_table' op of kind llama3 needs low_freq_factor}}
  %c, %s = fr.rope_table llama3 %p dim 4 theta 1.0e+04 {factor = 2.0} : (tensor<2x4xi64>) -> (tensor<2x4x2xf32>, tensor<2x4x2xf32>)
  return
}

// -----

func.func @f(%p: tensor<2x4xi64>) {
  // expected-error @+1 {{'fr.rope_table' op of kind yarn needs beta_fast}}
  %c, %s = fr.rope_table yarn %p dim 4 theta 1.0e+04 {factor = 2.0} : (tensor<2x4xi64>) -> (tensor<2x4x2xf32>, tensor<2x4x2xf32>)
  return
}

// -----

func.func @f(%p: tensor<2x4xi64>) {
  // expected-error @+1 {{'fr.rope_table' op of kind longrope needs short_factor}}
  %c, %s = fr.rope_table longrope %p dim 4 theta 1.0e+04 : (tensor<2x4xi64>) -> (tensor<2x4x2xf32>, tensor<2x4x2xf32>)
  return
}

// -----

func.func @f(%p: tensor<2x4xi64>) {
  // expected-error @+1 {{'fr.rope_table' op needs 2 factors, has 1 short and 2 long}}
  %c, %s = fr.rope_table longrope %p dim 4 theta 1.0e+04 {short_factor = array<f64: 1.0>, long_factor = array<f64: 1.0, 1.0>, original_max = 8 : i64} : (tensor<2x4xi64>) -> (tensor<2x4x2xf32>, tensor<2x4x2xf32>)
  return
}

// -----

func.func @f(%x: tensor<1x2x4x4xf32>, %c: tensor<1x4x3xf32>) {
  // expected-error @+2 {{rotary tables do not fit the heads}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.rope %x, %c, %c : (tensor<1x2x4x4xf32>, tensor<1x4x3xf32>, tensor<1x4x3xf32>) -> tensor<1x2x4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x2x4x4xf32>, %c: tensor<1x4x2xf32>, %s: tensor<1x4x1xf32>) {
  // expected-error @+2 {{cosines and sines differ in type}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.rope %x, %c, %s : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x1xf32>) -> tensor<1x2x4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x2x4x4xf32>, %c: tensor<2x4x2xf32>) {
  // expected-error @+2 {{rotary tables for batch 2, heads of batch 3}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.rope %x, %c, %c : (tensor<3x2x4x4xf32>, tensor<2x4x2xf32>, tensor<2x4x2xf32>) -> tensor<3x2x4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x2x4x4xf32>, %c: tensor<1x5x2xf32>) {
  // expected-error @+2 {{positions 5 and tokens 4 differ}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.rope %x, %c, %c : (tensor<1x2x4x4xf32>, tensor<1x5x2xf32>, tensor<1x5x2xf32>) -> tensor<1x2x4x4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'fr.attention_mask' op returns i1 [B, 1, S, T], not 'tensor<1x2x4x4xi1>'}}
  %0 = fr.attention_mask {causal = true} : tensor<1x2x4x4xi1>
  return
}

// -----

func.func @f(%p: tensor<1x5xi64>) {
  // expected-error @+1 {{padding is i64 [B, T] of 'tensor<1x1x4x4xi1>', not 'tensor<1x5xi64>'}}
  %0 = fr.attention_mask padding %p : tensor<1x5xi64> {causal = true} : tensor<1x1x4x4xi1>
  return
}

// -----

func.func @f(%c: tensor<5xi64>) {
  // expected-error @+1 {{columns are i64 [S] of 'tensor<1x1x4x4xi1>', not 'tensor<5xi64>'}}
  %0 = fr.attention_mask columns %c : tensor<5xi64> {causal = true} : tensor<1x1x4x4xi1>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{has a window of 0: no query would see anything}}
  %0 = fr.attention_mask {causal = true, window = 0 : i64} : tensor<1x1x4x4xi1>
  return
}

// -----

func.func @f(%q: tensor<2x4x4xf32>) {
  // expected-error @+2 {{heads have rank 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %q, %q scale 1.0 : (tensor<2x4x4xf32>, tensor<2x4x4xf32>, tensor<2x4x4xf32>) -> tensor<2x4x4xf32>
  return
}

// -----

func.func @f(%q: tensor<1x4x3x4xf32>, %k: tensor<1x2x3x8xf32>) {
  // expected-error @+2 {{q, k and v do not fit}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %k, %k scale 1.0 : (tensor<1x4x3x4xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>) -> tensor<1x4x3x8xf32>
  return
}

// -----

func.func @f(%q: tensor<1x4x3x4xf32>, %k: tensor<1x3x3x4xf32>) {
  // expected-error @+2 {{4 query heads do not share 3 key heads evenly}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %k, %k scale 1.0 : (tensor<1x4x3x4xf32>, tensor<1x3x3x4xf32>, tensor<1x3x3x4xf32>) -> tensor<1x4x3x4xf32>
  return
}

// -----

func.func @f(%q: tensor<1x4x3x4xf32>, %m: tensor<1x1x3x3xf32>) {
  // expected-error @+2 {{a mask is i1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %q, %q, %m scale 1.0 : (tensor<1x4x3x4xf32>, tensor<1x4x3x4xf32>, tensor<1x4x3x4xf32>, tensor<1x1x3x3xf32>) -> tensor<1x4x3x4xf32>
  return
}

// -----

func.func @f(%q: tensor<3x4x3x4xf32>, %m: tensor<2x1x3x3xi1>) {
  // expected-error @+2 {{the mask has [2, 1] rows for batch 3}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %q, %q, %m scale 1.0 : (tensor<3x4x3x4xf32>, tensor<3x4x3x4xf32>, tensor<3x4x3x4xf32>, tensor<2x1x3x3xi1>) -> tensor<3x4x3x4xf32>
  return
}

// -----

func.func @f(%q: tensor<1x4x3x4xf32>, %m: tensor<1x1x3x4xi1>) {
  // expected-error @+2 {{the mask does not fit 3 queries and 3 keys}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %q, %q, %m scale 1.0 : (tensor<1x4x3x4xf32>, tensor<1x4x3x4xf32>, tensor<1x4x3x4xf32>, tensor<1x1x3x4xi1>) -> tensor<1x4x3x4xf32>
  return
}

// -----

// A dynamic size needs a name wherever a value of the dialect is made or taken.
func.func @f(%x: tensor<?xf32>) {
  // expected-error @+1 {{must be ranked tensor whose dynamic sizes are named by #fr.dims, but got 'tensor<?xf32>'}}
  %0 = fr.exp %x : (tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'fr.unpack' op words are i32 or ui8, not 'f32'}}
  %0 = fr.unpack %x bits 4 low_first axis 0 : (tensor<4xf32>) -> tensor<8xui8>
  return
}

// -----

func.func @f(%x: tensor<4xi32>) {
  // expected-error @+1 {{'fr.unpack' op small integers are i8 or ui8, not 'i32'}}
  %0 = fr.unpack %x bits 4 low_first axis 0 : (tensor<4xi32>) -> tensor<8xi32>
  return
}

// -----

func.func @f(%x: tensor<4xi32>) {
  // expected-error @+1 {{cannot hold integers of 9 bits in words of 32 bits in order low_first}}
  %0 = fr.unpack %x bits 9 low_first axis 0 : (tensor<4xi32>) -> tensor<8xui8>
  return
}

// -----

func.func @f(%x: tensor<4xi32>) {
  // expected-error @+1 {{cannot hold integers of 3 bits in words of 32 bits in order high_first}}
  %0 = fr.unpack %x bits 3 high_first axis 0 : (tensor<4xi32>) -> tensor<8xui8>
  return
}

// -----

func.func @f(%x: tensor<4xui8>) {
  // expected-error @+1 {{cannot hold integers of 4 bits in words of 8 bits in order awq}}
  %0 = fr.unpack %x bits 4 awq axis 0 : (tensor<4xui8>) -> tensor<8xui8>
  return
}

// -----

func.func @f(%x: tensor<4xi32>) {
  // expected-error @+1 {{'fr.unpack' op axis 1 of 'tensor<4xi32>' and 'tensor<8xui8>'}}
  %0 = fr.unpack %x bits 4 low_first axis 1 : (tensor<4xi32>) -> tensor<8xui8>
  return
}

// -----

func.func @f(%x: tensor<?xi32, #fr.dims<S>>) {
  // expected-error @+1 {{'fr.unpack' op sizes of weights are numbers}}
  %0 = fr.unpack %x bits 4 low_first axis 0 : (tensor<?xi32, #fr.dims<S>>) -> tensor<8xui8>
  return
}

// -----

func.func @f(%x: tensor<2x4xi32>) {
  // expected-error @+1 {{'fr.unpack' op changes a size other than that of axis 1}}
  %0 = fr.unpack %x bits 4 low_first axis 1 : (tensor<2x4xi32>) -> tensor<3x8xui8>
  return
}

// -----

func.func @f(%x: tensor<4xi32>) {
  // expected-error @+1 {{'fr.unpack' op takes 33 integers of 4 bits out of 4 words}}
  %0 = fr.unpack %x bits 4 low_first axis 0 : (tensor<4xi32>) -> tensor<33xui8>
  return
}

// -----

func.func @f(%x: tensor<4xi32>) {
  // expected-error @+1 {{'fr.unpack' op gives ui8, not 'i8'}}
  %0 = fr.unpack %x bits 4 low_first axis 0 : (tensor<4xi32>) -> tensor<32xi8>
  return
}

// -----

func.func @f(%x: tensor<16xi8>) {
  // expected-error @+1 {{'fr.pack' op puts 16 integers of 4 bits into 3 words}}
  %0 = fr.pack %x bits 4 low_first axis 0 : (tensor<16xi8>) -> tensor<3xi32>
  return
}

// -----

func.func @f(%x: tensor<4x8xi8>, %s: tensor<1xf32>) {
  // expected-error @+1 {{blocks of rank 1 for a tensor of rank 2}}
  %0 = fr.dequantize %x, %s blocks [8] : (tensor<4x8xi8>, tensor<1xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xi8>, %s: tensor<4x1xf32>) {
  // expected-error @+1 {{blocks of size 0 along a size 8}}
  %0 = fr.dequantize %x, %s blocks [1, 0] : (tensor<4x8xi8>, tensor<4x1xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xi8>, %s: tensor<4x1xf32>) {
  // expected-error @+1 {{'fr.dequantize' op has one scale or zero for each block of 'tensor<4x8xi8>', not 'tensor<4x1xf32>'}}
  %0 = fr.dequantize %x, %s blocks [1, 3] : (tensor<4x8xi8>, tensor<4x1xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xi8>, %s: tensor<4x1xf32>, %z: tensor<1x4xui8>) {
  // expected-error @+1 {{'fr.dequantize' op has one scale or zero for each block of 'tensor<4x8xi8>', not 'tensor<1x4xui8>'}}
  %0 = fr.dequantize %x, %s, %z blocks [1, 8] : (tensor<4x8xi8>, tensor<4x1xf32>, tensor<1x4xui8>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xi8>, %s: tensor<4x1xf32>) {
  // expected-error @+1 {{'fr.dequantize' op gives f32 of the sizes of x, not 'tensor<4x8xbf16>'}}
  %0 = fr.dequantize %x, %s blocks [1, 8] : (tensor<4x8xi8>, tensor<4x1xf32>) -> tensor<4x8xbf16>
  return
}

// -----

func.func @f(%x: tensor<4x8xi8>, %s: tensor<4x1xi32>) {
  // expected-error @+1 {{'fr.dequantize' op scales are floats, not 'i32'}}
  %0 = fr.dequantize %x, %s blocks [1, 8] : (tensor<4x8xi8>, tensor<4x1xi32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xi32>) {
  // expected-error @+2 {{scales of floats}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.quant_scale %x abs_max range -8.0 to 7.0 blocks [1, 8] : (tensor<4x8xi32>) -> tensor<4x1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+2 {{no scale for the range -8 to 0}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.quant_scale %x abs_max range -8.0 to 0.0 blocks [1, 8] : (tensor<4x8xf32>) -> tensor<4x1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+2 {{no scale for the range 0 to 15}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.quant_scale %x signed_max range 0.0 to 15.0 blocks [1, 8] : (tensor<4x8xf32>) -> tensor<4x1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+2 {{no scale for the range 9 to 8.5}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.quant_scale %x min_max range 9.0 to 8.5 blocks [1, 8] : (tensor<4x8xf32>) -> tensor<4x1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+2 {{blocks of size -1 along a size 8}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.quant_scale %x abs_max range -8.0 to 7.0 blocks [1, -1] : (tensor<4x8xf32>) -> tensor<4x1xf32>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<4x2xf32>) {
  // expected-error @+2 {{one scale for each block of floats}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.quant_zero %x, %s range 0.0 to 15.0 blocks [1, 8] : (tensor<4x8xf32>, tensor<4x2xf32>) -> tensor<4x1xui8>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<4x1xf32>) {
  // expected-error @+2 {{range -8 to 7 is none of ui8}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.quant_zero %x, %s range -8.0 to 7.0 blocks [1, 8] : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x1xui8>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<4x1xf32>) {
  // expected-error @+1 {{'fr.quantize' op gives i8, ui8 or an 8-bit float of the sizes of x, not 'tensor<4x8xi16>'}}
  %0 = fr.quantize %x, %s range -8.0 to 7.0 blocks [1, 8] : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xi16>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<4x1xf32>) {
  // expected-error @+1 {{'fr.quantize' op range -8.000000e+00 to 7.000000e+00 is none of 'ui8'}}
  %0 = fr.quantize %x, %s range -8.0 to 7.0 blocks [1, 8] : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xui8>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<4x1xf32>) {
  // expected-error @+1 {{'fr.quantize' op range 0.000000e+00 to 1.280000e+02 is none of 'i8'}}
  %0 = fr.quantize %x, %s range 0.0 to 128.0 blocks [1, 8] : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xi8>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<4x1xf32>) {
  // expected-error @+1 {{'fr.quantize' op range 7.000000e+00 to -8.000000e+00 is none of 'i8'}}
  %0 = fr.quantize %x, %s range 7.0 to -8.0 blocks [1, 8] : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xi8>
  return
}

// -----

func.func @f(%x: tensor<4x8xf32>, %s: tensor<4x2xf32>) {
  // expected-error @+1 {{'fr.quantize' op has one scale or zero for each block of 'tensor<4x8xf32>', not 'tensor<4x2xf32>'}}
  %0 = fr.quantize %x, %s range -8.0 to 7.0 blocks [1, 8] : (tensor<4x8xf32>, tensor<4x2xf32>) -> tensor<4x8xi8>
  return
}

// -----

func.func @f(%x: tensor<4x8xi32>, %s: tensor<4x1xf32>) {
  // expected-error @+1 {{'fr.quantize' op x and scales are floats, not 'tensor<4x8xi32>' and 'tensor<4x1xf32>'}}
  %0 = fr.quantize %x, %s range -8.0 to 7.0 blocks [1, 8] : (tensor<4x8xi32>, tensor<4x1xf32>) -> tensor<4x8xi8>
  return
}

// -----

fr.weights @source {
  fr.weight @w : tensor<2x32xf32>
}
fr.param @p : tensor<2x18xui8> {
  %0 = fr.get @source::@w : tensor<2x32xf32>
  // expected-error @+1 {{'fr.encode' op 'q4_9' is no block format}}
  %1 = fr.encode %0 "q4_9" : (tensor<2x32xf32>) -> tensor<2x18xui8>
  fr.yield %1 : tensor<2x18xui8>
}

// -----

fr.weights @source {
  fr.weight @w : tensor<3x32xf32>
}
fr.param @p : tensor<2x18xui8> {
  %0 = fr.get @source::@w : tensor<3x32xf32>
  // expected-error @+1 {{'fr.encode' op rows of 'tensor<3x32xf32>' and of 'tensor<2x18xui8>' do not correspond}}
  %1 = fr.encode %0 "q4_0" : (tensor<3x32xf32>) -> tensor<2x18xui8>
  fr.yield %1 : tensor<2x18xui8>
}

// -----

fr.weights @source {
  fr.weight @w : tensor<2x33xf32>
}
fr.param @p : tensor<2x18xui8> {
  %0 = fr.get @source::@w : tensor<2x33xf32>
  // expected-error @+1 {{'fr.encode' op a row of 33 numbers is not 18 bytes of q4_0 (32 numbers in 18 bytes)}}
  %1 = fr.encode %0 "q4_0" : (tensor<2x33xf32>) -> tensor<2x18xui8>
  fr.yield %1 : tensor<2x18xui8>
}

// -----

fr.weights @source {
  fr.weight @w : tensor<2x32xf32>
}
fr.param @p : tensor<2x18xi8> {
  %0 = fr.get @source::@w : tensor<2x32xf32>
  // expected-error @+1 {{'fr.encode' op blocks are ui8 and numbers are floats}}
  %1 = fr.encode %0 "q4_0" : (tensor<2x32xf32>) -> tensor<2x18xi8>
  fr.yield %1 : tensor<2x18xi8>
}

// -----

fr.weights @source {
  fr.weight @w : tensor<2x18xui8>
}
fr.param @p : tensor<2x32xbf16> {
  %0 = fr.get @source::@w : tensor<2x18xui8>
  // expected-error @+1 {{'fr.decode' op gives f32, not 'bf16'}}
  %1 = fr.decode %0 "q4_0" : (tensor<2x18xui8>) -> tensor<2x32xbf16>
  fr.yield %1 : tensor<2x32xbf16>
}

// -----

fr.weights @source {
  fr.weight @w : tensor<2x17xui8>
}
fr.param @p : tensor<2x32xf32> {
  %0 = fr.get @source::@w : tensor<2x17xui8>
  // expected-error @+1 {{'fr.decode' op a row of 32 numbers is not 17 bytes of q4_0 (32 numbers in 18 bytes)}}
  %1 = fr.decode %0 "q4_0" : (tensor<2x17xui8>) -> tensor<2x32xf32>
  fr.yield %1 : tensor<2x32xf32>
}

// -----

func.func @f(%x: tensor<2x32xf32>) {
  // expected-error @+1 {{'fr.encode' op expects parent op 'fr.param'}}
  %0 = fr.encode %x "q4_0" : (tensor<2x32xf32>) -> tensor<2x18xui8>
  return
}
