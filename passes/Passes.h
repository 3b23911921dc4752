// All passes: `createX()` for each, and registration for developer tools. Declared in Passes.td.
#pragma once

#include "ir/Fr.h"

#include "mlir/Pass/Pass.h"

namespace flagrelease {

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace flagrelease
