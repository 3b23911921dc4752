// The reference: a checkpoint run in this process by the reference functions (ir/reference), in fp32 or fp64.
#pragma once

#include "ir/reference/Interpreter.h"
#include "weights/params/ParamEvaluator.h"

namespace flagrelease {

enum class ReferencePrecision : uint8_t { F32, F64 };

/// A module and the checkpoint it was imported from. Both outlive the model.
class ReferenceModel {
public:
  static FailureOr<std::unique_ptr<ReferenceModel>> open(mlir::ModuleOp module, const Checkpoint &checkpoint,
                                                         ReferencePrecision precision, Diagnostics &diags);

  struct Options {
    bool taps = false;      ///< return the taps too
    bool keepState = false; ///< go on where the last call ended (decode); else start a new text
    std::function<bool()> stop;
  };
  /// Missing attention_mask and position_ids are made as defaultInputs() says. Float outputs are F32 or F64 by precision.
  FailureOr<NamedTensors> run(NamedTensors inputs, const Options &options, Diagnostics &diags);

private:
  ReferenceModel(mlir::ModuleOp module, ParamEvaluator evaluator, ReferencePrecision precision);
  mlir::ModuleOp module;
  ParamEvaluator evaluator;
  ReferencePrecision precision;
  Interpreter<float> narrow;
  Interpreter<double> wide;
  int64_t seen = 0; ///< columns of the calls so far, those of padding too
};

/// Adds what the caller of a model makes when it is not given: attention_mask (all 1, [B, past + S]) and position_ids for the
/// last S columns: a real token's is the number of real tokens before it; pads behind real tokens count on, pads in front have 0.
LogicalResult defaultInputs(NamedTensors &inputs, int64_t past, Diagnostics &diags);

} // namespace flagrelease
