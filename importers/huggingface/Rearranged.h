// Weights that a graph only rearranges become params of their own: experts stacked out of one tensor each, halves of a fused
// projection. What they are is then evaluated by rows, as any param, and never held whole.
#pragma once

#include "ir/Fr.h"

namespace flagrelease {

/// Replaces values of @main that are made of params by moving elements alone (reshape, transpose, slice, concat) by private
/// params, where a mixture of experts reads them or a concat joins them; a single reshape or transpose stays in the graph, which
/// can then still point at the tensor as it lies in its file.
void paramsOfRearranged(mlir::ModuleOp module);

} // namespace flagrelease
