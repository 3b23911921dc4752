// Weights, params and state.
#ifndef FLAGRELEASE_IR_FRWEIGHTOPS_TD
#define FLAGRELEASE_IR_FRWEIGHTOPS_TD

include "ir/FrOpBase.td"

def Fr_WeightsOp : Fr_Op<"weights", [SymbolTable, Symbol, NoTerminator, SingleBlock, NoRegionArguments]> {
  let summary = "the physical tensors of the source, in a symbol table of their own";
  let description = [{
    Params carry the names of tensors too, so weights stand in their own symbol table: `fr.get @source::@"model.norm.weight"`.
    File, offset and digest of a weight are not in the module; they stand in the source table beside it (`sources.json`).
  }];
  let arguments = (ins SymbolNameAttr:$sym_name);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
}

def Fr_WeightOp : Fr_Op<"weight", [Symbol, HasParent<"WeightsOp">]> {
  let summary = "one physical tensor, or a family of them with a leading axis";
  let description = [{
    The type is the stored type. With `family`, the name holds `{e}` and the leading axis of the type counts the members:
    46,000 expert tensors are 180 symbols.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Fr_Tensor>:$type, OptionalAttr<Fr_I64Attr>:$family);
  let assemblyFormat = "$sym_name (`family` $family^)? `:` $type attr-dict";
  let hasVerifier = 1;
}

def Fr_ParamOp : Fr_Op<"param", [Symbol, SingleBlockImplicitTerminator<"YieldOp">, NoRegionArguments, IsolatedFromAbove]> {
  let summary = "a tensor derived from weights: the unit of materialisation, naming, resuming, hashing and origin";
  let description = [{
    The body gets weights, applies ops to them and yields one tensor of type `type`. The identity (`get`, `yield`) keeps a
    tensor as it is stored.

    Example:
    ```mlir
    fr.param @"model.norm.weight" : tensor<64xf32> {
      %0 = fr.get @source::@"model.norm.weight" : tensor<64xbf16>
      %1 = fr.cast %0 : (tensor<64xbf16>) -> tensor<64xf32>
      fr.yield %1 : tensor<64xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Fr_Tensor>:$type, OptionalAttr<StrAttr>:$sym_visibility);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name `:` $type attr-dict-with-keyword $body";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The weight that this param passes on unchanged; null if it computes anything.
    GetOp getIdentity();
  }];
}

def Fr_GetOp : Fr_Op<"get", [NoMemoryEffect, HasParent<"ParamOp">, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "reads a physical tensor inside a param; never constant-like, so folders do not touch weights";
  let arguments = (ins SymbolRefAttr:$weight);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

def Fr_YieldOp : Fr_Op<"yield", [Pure, Terminator, HasParent<"ParamOp">]> {
  let summary = "ends a param";
  let arguments = (ins Optional<Fr_Tensor>:$value);
  let assemblyFormat = "($value^ `:` type($value))? attr-dict";
  let builders = [OpBuilder<(ins), [{}]>];
}

def Fr_UseOp : Fr_Op<"use", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a param as a value of the graph";
  let arguments = (ins FlatSymbolRefAttr:$param);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$param attr-dict `:` type($result)";
}

def Fr_StateOp : Fr_Op<"state", [Symbol]> {
  let summary = "what the model keeps between calls, declared once";
  let description = [{
    A `kv` state grows by the tokens of each call along `axis`: its type has size P there. A state of any other kind keeps its
    size and begins with `init` everywhere. `layer` and `part` name it outside (`past_key_values.3.key`, `past_states.3.conv`). Cache modes are passes: none removes states, dynamic and static make them inputs and outputs.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Fr_StateKindAttr:$kind, Fr_I64Attr:$layer, StrAttr:$part, Fr_I64Attr:$axis,
                   TypeAttrOf<Fr_Tensor>:$type, DefaultValuedAttr<F64Attr, "0.0">:$init);
  let hasVerifier = 1;
  let assemblyFormat = "$sym_name $kind `layer` $layer `part` $part `axis` $axis `:` $type attr-dict";
}

def Fr_StateAppendOp : Fr_Op<"state.append", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "extends a kv state by the tokens of this call and returns all of it";
  let arguments = (ins FlatSymbolRefAttr:$state, Fr_Tensor:$value);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$state `,` $value attr-dict `:` functional-type($value, $result)";
}

def Fr_StateReadOp : Fr_Op<"state.read", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "what a state that does not grow holds from the call before";
  let arguments = (ins FlatSymbolRefAttr:$state);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$state attr-dict `:` type($result)";
}

def Fr_StateUpdateOp : Fr_Op<"state.update", [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "what the next call reads";
  let arguments = (ins FlatSymbolRefAttr:$state, Fr_Tensor:$value);
  let assemblyFormat = "$state `,` $value attr-dict `:` type($value)";
}

def Fr_TapOp : Fr_Op<"tap", [AllTypesMatch<["value", "result"]>]> {
  let summary = "an alignment point: the identity, named as users of transformers know the tensor";
  let description = [{
    Has no side effect but is never removed by clean-up: every pass keeps it until fr-drop-taps.
  }];
  let arguments = (ins StrAttr:$name, Fr_Tensor:$value);
  let results = (outs Fr_Tensor:$result);
  let assemblyFormat = "$name `,` $value attr-dict `:` type($value)";
}

#endif
