// Which states a module has, who extends them, and how functions get arguments and results for them.
#pragma once

#include "ir/Fr.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace flagrelease {

struct StateUse {
  fr::StateOp state;
  fr::StateAppendOp append;
  mlir::func::FuncOp function;
};

/// The states that are appended to, ordered by layer, then key before value, then as used. Emits a diagnostic and fails on
/// what no cache mode handles: a kind other than kv, a state appended to twice, or one inside a function that others call.
mlir::FailureOr<llvm::SmallVector<StateUse>> findStates(mlir::ModuleOp module);

/// A state that keeps its size, and who reads and updates it.
struct FixedStateUse {
  fr::StateOp state;
  llvm::SmallVector<fr::StateReadOp> reads;
  fr::StateUpdateOp update; ///< null: nothing changes it
  mlir::func::FuncOp function;
};
/// Those of every kind but kv that a function reads, in order of layer and use. Fails with a diagnostic on two updates, on a read
/// after the update, and where a state belongs to two functions or to one that another calls.
mlir::FailureOr<llvm::SmallVector<FixedStateUse>> findFixedStates(mlir::ModuleOp module);
/// Turns them into arguments and results ("past_states.3.conv", "present_states.3.conv").
mlir::LogicalResult exposeFixedStates(mlir::ModuleOp module);

/// A further argument or result of `function`, after the existing ones, with the name that users see.
mlir::BlockArgument addArgument(mlir::func::FuncOp function, mlir::Type type, llvm::StringRef name);
void addResult(mlir::func::FuncOp function, mlir::Value value, llvm::StringRef name);

/// "past_key_values.3.key" for prefix "past_key_values".
std::string stateName(llvm::StringRef prefix, fr::StateOp state);

/// Erases the declarations.
void eraseStates(mlir::ModuleOp module);

} // namespace flagrelease
