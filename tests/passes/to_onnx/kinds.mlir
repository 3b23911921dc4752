// What the kinds of models brought, in ONNX: the functions of tests/exporters/Inputs/kinds.mlir.
// RUN: flagrelease-opt %S/../../exporters/Inputs/kinds.mlir --convert-fr-to-onnx=opset=17 | FileCheck %s
// RUN: flagrelease-opt %S/../../exporters/Inputs/kinds.mlir --convert-fr-to-onnx="opset=17 refuse=InstanceNormalization" | FileCheck %s --check-prefix=PLAIN

// CHECK-LABEL: func.func @elementwise(
// CHECK: onnx.op "Abs"(%arg0)
// CHECK: onnx.op "Abs"(%arg1)
// CHECK: onnx.op "Not"(
// CHECK: onnx.op "Softplus"(%arg0)

// A start or a size with a name is computed.
// CHECK-LABEL: func.func @narrow(
// CHECK: %[[S:.*]] = onnx.op "Gather"
// CHECK: %[[FROM:.*]] = onnx.op "Add"(%[[S]], %
// CHECK: onnx.op "Slice"(%arg0, %[[FROM]], %[[S]], %
// CHECK: onnx.op "Slice"(%arg0, %{{.*}}, %{{.*}}, %{{.*}}) : {{.*}} -> tensor<?x?x3xf32, #fr.dims<B, S, _>>
// CHECK: %[[TWICE:.*]] = onnx.op "Mul"(%[[S]], %
// CHECK: onnx.op "Slice"(%{{.*}}, %[[S]], %[[TWICE]], %

// CHECK-LABEL: func.func @broadcast(
// CHECK: onnx.op "Expand"(%arg0, %{{.*}}) : {{.*}} -> tensor<?x?x8xf32, #fr.dims<B, S, _>>
// CHECK: onnx.op "Expand"(%{{.*}}, %{{.*}}) : {{.*}} -> tensor<2x?x?x8xf32, #fr.dims<_, B, S, _>>

// CHECK-LABEL: func.func @pad(
// CHECK: %[[MARGIN:.*]] = onnx.constant dense<[0, 0, 2, 0, 0, 3]>
// CHECK: onnx.op "Pad"(%arg0, %[[MARGIN]]) {mode = "edge"}
// CHECK: onnx.op "Pad"(%arg0, %[[MARGIN]]) {mode = "reflect"}
// CHECK: %[[SEVEN:.*]] = onnx.constant dense<7>
// CHECK: onnx.op "Pad"(%arg1, %{{.*}}, %[[SEVEN]]) {mode = "constant"}
// CHECK: %[[LOW:.*]] = onnx.constant dense<-1.500000e+00>
// CHECK: onnx.op "Pad"(%arg0, %{{.*}}, %[[LOW]]) {mode = "constant"}

// CHECK-LABEL: func.func @top_k(
// CHECK: onnx.op "TopK"(%arg0, %{{.*}}) {axis = -1 : i64} : {{.*}} -> (tensor<?x?x3xf32, #fr.dims<B, S, _>>, tensor<?x?x3xi64, #fr.dims<B, S, _>>)
// CHECK: onnx.op "TopK"(%arg1, %

// The body stays a body; it reads values from outside, and each of its results is a node of its own.
// CHECK-LABEL: func.func @scan(
// CHECK: onnx.scan %arg2, %arg1, %arg0 states 1 axis 1 : (
// CHECK-NEXT: ^bb0(%[[H:.*]]: tensor<?x8xf32, #fr.dims<B, _>>, %[[D:.*]]: tensor<?x8xf32, #fr.dims<B, _>>, %[[X:.*]]: tensor<?x8xf32, #fr.dims<B, _>>):
// CHECK-NEXT: %[[M:.*]] = onnx.op "Mul"(%[[H]], %[[D]])
// CHECK-NEXT: %[[N:.*]] = onnx.op "Add"(%[[M]], %[[X]])
// CHECK-NEXT: %[[Y:.*]] = onnx.op "Sub"(%[[N]], %arg4)
// CHECK-NEXT: onnx.yield %[[N]], %[[Y]]
// CHECK: onnx.scan %{{.*}}, %arg3 states 1 axis 1
// CHECK: %[[C:.*]] = onnx.op "Add"
// CHECK-NEXT: %[[TWICE:.*]] = onnx.op "Identity"(%[[C]])
// CHECK-NEXT: onnx.yield %[[C]], %[[TWICE]]
// CHECK: onnx.scan %arg0 states 0 axis 1
// CHECK: onnx.scan %arg0 states 0 axis 0
// CHECK: onnx.op "CumSum"
// CHECK: onnx.scan %arg0 states 0 axis 0
// CHECK: onnx.scan %arg4, %{{.*}} states 1 axis 0

// CHECK-LABEL: func.func @conv_1d(
// CHECK: onnx.op "Conv"(%arg0, %arg1, %arg2) {dilations = array<i64: 1>, group = 2 : i64, kernel_shape = array<i64: 3>, pads = array<i64: 1, 1>, strides = array<i64: 2>}
// CHECK: onnx.op "Conv"(%arg0, %arg3) {dilations = array<i64: 2>, group = 4 : i64, kernel_shape = array<i64: 2>, pads = array<i64: 2, 0>, strides = array<i64: 1>}
// CHECK-LABEL: func.func @conv_2d(
// CHECK: onnx.op "Conv"(%arg0, %arg1, %arg2) {dilations = array<i64: 1, 2>, group = 2 : i64, kernel_shape = array<i64: 3, 2>, pads = array<i64: 1, 0, 2, 1>, strides = array<i64: 2, 1>}
// CHECK-LABEL: func.func @conv_3d(
// CHECK: pads = array<i64: 0, 1, 1, 1, 0, 1>
// CHECK-LABEL: func.func @conv_transpose_2d(
// CHECK: onnx.op "ConvTranspose"(%arg0, %arg1) {dilations = array<i64: 2, 1>, group = 1 : i64, kernel_shape = array<i64: 3, 2>, output_padding = array<i64: 0, 1>, pads = array<i64: 0, 1, 1, 0>, strides = array<i64: 2, 3>}

// CHECK-LABEL: func.func @pool(
// CHECK: onnx.op "MaxPool"(%arg0) {kernel_shape = array<i64: 3, 2>, pads = array<i64: 1, 1, 1, 1>, strides = array<i64: 2, 2>}
// CHECK: onnx.op "AveragePool"(%arg0) {count_include_pad = 0 : i64,
// CHECK: onnx.op "AveragePool"(%arg0) {count_include_pad = 1 : i64,
// CHECK-LABEL: func.func @pool_one_side(
// CHECK: onnx.op "MaxPool"(%arg0) {kernel_shape = array<i64: 2, 2>, pads = array<i64: 0, 1, 1, 0>

// CHECK-LABEL: func.func @interpolate(
// CHECK: %[[NONE:.*]] = onnx.none
// CHECK: onnx.op "Resize"(%arg0, %[[NONE]], %[[NONE]], %{{.*}}) {coordinate_transformation_mode = "asymmetric", mode = "nearest", nearest_mode = "floor"}
// CHECK: onnx.op "Resize"({{.*}}) {coordinate_transformation_mode = "half_pixel", mode = "linear"}
// CHECK: onnx.op "Resize"({{.*}}) {coordinate_transformation_mode = "align_corners", mode = "linear"}
// CHECK: onnx.op "Resize"({{.*}}) {coordinate_transformation_mode = "half_pixel", cubic_coeff_a = -7.500000e-01 : f32, mode = "cubic"}
// CHECK: onnx.op "Resize"({{.*}}) {coordinate_transformation_mode = "align_corners", cubic_coeff_a = -7.500000e-01 : f32, mode = "cubic"}

// A group is a row of the norm; scale and shift go by channel afterwards.
// CHECK-LABEL: func.func @group_norm(
// CHECK: %[[ROWS:.*]] = onnx.op "Reshape"(%arg0, %{{.*}}) : {{.*}} -> tensor<2x2x12xf32>
// CHECK: %[[NORM:.*]] = onnx.op "InstanceNormalization"(%[[ROWS]], %{{.*}}, %{{.*}}) {epsilon = 9.99999974E-6 : f32}
// CHECK: %[[BACK:.*]] = onnx.op "Reshape"(%[[NORM]], %{{.*}}) : {{.*}} -> tensor<2x4x2x3xf32>
// CHECK: %[[W:.*]] = onnx.op "Reshape"(%arg1, %{{.*}}) : {{.*}} -> tensor<4x1x1xf32>
// CHECK: onnx.op "Mul"(%[[BACK]], %[[W]])
// PLAIN-LABEL: func.func @group_norm(
// PLAIN-NOT: InstanceNormalization
// PLAIN: onnx.op "ReduceMean"
// PLAIN: onnx.op "Sqrt"
// PLAIN: onnx.op "Div"

// Bias before the mask; a sink is a further column, cut off after the softmax.
// CHECK-LABEL: func.func @attention(
// CHECK: %[[BIASED:.*]] = onnx.op "Add"(%{{.*}}, %arg4)
// CHECK: %[[SEEN:.*]] = onnx.op "Where"(%{{.*}}, %[[BIASED]], %
// CHECK: onnx.op "Softmax"(%[[SEEN]]) {axis = -1 : i64}
// CHECK: onnx.op "Add"(%{{.*}}, %arg5)
// CHECK: %[[SINKS:.*]] = onnx.op "Reshape"(%arg6, %{{.*}}) : {{.*}} -> tensor<1x4x1x1xf32>
// CHECK: %[[COLUMN:.*]] = onnx.op "Expand"(%[[SINKS]], %
// CHECK: %[[ALL:.*]] = onnx.op "Concat"(%{{.*}}, %[[COLUMN]]) {axis = 3 : i64}
// CHECK: %[[SHARES:.*]] = onnx.op "Softmax"(%[[ALL]]) {axis = -1 : i64}
// CHECK: onnx.op "Slice"(%[[SHARES]],

// CHECK-LABEL: func.func @mask_kinds(
// CHECK: onnx.op "CumSum"
// CHECK: %[[BACK:.*]] = onnx.op "Sub"({{.*}}) : {{.*}} -> tensor<?x1x?x?xi64
// CHECK: onnx.op "Less"(%[[BACK]], %
// CHECK: %[[AHEAD:.*]] = onnx.op "Sub"({{.*}}) : {{.*}} -> tensor<?x1x?x?xi64
// CHECK: onnx.op "Less"(%[[AHEAD]], %
// CHECK: %[[ONE:.*]] = onnx.op "Div"
// CHECK: %[[OTHER:.*]] = onnx.op "Div"
// CHECK: onnx.op "Equal"(%[[ONE]], %[[OTHER]])

// Frequencies are a constant; those of pairs that do not turn are 0.
// CHECK-LABEL: func.func @proportional(
// CHECK: onnx.constant dense<{{.*}}0.000000e+00]>
// CHECK: onnx.op "Cos"
// CHECK: onnx.op "Sin"

// All experts see all tokens; what a token did not choose gets the share 0.
// CHECK-LABEL: func.func @moe(
// CHECK: %{{.*}}:2 = onnx.op "TopK"
// CHECK: %[[CHOSEN:.*]] = onnx.op "Equal"
// CHECK: onnx.op "ReduceSum"
// CHECK: onnx.op "MatMul"({{.*}}) : {{.*}} -> tensor<5x?x4xf32, #fr.dims<_, B*S, _>>
// CHECK: onnx.op "MatMul"({{.*}}) : {{.*}} -> tensor<5x?x8xf32, #fr.dims<_, B*S, _>>
// CHECK: onnx.op "Min"(
// CHECK: onnx.op "Max"(
// CHECK: onnx.op "Erf"(
// CHECK: onnx.op "Tanh"(
// CHECK: onnx.op "Relu"(
