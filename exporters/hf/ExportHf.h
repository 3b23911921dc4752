// The format `hf`: a folder that transformers and vLLM load (README.md). Prints every param of the module that is not private,
// under its own name, in the order of the source.
#pragma once

#include "exporters/Exporter.h"

namespace flagrelease {

/// Needs request.checkpoint and, in request.beside, the config.json of the source.
FailureOr<ExportPlan> exportHf(const ExportRequest &request, Diagnostics &diags);

/// config.json with the dtype that weights now have, in the spelling it had, and the edits of the request; else its own bytes.
FailureOr<std::string> hfConfig(StringRef text, std::optional<DType> floats, llvm::ArrayRef<json::Edit> edits,
                                Diagnostics &diags);

/// "float32", "bfloat16": as torch and the engines call a type; empty for what they have no name for.
StringRef torchName(DType type);

} // namespace flagrelease
