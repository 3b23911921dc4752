// What fr-quantize-weights puts in the place of a matrix X.weight [N, K]: params with the names and packing of a consumer. Not
// for other folders.
//
//   compressed-tensors  X.weight I8 or F8_E4M3, or packed: X.weight_packed I32 [N, K * bits / 32] with X.weight_shape I64 [2];
//   X.weight_scale
//                       [N, G], X.weight_zero_point I32 [N * bits / 32, G]. mxfp4: X.weight_packed U8 [N, K / 2], X.weight_scale
//                       U8 [N, K / 32]
//   fp8                 X.weight F8_E4M3, X.weight_scale_inv, one per block
//   gptq                X.qweight I32 [K * bits / 32, N], X.qzeros I32 [G, N * bits / 32] of zero - 1, X.scales [G, N], X.g_idx
//   I32 [K] onnx                what MatMulNBits and DequantizeLinear read: unsigned codes of groups, packed into bytes; I8 by
//   rows effective           nothing
//
// In all but onnx the graph reads a private param with the numbers that the stored ones stand for.
#pragma once

#include "ir/BlockFormat.h"
#include "ir/DType.h"
#include "ir/Fr.h"

namespace flagrelease::stored {

enum class Kind : uint8_t { Int, Fp8, Mxfp4, Blocks };
enum class Layout : uint8_t { CompressedTensors, Fp8, Gptq, Onnx, Effective };

struct Numbers {
  Kind kind = Kind::Int;
  Layout layout = Layout::Effective;
  int64_t bits = 8;              ///< Int
  int64_t rows = 1, columns = 0; ///< numbers that share a scale; 0: all
  bool symmetric = true;
  bool packed = true;       ///< 8 bits are packed into words too
  DType scale = DType::F32; ///< of stored scales
};

/// Replaces a matrix. `uses` are all of its uses; where the graph reads something else afterwards they are changed or erased.
llvm::LogicalResult storeMatrix(const Numbers &numbers, fr::ParamOp param, llvm::ArrayRef<fr::UseOp> uses);
/// A matrix as blocks of ggml: the param stays, the graph reads what its blocks stand for.
llvm::LogicalResult storeBlocks(BlockFormat format, fr::ParamOp param, llvm::ArrayRef<fr::UseOp> uses);
/// The input of a linear layer as 8-bit integers with one scale for each row of its last dimension, -127 to 127, and back.
void roundInput(fr::LinearOp linear);

} // namespace flagrelease::stored
