// Small ONNX models for tests of devices.
#pragma once

#include "ir/DType.h"

#include <string>

namespace flagrelease::test {

/// y = 2 x + 1, elementwise, x: [B, 3] of `type` (F32, F16, I64); also z = x, and s = x's shape as int64 if `withShape`.
std::string affineModel(DType type, bool withShape = false);
/// y = bf16(2 * f32(x)), x bf16 [N]: bfloat16 at both ends.
std::string bf16Model();
/// y = x W, x: [B, 4], W: [4, 2] in `file` at `offset` (external data).
std::string externalModel(const std::string &file, int64_t offset);
/// An operator that no engine has.
std::string unknownOpModel();
/// y = ReduceSum over a tensor of `elements` floats that the graph makes itself: for memory and time.
std::string bigModel(int64_t elements);
/// A loop of x = x * x + x over `steps` iterations on [1]: busy for long, with little memory.
std::string loopModel(int64_t steps);

} // namespace flagrelease::test
