// The dialect `onnx`: the target level. One generic op stands for every operator; what it may look like is said by the schema
// table (Schema.h), not by ODS, so that a new opset is a new table.
#ifndef FLAGRELEASE_IR_ONNX_ONNXOPS_TD
#define FLAGRELEASE_IR_ONNX_ONNXOPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Onnx_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::flagrelease::onnx_ir";
  let summary = "a model as operators of the ONNX standard";
  let description = [{
    The attribute `onnx.opset = {ai.onnx = 17, com.microsoft = 1}` of the module says which version of each domain its operators
    belong to. A module at this level holds fr.weights, fr.param and functions of fr.use, onnx.* and func.return.
  }];
  let hasOperationAttrVerify = 1;
}

class Onnx_Op<string mnemonic, list<Trait> traits = []> : Op<Onnx_Dialect, mnemonic, traits>;

def Onnx_NodeOp : Onnx_Op<"op", [Pure]> {
  let summary = "one ONNX operator";
  let description = [{
    `op_type`, `domain` (absent: ai.onnx) and `node_attributes` are those of the file format. An absent optional input is `onnx.none`.
    Verified against the schema in force at the module's opset.

    Example:
    ```mlir
    %1 = onnx.op "Softmax"(%0) {axis = -1 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
    %2 = onnx.op com.microsoft "Gelu"(%1) : (tensor<2x3xf32>) -> tensor<2x3xf32>
    ```
  }];
  let arguments = (ins StrAttr:$op_type, OptionalAttr<StrAttr>:$domain, OptionalAttr<DictionaryAttr>:$node_attributes,
                   Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The domain as the schema table spells it.
    ::llvm::StringRef getDomainName();
  }];
}

def Onnx_ConstantOp : Onnx_Op<"constant", [Pure, ConstantLike, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "a small dense constant, written as an initializer inside the graph";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "attr-dict $value";
  let hasFolder = 1;
}

def Onnx_ViewOp : Onnx_Op<"view", [Pure]> {
  let summary = "the bytes of a param as a tensor of another element type and shape";
  let description = [{
    How packed nibbles (ui8 in a checkpoint) become a tensor of 4-bit integers without being written twice: ONNX puts the first
    of two into the low bits, and counts over the whole tensor, rows of odd length included.

    Example:
    ```mlir
    %1 = onnx.view %0 : tensor<8x2x16xui8> -> tensor<8x64xui4>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$param);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$param attr-dict `:` type($param) `->` type($result)";
  let hasVerifier = 1;
}

def Onnx_ScanOp : Onnx_Op<"scan", [SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "the operator Scan: its body is a region, all sequences run along one axis";
  let description = [{
    Inputs are `states` initial states, then the sequences; results the last states, then the stacked outputs. The body may use
    values from outside, as the file format allows.
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$inputs, I64Attr:$states, I64Attr:$axis);
  let results = (outs Variadic<AnyRankedTensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$inputs `states` $states `axis` $axis attr-dict `:` functional-type($inputs, $outputs) $body";
}

def Onnx_YieldOp : Onnx_Op<"yield", [Pure, Terminator, HasParent<"ScanOp">]> {
  let summary = "ends the body of a scan";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), [{}]>];
}

def Onnx_NoneOp : Onnx_Op<"none", [Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "an optional input that is absent";
  let results = (outs NoneType:$result);
  let assemblyFormat = "attr-dict";
}

#endif
