// `quantization_config` of config.json in the words of the consumer: compressed-tensors
// (https://github.com/vllm-project/compressed-tensors), or, for blocks of FP8, that of DeepSeek-V3's checkpoints (`quant_method:
// fp8`), which transformers and vLLM read.
#pragma once

#include "recipes/Scheme.h"
#include "text/Json.h"

#include "mlir/IR/BuiltinOps.h"

namespace flagrelease {

/// For a scheme with `weights`, and a module after fr-quantize-weights: its attribute fr.kept says which linear layers stay.
json::Value hfQuantizationConfig(const Scheme &scheme, mlir::ModuleOp module);

} // namespace flagrelease
