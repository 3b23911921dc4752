// What quantising found out about blocks of numbers, kept for the tensors that follow from the same blocks.
//
// The integers of a matrix, its scales and its zero points are stored tensors of their own, each with an expression of its own.
// All of them need the ranges of the same blocks of the same numbers. Who comes first keeps them here, so that the source is read
// once. Ranges of the last few matrices are held, 48 MiB at most; what is not here is computed again, with the same result.
#pragma once

#include "ir/reference/Numbers.h"
#include "weights/params/ParamEvaluator.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace flagrelease::params {

/// Of the blocks of one matrix. Thread safe.
class RangesOfBlocks {
public:
  explicit RangesOfBlocks(std::vector<int64_t> shape);
  int64_t count() const { return static_cast<int64_t>(known.size()); }

  void put(const Box &blocks, llvm::ArrayRef<NumberRange> ranges);
  /// False if one of them is not there.
  bool get(const Box &blocks, std::vector<NumberRange> &ranges) const;

  /// Somebody is about to put ranges, from the construction of this to its end.
  class Use {
  public:
    explicit Use(RangesOfBlocks *of) : of(of) { change(1); }
    ~Use() { change(-1); }
    Use(const Use &) = delete;
    Use &operator=(const Use &) = delete;

  private:
    void change(int by);
    RangesOfBlocks *of;
  };
  /// Waits until nobody is about to.
  void settle() const;

private:
  struct Pair { ///< NumberRange of finite numbers
    float least = 0, most = 0;
  };
  std::vector<int64_t> shape;
  mutable std::mutex lock;
  mutable std::condition_variable changed;
  int users = 0;
  std::vector<Pair> values;
  std::vector<char> known;
};

class KeptRanges {
public:
  /// Those of the blocks of `x`; null if they are too many.
  std::shared_ptr<RangesOfBlocks> of(mlir::Value x, llvm::ArrayRef<int64_t> blocks);

private:
  std::mutex lock;
  std::deque<std::pair<std::string, std::shared_ptr<RangesOfBlocks>>> entries; ///< the newest first
};

} // namespace flagrelease::params
