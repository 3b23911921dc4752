// All passes: `createX()` for each, and registration for developer tools. Declared in Passes.td.
#pragma once

#include "ir/Fr.h"

#include "mlir/IR/Location.h"
#include "mlir/Pass/Pass.h"

namespace flagrelease {

/// Where a pass says no to a model that it understands (Cause::Answer); its other errors are about the input.
using AnswerLoc = mlir::FusedLocWith<mlir::StringAttr>;
inline mlir::Location answerAt(mlir::Location loc) {
  return mlir::FusedLoc::get(loc.getContext(), {loc}, mlir::StringAttr::get(loc.getContext(), "answer"));
}

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace flagrelease
