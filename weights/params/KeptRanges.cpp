#include "weights/params/KeptRanges.h"

#include "weights/params/Evaluator.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

using namespace mlir;

namespace flagrelease::params {

namespace {
constexpr int64_t kMostBlocks = (int64_t(48) << 20) / 9; ///< 9 bytes each

/// Equal for values that are computed in the same way from the same weights.
void describe(Value value, llvm::raw_ostream &to) {
  Operation *op = value.getDefiningOp();
  to << op->getName() << op->getAttrDictionary() << op->getPropertiesAsAttribute() << value.getType() << "(";
  for (Value operand : op->getOperands())
    describe(operand, to);
  to << ")";
}
} // namespace

RangesOfBlocks::RangesOfBlocks(std::vector<int64_t> shape) : shape(std::move(shape)) {
  const Box all{{}, this->shape};
  values.resize(all.elements());
  known.resize(all.elements());
}

void RangesOfBlocks::put(const Box &blocks, llvm::ArrayRef<NumberRange> ranges) {
  std::lock_guard guard(lock);
  (void)forRuns(shape, blocks, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
    for (int64_t i = 0; i < run; ++i) {
      values[offset + i] = {ranges[flat + i].least, ranges[flat + i].most};
      known[offset + i] = 1;
    }
    return success();
  });
}

bool RangesOfBlocks::get(const Box &blocks, std::vector<NumberRange> &ranges) const {
  ranges.resize(blocks.elements());
  std::lock_guard guard(lock);
  return succeeded(forRuns(shape, blocks, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
    for (int64_t i = 0; i < run; ++i) {
      if (!known[offset + i])
        return failure();
      NumberRange &range = ranges[flat + i];
      range.least = values[offset + i].least;
      range.most = values[offset + i].most;
      const float largest = std::max(-range.least, range.most);
      std::memcpy(&range.absBits, &largest, sizeof largest);
      range.absBits &= 0x7FFFFFFFu; // of a zero
    }
    return success();
  }));
}

void RangesOfBlocks::Use::change(int by) {
  if (!of)
    return;
  {
    std::lock_guard guard(of->lock);
    of->users += by;
  }
  of->changed.notify_all();
}

void RangesOfBlocks::settle() const {
  std::unique_lock guard(lock);
  changed.wait(guard, [&] { return users == 0; });
}

std::shared_ptr<RangesOfBlocks> KeptRanges::of(Value x, llvm::ArrayRef<int64_t> blocks) {
  std::vector<int64_t> shape = staticShape(x.getType());
  if (shape.size() != blocks.size())
    return nullptr;
  int64_t total = 1;
  for (auto [size, block] : llvm::zip_equal(shape, blocks)) {
    size = (size + block - 1) / block;
    total *= size;
  }
  if (total > kMostBlocks)
    return nullptr;
  std::string key;
  llvm::raw_string_ostream stream(key);
  describe(x, stream);
  for (int64_t block : blocks)
    stream << "," << block;
  stream.flush();
  std::lock_guard guard(lock);
  for (auto &[known, entry] : entries)
    if (known == key)
      return entry;
  entries.emplace_front(key, std::make_shared<RangesOfBlocks>(std::move(shape)));
  for (int64_t held = 0; auto [i, entry] : llvm::enumerate(entries))
    if ((held += entry.second->count()) > kMostBlocks) {
      entries.resize(i);
      break;
    }
  return entries.front().second;
}

} // namespace flagrelease::params
