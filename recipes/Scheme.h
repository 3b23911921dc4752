// Schemes (recipes/schemes/*.yaml): how the numbers of a migrated model are stored.
//
// A scheme states the storage of weights and what to do where that storage cannot hold a value. It changes floating-point tensors
// only; integers and booleans stay as they are.
//
//   storage: {dtype: source | fp32 | fp16 | bf16}       of every tensor that `weights` does not take
//   weights: {kind: int, bits: 4, symmetric: true, group: 128, scale: bf16}
//            kind int or fp8 (E4M3); one scale for a `group` of numbers in a row, or `per:` row | tensor; fp8 also `block: [128,
//            128]`
//   weights: {kind: blocks, format: q4_k, rules: [...], instead: {q4_k: q5_0}}
//            formats of ggml, by rules over the names of GGUF tensors; `instead` where a row is no whole blocks
//   activations: {bits: 8, per: token}                   what the consumer rounds while it runs
//   skip: [embedding, output]                            matrices that stay as `storage` says
//   layout: compressed-tensors-w4a16                     what a toolchain's `loads` calls it
//   formats: [hf, onnx]                                  that can hold it; all when absent
#pragma once

#include "ir/BlockFormat.h"
#include "ir/DType.h"
#include "recipes/Expr.h"
#include "recipes/RecipeFiles.h"
#include "text/Diagnostics.h"

#include <map>
#include <optional>

namespace flagrelease {

/// What happens when a finite value becomes another kind of value by being stored.
enum class OnLoss : uint8_t {
  Refuse, ///< the migration is infeasible: the tensor, the value and the limit are named
  Report, ///< counted and reported per tensor
  Allow,
};
StringRef onLossName(OnLoss rule);

/// One rule of a mixture: the first that fits a tensor decides its format.
struct BlockRule {
  std::string tensor;       ///< the part of a GGUF name between "blk.N." and ".weight": attn_v, token_embd; empty: any
  std::optional<Expr> when; ///< sees i (layer), n (layers), tied (there is no output.weight), arch, heads, kv_heads
  BlockFormat format = BlockFormat::Q8_0;
};

/// How matrices of linear layers are stored.
struct WeightNumbers {
  enum class Kind : uint8_t { Int, Fp8, Blocks };
  Kind kind = Kind::Int;
  int64_t bits = 8; ///< Int: 4 or 8
  bool symmetric = true;
  int64_t rows = 1, columns = 0; ///< numbers that share a scale; 0: all
  DType scale = DType::F32;      ///< of stored scales

  BlockFormat format = BlockFormat::Q8_0; ///< Blocks: where no rule fits
  std::vector<BlockRule> rules;
  std::map<BlockFormat, BlockFormat> instead; ///< by format whose blocks do not fit a row
  std::optional<uint32_t> fileType;           ///< general.file_type of llama.h, where the mixture has one
};

struct Scheme {
  std::string name;
  std::string summary;
  std::optional<DType> dtype;             ///< of stored weights; nothing: as the source stores them
  std::optional<WeightNumbers> weights;   ///< of matrices; nothing: as `dtype` says
  int64_t activationBits = 0;             ///< that the consumer rounds activations to, per token; 0: not at all
  std::vector<std::string> skip, formats; ///< see above
  std::string layout;
  OnLoss overflow = OnLoss::Refuse;  ///< finite becomes infinite
  OnLoss underflow = OnLoss::Report; ///< not zero becomes zero
  RecipeFile file;

  /// The dtype in which a weight of the source that `weights` does not take is stored.
  DType storedAs(DType source) const { return dtype && isFloatingPoint(source) ? *dtype : source; }

private:
  static bool isFloatingPoint(DType type) { return type <= DType::F8E8M0; }
};

class Schemes {
public:
  /// Reads every scheme of a folder (recipes/schemes); `extra` as recipeFilesIn has it.
  static FailureOr<Schemes> load(StringRef folder, StringRef extra, Diagnostics &diags);

  const Scheme *find(StringRef name) const;
  /// As find; an unknown name is a problem at `where` that names the nearest.
  FailureOr<const Scheme *> get(StringRef name, StringRef where, Diagnostics &diags) const;
  std::vector<std::string> names() const;
  const std::map<std::string, Scheme> &all() const { return schemes; }

private:
  std::map<std::string, Scheme> schemes;
};

} // namespace flagrelease
