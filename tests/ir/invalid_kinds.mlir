// One wrong module per diagnostic of what the kinds of models brought: FrControlOps.cpp, FrLayerOps.cpp, FrTensorOps.cpp, FrWeightOps.cpp.
// RUN: flagrelease-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{'fr.narrow' op 'S -' is no size}}
  %0 = fr.narrow %x axis 0 start "S -" size "1" : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<1x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{'fr.narrow' op '1 1' is no size}}
  %0 = fr.narrow %x axis 0 start "0" size "1 1" : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<1x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{axis 2 is outside a tensor of rank 2}}
  %0 = fr.narrow %x axis 2 start "0" size "1" : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<1x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{starts at -1}}
  %0 = fr.narrow %x axis 0 start "-1" size "1" : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<1x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{takes [1, S + 1) of a size S}}
  %0 = fr.narrow %x axis 0 start "1" size "S" : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x4xf32, #fr.dims<S, _>>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{gives 'tensor<?x2xf32, #fr.dims<S, _>>', not 'tensor<?x4xf32, #fr.dims<S, _>>'}}
  %0 = fr.narrow %x axis 1 start "0" size "2" : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x4xf32, #fr.dims<S, _>>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{cannot make 'tensor<4xf32>' of 'tensor<?x4xf32, #fr.dims<S, _>>'}}
  %0 = fr.broadcast %x : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4xf32>) {
  // expected-error @+1 {{cannot make 'tensor<3x4xf16>' of 'tensor<1x4xf32>'}}
  %0 = fr.broadcast %x : (tensor<1x4xf32>) -> tensor<3x4xf16>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+1 {{cannot repeat a size S to B}}
  %0 = fr.broadcast %x : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x4xf32, #fr.dims<B, _>>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+2 {{a margin has one entry for each of 2 dimensions}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.pad %x constant low [1] high [1, 0] : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x4xf32, #fr.dims<S, _>>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+2 {{a margin is not negative}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.pad %x edge low [0, -1] high [0, 0] : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x4xf32, #fr.dims<S, _>>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+2 {{a margin of 4 reflects a size of 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.pad %x reflect low [0, 4] high [0, 0] : (tensor<?x4xf32, #fr.dims<S, _>>) -> tensor<?x8xf32, #fr.dims<S, _>>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+2 {{the 5 largest of 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = fr.top_k %x k 5 : (tensor<?x4xf32, #fr.dims<S, _>>) -> (tensor<?x5xf32, #fr.dims<S, _>>, tensor<?x5xi64, #fr.dims<S, _>>)
  return
}

// -----

func.func @f(%x: tensor<?x4xf32, #fr.dims<S, _>>) {
  // expected-error @+2 {{the 0 largest of 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = fr.top_k %x k 0 : (tensor<?x4xf32, #fr.dims<S, _>>) -> (tensor<?x0xf32, #fr.dims<S, _>>, tensor<?x0xi64, #fr.dims<S, _>>)
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+2 {{the 1 largest of a scalar}}
  // expected-error @+1 {{failed to infer returned types}}
  %0, %1 = fr.top_k %x k 1 : (tensor<f32>) -> (tensor<1xf32>, tensor<1xi64>)
  return
}

// -----

// expected-error @+1 {{'fr.state' op of kind conv keeps its size; 'tensor<?x4xf32, #fr.dims<P, _>>' grows}}
fr.state @c conv layer 0 part "conv" axis 0 : tensor<?x4xf32, #fr.dims<P, _>>

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'fr.state.update' op names no state: @c}}
  fr.state.update @c, %x : tensor<4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{'fr.state.read' op names no state: @c}}
  %0 = fr.state.read @c : tensor<4xf32>
  return
}

// -----

fr.state @k kv layer 0 part "key" axis 0 : tensor<?xf32, #fr.dims<P>>
func.func @f() {
  // expected-error @+1 {{state 'k' is of kind kv: it is appended to}}
  %0 = fr.state.read @k : tensor<?xf32, #fr.dims<P>>
  return
}

// -----

fr.state @c conv layer 0 part "conv" axis 0 : tensor<4xf32>
func.func @f() {
  // expected-error @+1 {{has type 'tensor<4xf16>' but the state has 'tensor<4xf32>'}}
  %0 = fr.state.read @c : tensor<4xf16>
  return
}

// -----

fr.state @c conv layer 0 part "conv" axis 0 : tensor<4xf32>
func.func @f(%x: tensor<5xf32>) {
  // expected-error @+1 {{has type 'tensor<5xf32>' but the state has 'tensor<4xf32>'}}
  fr.state.update @c, %x : tensor<5xf32>
  return
}

// -----

fr.state @c conv layer 0 part "conv" axis 0 : tensor<4xf32>
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{extends state 'c' of kind conv; only kv states grow by tokens}}
  %0 = fr.state.append @c, %x : (tensor<4xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @f(%h: tensor<3xf32>) {
  // expected-error @+1 {{needs a sequence: it says how many steps there are}}
  %0 = "fr.scan"(%h) <{name = "s", axis = 1 : i64, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%s: tensor<3xf32>):
    fr.scan.yield %s : tensor<3xf32>
  }) : (tensor<3xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%h: tensor<3xf32>, %x: tensor<3x5xf32>) {
  // expected-error @+1 {{has 1 states and 1 sequences, its body takes 1 values}}
  %0 = fr.scan "s" inits %h sequences %x axis 1 : (tensor<3xf32>, tensor<3x5xf32>) -> tensor<3xf32> {
  ^bb0(%s: tensor<3xf32>):
    fr.scan.yield %s : tensor<3xf32>
  }
  return
}

// -----

func.func @f(%h: tensor<3xf32>, %x: tensor<3x5xf32>) {
  // expected-error @+1 {{state 0 is 'tensor<3xf32>' and 'tensor<2xf32>' in the body}}
  %0 = fr.scan "s" inits %h sequences %x axis 1 : (tensor<3xf32>, tensor<3x5xf32>) -> tensor<3xf32> {
  ^bb0(%s: tensor<2xf32>, %xi: tensor<3xf32>):
    fr.scan.yield %xi : tensor<3xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<3x5xf32>) {
  // expected-error @+1 {{runs along axis 2 of 'tensor<3x5xf32>'}}
  %0 = fr.scan "s" sequences %x axis 2 : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%xi: tensor<3xf32>):
    fr.scan.yield %xi : tensor<3xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<3x5xf32>, %y: tensor<3x4xf32>) {
  // expected-error @+1 {{sequences have 5 and 4 elements}}
  %0 = fr.scan "s" sequences %x, %y axis 1 : (tensor<3x5xf32>, tensor<3x4xf32>) -> tensor<3x5xf32> {
  ^bb0(%xi: tensor<3xf32>, %yi: tensor<3xf32>):
    fr.scan.yield %xi : tensor<3xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<3x5xf32>) {
  // expected-error @+1 {{sequence 0 is 'tensor<3x5xf32>', its slice in the body 'tensor<3xf32>'}}
  %0 = fr.scan "s" sequences %x axis 0 : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%xi: tensor<3xf32>):
    fr.scan.yield %xi : tensor<3xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<3x5xf32>) {
  // expected-error @+1 {{yields 2 values for 1 results}}
  %0 = fr.scan "s" sequences %x axis 1 : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%xi: tensor<3xf32>):
    fr.scan.yield %xi, %xi : tensor<3xf32>, tensor<3xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<3x5xf32>) {
  // expected-error @+1 {{yields 0 values for 1 results}}
  %0 = fr.scan "s" sequences %x axis 1 : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%xi: tensor<3xf32>):
  }
  return
}

// -----

func.func @f(%h: tensor<3xf32>, %x: tensor<3x5xf32>) {
  // expected-error @+1 {{state 0 changes from 'tensor<3xf32>' to 'tensor<3x1xf32>'}}
  %0 = fr.scan "s" inits %h sequences %x axis 1 : (tensor<3xf32>, tensor<3x5xf32>) -> tensor<3xf32> {
  ^bb0(%s: tensor<3xf32>, %xi: tensor<3xf32>):
    %y = fr.reshape %xi : (tensor<3xf32>) -> tensor<3x1xf32>
    fr.scan.yield %y : tensor<3x1xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<3x5xf32>) {
  // expected-error @+1 {{stacks 'tensor<3xf32>' to 'tensor<3x4xf32>'}}
  %0 = fr.scan "s" sequences %x axis 1 : (tensor<3x5xf32>) -> tensor<3x4xf32> {
  ^bb0(%xi: tensor<3xf32>):
    fr.scan.yield %xi : tensor<3xf32>
  }
  return
}

// -----

func.func @f(%p: tensor<2x6xi64>) {
  // expected-error @+1 {{turns 1 to 4 pairs}}
  %0, %1 = fr.rope_table proportional %p dim 8 theta 100.0 : (tensor<2x6xi64>) -> (tensor<2x6x4xf32>, tensor<2x6x4xf32>)
  return
}

// -----

func.func @f(%p: tensor<2x6xi64>) {
  // expected-error @+1 {{turns 1 to 4 pairs}}
  %0, %1 = fr.rope_table proportional %p dim 8 theta 100.0 {angles = 5 : i64} : (tensor<2x6xi64>) -> (tensor<2x6x4xf32>, tensor<2x6x4xf32>)
  return
}

// -----

func.func @f(%p: tensor<2x6xi64>) {
  // expected-error @+1 {{turns 1 to 4 pairs}}
  %0, %1 = fr.rope_table proportional %p dim 8 theta 100.0 {angles = 0 : i64} : (tensor<2x6xi64>) -> (tensor<2x6x4xf32>, tensor<2x6x4xf32>)
  return
}

// -----

func.func @f() {
  // expected-error @+1 {{has chunks of 0}}
  %0 = fr.attention_mask {causal = true, chunk = 0 : i64} : tensor<1x1x6x6xi1>
  return
}

// -----

func.func @f(%q: tensor<1x4x6x8xf32>, %b: tensor<2x1x4x6x6xf32>) {
  // expected-error @+2 {{the bias does not spread over scores of 6 queries and 6 keys}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %q, %q bias %b scale 0.5 : (tensor<1x4x6x8xf32>, tensor<1x4x6x8xf32>, tensor<1x4x6x8xf32>, tensor<2x1x4x6x6xf32>) -> tensor<1x4x6x8xf32>
  return
}

// -----

func.func @f(%q: tensor<1x4x6x8xf32>, %b: tensor<4x6x5xf32>) {
  // expected-error @+3 {{sizes 6 and 5 do not broadcast}}
  // expected-error @+2 {{the bias does not spread over scores of 6 queries and 6 keys}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %q, %q bias %b scale 0.5 : (tensor<1x4x6x8xf32>, tensor<1x4x6x8xf32>, tensor<1x4x6x8xf32>, tensor<4x6x5xf32>) -> tensor<1x4x6x8xf32>
  return
}

// -----

func.func @f(%q: tensor<1x4x6x8xf32>, %s: tensor<3xf32>) {
  // expected-error @+2 {{there is one sink for each of 4 heads}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %q, %q sinks %s scale 0.5 : (tensor<1x4x6x8xf32>, tensor<1x4x6x8xf32>, tensor<1x4x6x8xf32>, tensor<3xf32>) -> tensor<1x4x6x8xf32>
  return
}

// -----

func.func @f(%q: tensor<1x4x6x8xf32>, %v: tensor<2x4x6x8xf32>) {
  // expected-error @+2 {{q, k and v do not fit}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.attention %q, %q, %v scale 0.5 : (tensor<1x4x6x8xf32>, tensor<1x4x6x8xf32>, tensor<2x4x6x8xf32>) -> tensor<1x4x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>) {
  // expected-error @+2 {{3 groups do not divide the channels}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.group_norm %x groups 3 eps 1.0e-5 : (tensor<2x4x7x6xf32>) -> tensor<2x4x7x6xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>) {
  // expected-error @+2 {{0 groups do not divide the channels}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.group_norm %x groups 0 eps 1.0e-5 : (tensor<2x4x7x6xf32>) -> tensor<2x4x7x6xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<7xf32>) {
  // expected-error @+2 {{scale and shift have one entry for each of 4 channels}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.group_norm %x weight %w groups 2 eps 1.0e-5 : (tensor<2x4x7x6xf32>, tensor<7xf32>) -> tensor<2x4x7x6xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<2xf32>) {
  // expected-error @+2 {{scale and shift have one entry for each of 4 channels}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.group_norm %x bias %w groups 2 eps 1.0e-5 : (tensor<2x4x7x6xf32>, tensor<2xf32>) -> tensor<2x4x7x6xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x4x3xf32>) {
  // expected-error @+2 {{the kernel has rank 3, the input 4; both are 3 to 5}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] : (tensor<2x4x7x6xf32>, tensor<6x4x3xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4xf32>, %w: tensor<6x4xf32>) {
  // expected-error @+2 {{the kernel has rank 2, the input 2; both are 3 to 5}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [] low [] high [] dilations [] : (tensor<2x4xf32>, tensor<6x4xf32>) -> tensor<2x6xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>, %w: tensor<4xf32>) {
  // expected-error @+2 {{the kernel has rank 1, the input 1; both are 3 to 5}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [] low [] high [] dilations [] : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<?x4x3x2xf32, #fr.dims<S, _, _, _>>) {
  // expected-error @+2 {{the sizes of a kernel are numbers}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] : (tensor<2x4x7x6xf32>, tensor<?x4x3x2xf32, #fr.dims<S, _, _, _>>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x3x3x2xf32>) {
  // expected-error @+2 {{input has 4 channels, the kernel takes 1 x 3}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] : (tensor<2x4x7x6xf32>, tensor<6x3x3x2xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x1x3x2xf32>) {
  // expected-error @+2 {{input has 4 channels, the kernel takes 4 x 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] {groups = 4 : i64} : (tensor<2x4x7x6xf32>, tensor<6x1x3x2xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x4x3x2xf32>) {
  // expected-error @+2 {{input has 4 channels, the kernel takes 0 x 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] {groups = 0 : i64} : (tensor<2x4x7x6xf32>, tensor<6x4x3x2xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x4x3x2xf32>, %b: tensor<4xf32>) {
  // expected-error @+2 {{bias and kernel do not fit}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w, %b strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] : (tensor<2x4x7x6xf32>, tensor<6x4x3x2xf32>, tensor<4xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x4x3x2xf32>) {
  // expected-error @+2 {{attributes have one entry for each of 2 spatial dimensions}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [1] low [0, 0] high [0, 0] dilations [1, 1] : (tensor<2x4x7x6xf32>, tensor<6x4x3x2xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x4x3x2xf32>) {
  // expected-error @+2 {{a window of 3 with stride 0}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [0, 1] low [0, 0] high [0, 0] dilations [1, 1] : (tensor<2x4x7x6xf32>, tensor<6x4x3x2xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x4x3x2xf32>) {
  // expected-error @+2 {{a window of 2 with stride 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [1, 1] low [0, -1] high [0, 0] dilations [1, 1] : (tensor<2x4x7x6xf32>, tensor<6x4x3x2xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x4x8x2xf32>) {
  // expected-error @+2 {{a window of 8 does not fit a size 7}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] : (tensor<2x4x7x6xf32>, tensor<6x4x8x2xf32>) -> tensor<2x6x5x5xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<4x3x3xf32>) {
  // expected-error @+2 {{the kernel has rank 3, the input 4; both are 3 to 5}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv_transpose %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] extra [0, 0] : (tensor<2x4x7x6xf32>, tensor<4x3x3xf32>) -> tensor<2x3x9x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<4x3x3x2xf32>) {
  // expected-error @+2 {{attributes have one entry for each of 2 spatial dimensions}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv_transpose %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] extra [0] : (tensor<2x4x7x6xf32>, tensor<4x3x3x2xf32>) -> tensor<2x3x9x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<4x3x3x2xf32>) {
  // expected-error @+2 {{attributes have one entry for each of 2 spatial dimensions}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv_transpose %x, %w strides [1, 1] low [0, -1] high [0, 0] dilations [1, 1] extra [0, 0] : (tensor<2x4x7x6xf32>, tensor<4x3x3x2xf32>) -> tensor<2x3x9x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<4x3x3x2xf32>) {
  // expected-error @+2 {{strides and dilations are at least 1}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv_transpose %x, %w strides [0, 1] low [0, 0] high [0, 0] dilations [1, 1] extra [0, 0] : (tensor<2x4x7x6xf32>, tensor<4x3x3x2xf32>) -> tensor<2x3x9x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<6x3x3x2xf32>) {
  // expected-error @+2 {{input has 4 channels, the kernel takes 6}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv_transpose %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] extra [0, 0] : (tensor<2x4x7x6xf32>, tensor<6x3x3x2xf32>) -> tensor<2x3x9x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<4x3x3x2xf32>) {
  // expected-error @+2 {{input has 4 channels, the kernel takes 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv_transpose %x, %w strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] extra [0, 0] {groups = 3 : i64} : (tensor<2x4x7x6xf32>, tensor<4x3x3x2xf32>) -> tensor<2x3x9x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<4x3x3x2xf32>, %b: tensor<4xf32>) {
  // expected-error @+2 {{bias and kernel do not fit}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv_transpose %x, %w, %b strides [1, 1] low [0, 0] high [0, 0] dilations [1, 1] extra [0, 0] : (tensor<2x4x7x6xf32>, tensor<4x3x3x2xf32>, tensor<4xf32>) -> tensor<2x3x9x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>, %w: tensor<4x3x3x2xf32>) {
  // expected-error @+2 {{margins leave nothing of a size 7}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.conv_transpose %x, %w strides [1, 1] low [9, 0] high [0, 0] dilations [1, 1] extra [0, 0] : (tensor<2x4x7x6xf32>, tensor<4x3x3x2xf32>) -> tensor<2x3x9x7xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4xf32>) {
  // expected-error @+2 {{pools [B, C, spatial], not rank 2}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.pool max %x kernel [] strides [] low [] high [] : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x2x2x2x2xf32>) {
  // expected-error @+2 {{has 1 to 3 spatial dimensions, not 4}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.pool max %x kernel [1, 1, 1, 1] strides [1, 1, 1, 1] low [0, 0, 0, 0] high [0, 0, 0, 0] : (tensor<2x4x2x2x2x2xf32>) -> tensor<2x4x2x2x2x2xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>) {
  // expected-error @+2 {{attributes have one entry for each of 2 spatial dimensions}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.pool average %x kernel [2] strides [1, 1] low [0, 0] high [0, 0] : (tensor<2x4x7x6xf32>) -> tensor<2x4x7x6xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>) {
  // expected-error @+1 {{changes spatial sizes only, not 'tensor<2x4x7x6xf32>' to 'tensor<2x3x8x8xf32>'}}
  %0 = fr.interpolate %x linear : (tensor<2x4x7x6xf32>) -> tensor<2x3x8x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>) {
  // expected-error @+1 {{changes spatial sizes only, not 'tensor<2x4x7x6xf32>' to 'tensor<2x4x8xf32>'}}
  %0 = fr.interpolate %x linear : (tensor<2x4x7x6xf32>) -> tensor<2x4x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x7x6xf32>) {
  // expected-error @+1 {{changes spatial sizes only, not 'tensor<2x4x7x6xf32>' to 'tensor<2x4x8x8xf16>'}}
  %0 = fr.interpolate %x linear : (tensor<2x4x7x6xf32>) -> tensor<2x4x8x8xf16>
  return
}

// -----

func.func @f(%x: tensor<2x4x2x2x2x2xf32>) {
  // expected-error @+1 {{changes spatial sizes only, not 'tensor<2x4x2x2x2x2xf32>' to 'tensor<2x4x2x2x2x2xf32>'}}
  %0 = fr.interpolate %x nearest : (tensor<2x4x2x2x2x2xf32>) -> tensor<2x4x2x2x2x2xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x2xi64>, %s: tensor<3x2xf32>, %up: tensor<4x8xf32>, %down: tensor<5x8x4xf32>) {
  // expected-error @+2 {{experts are stacked along a first axis of three, whose sizes are numbers}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down silu : (tensor<3x8xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<4x8xf32>, tensor<5x8x4xf32>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x2xi64>, %s: tensor<3x2xf32>, %up: tensor<5x4x8xf32>, %down: tensor<?x8x4xf32, #fr.dims<B, _, _>>) {
  // expected-error @+2 {{experts are stacked along a first axis of three, whose sizes are numbers}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down silu : (tensor<3x8xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<5x4x8xf32>, tensor<?x8x4xf32, #fr.dims<B, _, _>>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x2xi64>, %s: tensor<3x2xf32>, %up: tensor<5x4x7xf32>, %down: tensor<5x8x4xf32>) {
  // expected-error @+2 {{experts [5, 4, 7] and [5, 8, 4] do not fit 8 features}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down silu : (tensor<3x8xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<5x4x7xf32>, tensor<5x8x4xf32>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x2xi64>, %s: tensor<3x2xf32>, %up: tensor<5x4x8xf32>, %down: tensor<6x8x4xf32>) {
  // expected-error @+2 {{experts [5, 4, 8] and [6, 8, 4] do not fit 8 features}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down silu : (tensor<3x8xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<5x4x8xf32>, tensor<6x8x4xf32>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x2xi64>, %s: tensor<3x2xf32>, %up: tensor<5x4x8xf32>, %down: tensor<5x8x4xf32>, %gate: tensor<5x3x8xf32>) {
  // expected-error @+2 {{gate and up differ in shape}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s gate %gate up %up down %down silu : (tensor<3x8xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<5x3x8xf32>, tensor<5x4x8xf32>, tensor<5x8x4xf32>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x2xi64>, %s: tensor<3x3xf32>, %up: tensor<5x4x8xf32>, %down: tensor<5x8x4xf32>) {
  // expected-error @+2 {{indices and scores have one entry for each token and choice}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down silu : (tensor<3x8xf32>, tensor<3x2xi64>, tensor<3x3xf32>, tensor<5x4x8xf32>, tensor<5x8x4xf32>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<4x2xi64>, %s: tensor<4x2xf32>, %up: tensor<5x4x8xf32>, %down: tensor<5x8x4xf32>) {
  // expected-error @+2 {{indices and scores have one entry for each token and choice}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down silu : (tensor<3x8xf32>, tensor<4x2xi64>, tensor<4x2xf32>, tensor<5x4x8xf32>, tensor<5x8x4xf32>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x2xf32>, %s: tensor<3x2xf32>, %up: tensor<5x4x8xf32>, %down: tensor<5x8x4xf32>) {
  // expected-error @+2 {{indices and scores have one entry for each token and choice}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down silu : (tensor<3x8xf32>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<5x4x8xf32>, tensor<5x8x4xf32>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x?xi64, #fr.dims<_, S>>, %s: tensor<3x?xf32, #fr.dims<_, S>>, %up: tensor<5x4x8xf32>, %down: tensor<5x8x4xf32>) {
  // expected-error @+2 {{indices and scores have one entry for each token and choice}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down silu : (tensor<3x8xf32>, tensor<3x?xi64, #fr.dims<_, S>>, tensor<3x?xf32, #fr.dims<_, S>>, tensor<5x4x8xf32>, tensor<5x8x4xf32>) -> tensor<3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %i: tensor<3x2xi64>, %s: tensor<3x2xf32>, %up: tensor<5x4x8xf32>, %down: tensor<5x8x4xf32>, %b: tensor<5x4xf32>) {
  // expected-error @+2 {{biases have one row for each expert}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = fr.moe %x, %i, %s up %up down %down bias %b silu : (tensor<3x8xf32>, tensor<3x2xi64>, tensor<3x2xf32>, tensor<5x4x8xf32>, tensor<5x8x4xf32>, tensor<5x4xf32>) -> tensor<3x8xf32>
  return
}
