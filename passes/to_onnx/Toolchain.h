// The target that a toolchain's operator table describes.
#pragma once

#include "passes/to_onnx/ToOnnx.h"
#include "recipes/OpTable.h"

namespace flagrelease {

/// Takes what the table knows at least by name: an operator that it does not have, or only may have, is used when no way without
/// it is left, and then stands in the report. The table must outlive the target.
OnnxTarget onnxTarget(const OpTable &table, int64_t opset);

/// What the table says of a node.
OpLookup lookUp(const OpTable &table, const OnnxNodeQuery &query);

} // namespace flagrelease
