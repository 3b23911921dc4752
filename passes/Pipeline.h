// The passes of a migration, in order. Pipeline.cpp says why in that order.
#pragma once

#include "ir/DType.h"
#include "text/Diagnostics.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mlir {
class ModuleOp;
class OpPassManager;
} // namespace mlir

namespace flagrelease {

struct PipelineOptions {
  enum class Cache { Keep, None, Dynamic, Static };
  enum class Taps { Keep, Drop, Outputs };

  Cache cache = Cache::Keep; ///< Keep: states stay states, as the reference device runs them
  int64_t cacheSize = 0;     ///< columns of a static cache
  /// Sizes that become numbers, such as {"B", 1}, {"S", 512}.
  std::vector<std::pair<std::string, int64_t>> sizes;
  Taps taps = Taps::Keep;
  /// Options of fr-quantize-weights, as they would stand in braces; empty: matrices stay numbers.
  struct Quantize {
    std::string kind = "int", scale = "f32", layout = "effective";
    int64_t bits = 8, rows = 1, columns = 0, activations = 0;
    bool symmetric = true, packed = true, fallback = false;
    std::vector<std::string> skip, formats;
  };
  std::optional<Quantize> quantize;
  /// A quantised source whose parts do not ship: fr-replace-quantized, with the parts that no number depends on.
  std::optional<std::vector<std::string>> replaceQuantized;
  /// F32, F16 or BF16; none keeps the stored types.
  std::optional<DType> floats;
  /// Removes params that the graph does not read. False for checkpoint formats, which keep every tensor.
  bool dropUnusedParams = false;
};

/// A dictionary of the module after fr-quantize-weights with `fallback`: tensors that the scheme does not fit → why.
inline constexpr llvm::StringLiteral kFallbackAttr = "fr.fallback";

/// Appends the passes to a manager of modules.
void buildPipeline(mlir::OpPassManager &manager, const PipelineOptions &options);

/// Runs passes on a module; `build` appends them. What they emit ends up in `diags`. With a `dumpDir` (an existing folder) the
/// module is written there before the first pass, as 00-import.mlir, and after each pass, as 01-fr-cache-none.mlir ...
LogicalResult runPasses(mlir::ModuleOp module, llvm::function_ref<void(mlir::OpPassManager &)> build, llvm::StringRef dumpDir,
                        Diagnostics &diags);

inline LogicalResult runPipeline(mlir::ModuleOp module, const PipelineOptions &options, llvm::StringRef dumpDir,
                                 Diagnostics &diags) {
  return runPasses(module, [&](mlir::OpPassManager &manager) { buildPipeline(manager, options); }, dumpDir, diags);
}

} // namespace flagrelease
