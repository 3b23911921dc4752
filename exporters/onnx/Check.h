// Debian's libonnx as a judge of what we wrote. It knows opsets up to 17; newer models are judged by Python's checker in tests.
#pragma once

#include "text/Diagnostics.h"

#include <onnx/onnx_pb.h>

namespace flagrelease::onnx_export {

/// Success also where the library cannot judge: a newer opset, or an operator that ONNX Runtime keeps in the default domain.
LogicalResult checkModel(const onnx::ModelProto &model, Diagnostics &diags);

} // namespace flagrelease::onnx_export
