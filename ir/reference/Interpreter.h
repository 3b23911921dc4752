// Runs a function of an `fr` module op by op with the reference functions.
#pragma once

#include "ir/reference/Reference.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include "llvm/ADT/DenseMap.h"

namespace flagrelease {

/// Named tensors going in and out of a call. States are kept between calls of the same session.
template <typename T> class Interpreter {
public:
  Interpreter(mlir::ModuleOp module, ParamReader &params) : module(module), params(params) {}

  struct Request {
    bool taps = false;                    ///< return the taps too, under their names
    std::function<bool()> stop = nullptr; ///< polled between ops; true ends the run with Cause::Later
  };

  /// Runs `function` on inputs named as its arguments. Size symbols are bound from the shapes; P is the length of the state.
  FailureOr<NamedTensors> run(llvm::StringRef function, const NamedTensors &inputs, const Request &request, Diagnostics &diags);
  /// Forgets all states: the next call starts a new text.
  void reset() { states.clear(); }

private:
  using Values = llvm::DenseMap<mlir::Value, RefTensor<T>>;
  /// Runs the ops of a block up to its terminator, whose operands stay in `values`.
  LogicalResult runBlock(mlir::Block &block, Values &values, RefContext<T> &context, const Request &request,
                         NamedTensors &outputs);
  LogicalResult runOp(mlir::Operation &op, Values &values, RefContext<T> &context, const Request &request, NamedTensors &outputs);
  LogicalResult runScan(fr::ScanOp scan, Values &values, RefContext<T> &context, const Request &request);

  mutable mlir::ModuleOp module; ///< MLIR's handles are not const
  ParamReader &params;
  std::map<std::string, RefTensor<T>> states;
};

} // namespace flagrelease
