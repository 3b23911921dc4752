// Prints a module at the level of the dialect `onnx` as an ONNX model (https://github.com/onnx/onnx/blob/main/docs/IR.md): one
// node per op, weights as external data.
//
// A param that is a tensor of the checkpoint as it is stored points into the checkpoint's own file, which is placed beside the
// graph; every other param gets a place in STEM.onnx.data, aligned to 4 KiB. Graphs hold small constants only and stay far below
// the 2 GiB of a protobuf message.
#pragma once

#include "exporters/Exporter.h"

namespace flagrelease {

/// Fails with Cause::Input if a value of the interface has no `fr.name`, an element type has no number in ONNX, a file of the
/// checkpoint is named as a file of the format, or Debian's checker (up to opset 17) refuses the model.
FailureOr<ExportPlan> exportOnnx(const ExportRequest &request, Diagnostics &diags);

} // namespace flagrelease
