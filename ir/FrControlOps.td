// Ops with a body.
#ifndef FLAGRELEASE_IR_FRCONTROLOPS_TD
#define FLAGRELEASE_IR_FRCONTROLOPS_TD

include "ir/FrOpBase.td"

def Fr_ScanOp : Fr_Op<"scan", [SingleBlockImplicitTerminator<"ScanYieldOp">, AttrSizedOperandSegments]> {
  let summary = "a recurrence: the body once for each element along an axis, each with the state that the one before left";
  let description = [{
    `inits` are the states before the first step; `sequences` have the same size along `axis` and lose that axis inside. The body
    gets the states and one slice of each sequence, and yields the new states and one slice of each output. Results are the last
    states and the outputs, stacked along `axis`. `name` says what the recurrence is (`ssm`, `gated_delta_rule`): reports print
    it. The body may use values from outside.

    Example: running sums of x along axis 1.
    ```mlir
    %last, %all = fr.scan "sum" inits %zero sequences %x axis 1 : (tensor<2xf32>, tensor<2x5xf32>) -> (tensor<2xf32>, tensor<2x5xf32>) {
    ^bb0(%state: tensor<2xf32>, %xi: tensor<2xf32>):
      %next = fr.add %state, %xi : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
      fr.scan.yield %next, %next : tensor<2xf32>, tensor<2xf32>
    }
    ```
  }];
  let arguments = (ins StrAttr:$name, Variadic<Fr_Tensor>:$inits, Variadic<Fr_Tensor>:$sequences, Fr_I64Attr:$axis);
  let results = (outs Variadic<Fr_Tensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$name (`inits` $inits^)? `sequences` $sequences `axis` $axis attr-dict `:` functional-type(operands, $results) $body";
  let hasVerifier = 1;
}

def Fr_ScanYieldOp : Fr_Op<"scan.yield", [Pure, Terminator, HasParent<"ScanOp">]> {
  let summary = "ends a step of a scan: the new states, then the slices of the outputs";
  let arguments = (ins Variadic<Fr_Tensor>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), [{}]>];
}

#endif
