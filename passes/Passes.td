// Every pass of flagrelease. One file each, named after the pass; order and reasons stand in Pipeline.cpp.
#ifndef FLAGRELEASE_PASSES_TD
#define FLAGRELEASE_PASSES_TD

include "mlir/Pass/PassBase.td"

class Fr_Pass<string argument> : Pass<argument, "::mlir::ModuleOp"> {
  let dependentDialects = ["::flagrelease::fr::FrDialect"];
}

//===----------------------------------------------------------------------===//
// Cache modes
//===----------------------------------------------------------------------===//

def CacheDynamic : Fr_Pass<"fr-cache-dynamic"> {
  let summary = "states become inputs and outputs that grow";
  let description = [{
    Each kv state that a function appends to becomes an argument `past_key_values.{layer}.{part}` with the type of the state
    (size P along its axis) and a result `present.{layer}.{part}`; the append becomes a concat. New arguments and results follow
    the existing ones, by layer, key before value.
  }];
}

def CacheNone : Fr_Pass<"fr-cache-none"> {
  let summary = "states are removed: every call sees the whole text";
  let description = [{
    An append becomes the value it appends, and P becomes 0 in every type and size.
  }];
}

def CacheStatic : Fr_Pass<"fr-cache-static"> {
  let summary = "states become inputs and outputs of fixed size";
  let description = [{
    As fr-cache-dynamic, but the cache has `size` columns from the beginning and P + S becomes that number everywhere. A new
    argument `cache_position` [S] says which columns the tokens of this call take: they are scattered there, masks count columns
    from there, and a size P on its own becomes its first entry. `attention_mask` gets one entry per column, 0 where nothing is.
  }];
  let options = [Option<"size", "size", "int64_t", /*default=*/"0", "columns of the cache">];
}

//===----------------------------------------------------------------------===//
// Sizes, taps, params
//===----------------------------------------------------------------------===//

def ApplyScheme : Fr_Pass<"fr-apply-scheme"> {
  let summary = "params are stored in another float type";
  let description = [{
    A param of floats whose type differs from `dtype` yields a cast of what it yielded, and what the graph reads changes type
    with it. Params of integers stay. Activations stay as they are: f32.
  }];
  let options = [Option<"dtype", "dtype", "std::string", /*default=*/"", "f32, f16 or bf16">];
}

def ReplaceQuantized : Fr_Pass<"fr-replace-quantized"> {
  let summary = "dequantised tensors take the place of the parts that they are made of";
  let description = [{
    For checkpoint formats whose scheme stores something else than a quantised source does: the params of the parts go, and the one
    with their numbers, `X.dequantized`, becomes `X`. `drop` names parts that no number depends on (shapes, scales of activations).
  }];
  let options = [ListOption<"drop", "drop", "std::string", "params to remove">];
}

def QuantizeWeights : Fr_Pass<"fr-quantize-weights"> {
  let summary = "matrices of linear layers become small integers or small floats with scales";
  let description = [{
    Each param that a linear layer multiplies by is replaced by params that hold what a consumer stores, and the layer reads them
    through `fr.dequantize`. Kinds: `int` (of `bits`), `fp8` (E4M3), `mxfp4` (E2M1, a power of two for 32 of them), `blocks` (formats of ggml, by
    `formats`; only the numbers that they stand for). One scale stands for `rows` x `columns` numbers, 0 meaning all.

    Layouts: `compressed-tensors`, `fp8` and `gptq` (names and packing of those checkpoints), `onnx` (what MatMulNBits and
    DequantizeLinear read), `effective`: nothing is stored, the graph uses private params with the numbers that the
    stored ones stand for. In all but `onnx` the graph uses such private params (`passes/StoreWeights.h`).

    With `activations` the layers whose matrix became small read their input through `fr.quantize` and `fr.dequantize` too: integers with
    one scale for each token, found while the graph runs. That is for graphs that ship; the engine of a checkpoint rounds by itself.

    `skip` names roles that stay: `embedding` (a table that is looked up), `output` (the head, whose product is a result). The
    attributes `fr.quantized` and `fr.kept` of the module list the tensors, the second with reasons; `fr.fallback` lists those of the
    second that only `fallback` lets through.
  }];
  let options = [Option<"kind", "kind", "std::string", /*default=*/"\"int\"", "int, fp8, mxfp4 or blocks">,
                 Option<"bits", "bits", "int64_t", /*default=*/"8", "width of integers">,
                 Option<"packed", "packed", "bool", /*default=*/"true", "integers of 8 bits are packed into words too: compressed-tensors has them so where activations stay floats">,
                 Option<"symmetric", "symmetric", "bool", /*default=*/"true", "zero is stored as zero">,
                 Option<"rows", "rows", "int64_t", /*default=*/"1", "rows that share a scale">,
                 Option<"columns", "columns", "int64_t", /*default=*/"0", "columns that share a scale">,
                 Option<"scale", "scale", "std::string", /*default=*/"\"f32\"", "element type of scales: f32, f16, bf16, f8_e8m0">,
                 Option<"layout", "layout", "std::string", /*default=*/"\"effective\"", "compressed-tensors, fp8, gptq, onnx or effective">,
                 Option<"activations", "activations", "int64_t", /*default=*/"0", "width of the integers that inputs are rounded to: 8, or 0 for not at all">,
                 ListOption<"skip", "skip", "std::string", "roles that stay: embedding, output">,
                 ListOption<"formats", "formats", "std::string", "for blocks: param=format">,
                 Option<"fallback", "fallback", "bool", /*default=*/"false", "keep a matrix whose rows are no whole groups">];
}

def DropTaps : Fr_Pass<"fr-drop-taps"> {
  let summary = "taps are removed: the file that ships";
}

def DropUnusedParams : Fr_Pass<"fr-drop-unused-params"> {
  let summary = "params that no function uses are removed";
  let description = [{
    For graph formats, which hold what the graph reads. A checkpoint format keeps every param, used or not.
  }];
  let statistics = [Statistic<"dropped", "params dropped", "params that nothing used">];
}

def StaticShapes : Fr_Pass<"fr-static-shapes"> {
  let summary = "size symbols become numbers";
  let description = [{
    `fr-static-shapes{sizes=B=1,S=512}` replaces B and S in every type and size. A symbol that no type holds is an error.
  }];
  let options = [ListOption<"sizes", "sizes", "std::string", "symbol=number, …">];
}

def TapsToOutputs : Fr_Pass<"fr-taps-to-outputs"> {
  let summary = "taps become results: the model that is compared layer by layer";
  let description = [{
    The value of each tap becomes one more result of its function, named as the tap; the tap itself disappears.
  }];
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

def DecomposeComposites : Fr_Pass<"fr-decompose"> {
  let summary = "composite ops are written in primitive ones";
  let description = [{
    `fr-decompose{ops=rms_norm,attention}` rewrites the named ops, by default all that can be. Decompositions may use one another.
  }];
  let options = [ListOption<"ops", "ops", "std::string", "names without the dialect; all when empty">,
                 Option<"float64", "float64", "bool", /*default=*/"true", "compute frequencies of rope at run time in f64">];
}

def ConvertFrToOnnx : Fr_Pass<"convert-fr-to-onnx"> {
  let summary = "every op becomes operators of ONNX";
  let description = [{
    `convert-fr-to-onnx{opset=17 refuse=CumSum,Where}` lowers as if for a toolchain that takes every operator of the standard at
    that opset except the refused ones, and of other domains only those of `contrib`. A node that cannot be avoided is an error.
    The mapping is passes/to_onnx/; a migration calls it with the operator table of its toolchain instead.
  }];
  let dependentDialects = ["::flagrelease::fr::FrDialect", "::flagrelease::onnx_ir::OnnxDialect"];
  let options = [Option<"opset", "opset", "int64_t", /*default=*/"17", "version of ai.onnx">,
                 ListOption<"refuse", "refuse", "std::string", "operators not to use">,
                 ListOption<"contrib", "contrib", "std::string", "operators outside the standard to use: com.microsoft:Gelu, …">];
}

def Mutate : Fr_Pass<"fr-mutate"> {
  let summary = "one deliberate mistake, to see whether the validator finds it";
  let description = [{
    The kinds stand in passes/Mutate.h. A layer is what lies between a tap whose name ends in a number (`model.layers.3`) and the
    last tap below it (`model.layers.3.mlp`). A value that several layers share (rotary tables, masks) is copied for the layer.
    Params are not touched: the mistake is in the graph, and the manifest of its export stays consistent. When the layer has
    nothing to mutate, that is an error.
  }];
  let options = [Option<"kind", "kind", "std::string", /*default=*/"", "which mistake">,
                 Option<"layer", "layer", "int64_t", /*default=*/"0", "in which layer">,
                 Option<"tensor", "tensor", "std::string", /*default=*/"", "the param, for kinds that change one">];
}

#endif
