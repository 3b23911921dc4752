// RUN: flagrelease-opt %s --split-input-file --verify-diagnostics

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @unknown(%x: tensor<2xf32>) {
    // expected-error @below {{"Softmaks" is no operator of ai.onnx at opset 17}}
    %0 = onnx.op "Softmaks"(%x) : (tensor<2xf32>) -> tensor<2xf32>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @too_new(%x: tensor<2xf32>) {
    // expected-error @below {{"Gelu" is no operator of ai.onnx at opset 17; it exists since 20}}
    %0 = onnx.op "Gelu"(%x) : (tensor<2xf32>) -> tensor<2xf32>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @no_domain(%x: tensor<2xf32>) {
    // expected-error @below {{"Gelu" is of domain com.microsoft, for which the module states no onnx.opset}}
    %0 = onnx.op com.microsoft "Gelu"(%x) : (tensor<2xf32>) -> tensor<2xf32>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @few(%x: tensor<2x2xf32>) {
    // expected-error @below {{"MatMul" (since 13) has 1 inputs, takes 2}}
    %0 = onnx.op "MatMul"(%x) : (tensor<2x2xf32>) -> tensor<2x2xf32>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @no_output(%x: tensor<2xf32>) {
    // expected-error @below {{"Neg" (since 13) has 0 outputs, takes 1}}
    onnx.op "Neg"(%x) : (tensor<2xf32>) -> ()
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @element(%x: tensor<2xi64>) {
    // expected-error @below {{"Softmax" (since 13) input 0 (input) has elements 'i64', takes bf16,f16,f32,f64}}
    %0 = onnx.op "Softmax"(%x) : (tensor<2xi64>) -> tensor<2xi64>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @mixed(%x: tensor<2xf32>, %y: tensor<2xf16>) {
    // expected-error @below {{"Add" (since 14) input 1 (B) has elements f16 where f32 stood for T}}
    %0 = onnx.op "Add"(%x, %y) : (tensor<2xf32>, tensor<2xf16>) -> tensor<2xf32>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @absent(%x: tensor<2xf32>) {
    %n = onnx.none
    // expected-error @below {{"Add" (since 14) input 1 (B) has type 'none'}}
    %0 = onnx.op "Add"(%x, %n) : (tensor<2xf32>, none) -> tensor<2xf32>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @attribute(%x: tensor<2xf32>) {
    // expected-error @below {{"Softmax" (since 13) has no attribute 'axes'}}
    %0 = onnx.op "Softmax"(%x) {axes = 1 : i64} : (tensor<2xf32>) -> tensor<2xf32>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @kind(%x: tensor<2xf32>) {
    // expected-error @below {{"Softmax" (since 13) attribute 'axis' is not an i64: 1.000000e+00 : f32}}
    %0 = onnx.op "Softmax"(%x) {axis = 1.0 : f32} : (tensor<2xf32>) -> tensor<2xf32>
    return
  }
}

// -----

module attributes {onnx.opset = {ai.onnx = 17}} {
  func.func @lacking(%x: tensor<2xf32>) {
    // expected-error @below {{"Cast" (since 13) lacks attribute 'to'}}
    %0 = onnx.op "Cast"(%x) : (tensor<2xf32>) -> tensor<2xf16>
    return
  }
}

// -----

// Axes became an input of ReduceMean with opset 18.
module attributes {onnx.opset = {ai.onnx = 18}} {
  func.func @moved(%x: tensor<2xf32>) {
    // expected-error @below {{"ReduceMean" (since 18) has no attribute 'axes'}}
    %0 = onnx.op "ReduceMean"(%x) {axes = array<i64: 0>} : (tensor<2xf32>) -> tensor<1xf32>
    return
  }
}

// -----

// expected-error @below {{'onnx.opset' is a dictionary from domains to versions on a module}}
module attributes {onnx.opset = 17} {
}

// -----

module {
  fr.weights @source {
    fr.weight @"q" : tensor<4xui8>
  }
  fr.param @"q" : tensor<4xui8> {
    %0 = fr.get @source::@"q" : tensor<4xui8>
    fr.yield %0 : tensor<4xui8>
  }
  func.func @view(%x: tensor<4xui8>) {
    %q = fr.use @"q" : tensor<4xui8>
    // expected-error @below {{'tensor<9xui4>' is not the bytes of 'tensor<4xui8>'}}
    %0 = onnx.view %q : tensor<4xui8> -> tensor<9xui4>
    return
  }
}

// -----

module {
  func.func @view(%x: tensor<4xui8>) {
    // expected-error @below {{'onnx.view' op is of a param}}
    %0 = onnx.view %x : tensor<4xui8> -> tensor<8xui4>
    return
  }
}
