// Evaluates params of a module from the bytes of a checkpoint, box by box: what is asked for is read, nothing else is held.
#pragma once

#include "ir/Fr.h"
#include "ir/reference/Reference.h"
#include "weights/Cast.h"
#include "weights/Checkpoint.h"

#include "llvm/ADT/StringMap.h"

#include <map>
#include <memory>
#include <mutex>

namespace flagrelease {

namespace params {
template <typename T> struct Evaluator;
struct ByteEvaluator;
class KeptRanges;
} // namespace params

/// A rectangular part of a tensor.
struct Box {
  std::vector<int64_t> begin, size;
  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : size)
      n *= d;
    return n;
  }
};

/// Thread safe after creation: params are only read.
class ParamEvaluator : public ParamReader {
public:
  /// Both outlive the evaluator. `sources` as openSources() gives them.
  ParamEvaluator(const Checkpoint &checkpoint, std::vector<std::shared_ptr<FileSource>> sources, CpuLevel level = bestCpuLevel());

  LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, float *out, Diagnostics &diags) override;
  LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, double *out, Diagnostics &diags) override;
  LogicalResult readIntegers(fr::ParamOp param, int64_t first, int64_t count, int64_t *out, Diagnostics &diags) override;

  /// The param's own bytes [firstByte, firstByte + out.size()) in its declared element type, row-major. Whole elements only.
  /// Losses of range on the way (f32 to f16) are added to `loss`, which may be null.
  LogicalResult readBytes(fr::ParamOp param, int64_t firstByte, llvm::MutableArrayRef<std::byte> out, RangeLoss *loss,
                          Diagnostics &diags) const;

  /// Asks for the bytes of the source that readBytes of this range will read, about: as if the param kept the order of its
  /// elements. Only a hint.
  void willNeed(fr::ParamOp param, int64_t firstByte, uint64_t bytes) const;

  /// Where readBytes is best cut: bytes of the rows that share scales. 0: anywhere between rows.
  static uint64_t grainOf(fr::ParamOp param);

private:
  template <typename T> friend struct params::Evaluator;
  friend struct params::ByteEvaluator;
  static constexpr int64_t kMaxRowsTogether = 1024;

  const Checkpoint &checkpoint;
  std::vector<std::shared_ptr<FileSource>> sources;
  CpuLevel level;
  /// Scales of blocks that are too large to be held: computed once, by whoever needs them first.
  struct KeptScales {
    struct Entry {
      std::mutex lock; ///< one for each op: scales may follow from others
      std::vector<float> values;
    };
    std::mutex lock; ///< of the map
    std::map<mlir::Operation *, Entry> byOp;
  };
  std::shared_ptr<KeptScales> kept = std::make_shared<KeptScales>();
  std::shared_ptr<params::KeptRanges> ranges;
};

} // namespace flagrelease
