// What every op of the `fr` dialect is. Each has a reference function in ir/reference/ that gives it its meaning.
#ifndef FLAGRELEASE_IR_FROPBASE_TD
#define FLAGRELEASE_IR_FROPBASE_TD

include "ir/FrDialect.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpAsmInterface.td"

class Fr_Op<string mnemonic, list<Trait> traits = []> : Op<Fr_Dialect, mnemonic, traits>;
// Ops that only compute: removable when unused, equal ones merge, and the result type follows from the operands.
class Fr_PureOp<string mnemonic, list<Trait> traits = []>
    : Fr_Op<mnemonic, !listconcat([Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>], traits)>;

#endif
