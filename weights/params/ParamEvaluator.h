// Evaluates params of a module from the bytes of a checkpoint, box by box: what is asked for is read, nothing else is held.
#pragma once

#include "ir/Fr.h"
#include "ir/reference/Reference.h"
#include "weights/Cast.h"
#include "weights/Checkpoint.h"

#include "llvm/ADT/StringMap.h"

#include <memory>
#include <mutex>

namespace flagrelease {

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
  ParamEvaluator(const Checkpoint &checkpoint, std::vector<std::shared_ptr<FileSource>> sources)
      : checkpoint(checkpoint), sources(std::move(sources)) {}

  LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, float *out, Diagnostics &diags) override;
  LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, double *out, Diagnostics &diags) override;
  LogicalResult readIntegers(fr::ParamOp param, int64_t first, int64_t count, int64_t *out, Diagnostics &diags) override;

  /// The param's own bytes [firstByte, firstByte + out.size()) in its declared element type, row-major. Whole elements only.
  /// Losses of range on the way (f32 to f16) are added to `loss`, which may be null.
  LogicalResult readBytes(fr::ParamOp param, int64_t firstByte, llvm::MutableArrayRef<std::byte> out, RangeLoss *loss,
                          Diagnostics &diags) const;

private:
  const Checkpoint &checkpoint;
  std::vector<std::shared_ptr<FileSource>> sources;
};

} // namespace flagrelease
