// How a param's numbers come out of a checkpoint: each op of a param's body, evaluated for a box of its result. Private to
// weights/params/.
//
// T is float (what is written), double (the oracle) or int64_t (integers). Only what a box needs is read and held.
#pragma once

#include "ir/reference/Index.h"
#include "weights/params/ParamEvaluator.h"

#include <algorithm>
#include <memory>
#include <new>

namespace flagrelease::params {

class RangesOfBlocks;

/// Leaves new elements as they are: what is written next need not be zeroed first.
template <typename T> struct Unset : std::allocator<T> {
  template <typename U> struct rebind {
    using other = Unset<U>;
  };
  template <typename U> void construct(U *at) { ::new (static_cast<void *>(at)) U; }
};
template <typename T> using Scratch = std::vector<T, Unset<T>>;

std::vector<int64_t> staticShape(mlir::Type type);

/// Calls visit(flat index in the box, offset in the tensor, run length) for each run of the box that lies together in memory.
template <typename Visit> LogicalResult forRuns(const std::vector<int64_t> &shape, const Box &box, Visit visit) {
  if (box.elements() == 0)
    return success();
  // Trailing dimensions that the box covers whole join into one run.
  size_t split = shape.size();
  int64_t run = 1;
  while (split > 0) {
    run *= box.size[split - 1];
    --split;
    if (box.size[split] != shape[split])
      break;
  }
  std::vector<int64_t> strides = stridesOf(shape), outer(box.size.begin(), box.size.begin() + split);
  int64_t base = 0;
  for (size_t d = 0; d < shape.size(); ++d)
    base += box.begin[d] * strides[d];
  std::vector<int64_t> outerStrides[1] = {{strides.begin(), strides.begin() + split}};
  LogicalResult result = success();
  walk(outer, outerStrides, [&](int64_t flat, const int64_t *at) {
    if (succeeded(result))
      result = visit(flat * run, base + at[0], run);
  });
  return result;
}

/// The boxes, in order, that a range of a row-major tensor's elements consists of: visit(box) -> LogicalResult.
template <typename Visit> LogicalResult forBoxes(const std::vector<int64_t> &shape, int64_t first, int64_t count, Visit visit) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;)
    strides[d - 1] = strides[d] * shape[d];
  while (count > 0) {
    Box box{std::vector<int64_t>(shape.size(), 0), shape};
    int64_t taken = 1, rest = first;
    for (size_t d = 0; d < shape.size(); ++d) {
      box.begin[d] = rest / strides[d];
      rest %= strides[d];
      // The first dimension from which on whole slices are wanted; before it, one index each.
      const bool whole = rest == 0 && count >= strides[d];
      box.size[d] = whole ? std::min(count / strides[d], shape[d] - box.begin[d]) : 1;
      if (whole) {
        taken = box.size[d] * strides[d];
        for (size_t inner = d + 1; inner < shape.size(); ++inner)
          box.begin[inner] = 0, box.size[inner] = shape[inner];
        break;
      }
    }
    if (failed(visit(box)))
      return failure();
    first += taken;
    count -= taken;
  }
  return success();
}

/// Calls visit(part) -> LogicalResult for the parts that a box is cut into along its first dimensions, in order, each of about
/// `limit` elements at most. Cuts lie at multiples of `align` of their dimension; an empty `align` stands for ones.
template <typename Visit>
LogicalResult forParts(const Box &box, int64_t limit, llvm::ArrayRef<int64_t> align, const Visit &visit) {
  const size_t rank = box.size.size();
  size_t d = 0;
  while (d < rank && box.size[d] == 1)
    ++d;
  const int64_t elements = box.elements();
  if (elements <= limit || d == rank)
    return visit(box);
  const int64_t unit = align.empty() ? 1 : align[d], slice = elements / box.size[d];
  const int64_t step = std::max<int64_t>(1, limit / slice / unit) * unit, end = box.begin[d] + box.size[d];
  for (int64_t at = box.begin[d]; at < end;) {
    Box part = box;
    part.begin[d] = at;
    part.size[d] = std::min(end, (at / unit * unit) + step) - at;
    at += part.size[d];
    // A slice that is too large by itself is cut along the next dimension.
    if (failed(part.size[d] == 1 ? forParts(part, limit, align, visit) : visit(part)))
      return failure();
  }
  return success();
}

/// The box of blocks that touch a box of elements, and the box of all elements of those blocks.
struct BlockCover {
  Box blocks, elements;
};
BlockCover coverOf(const std::vector<int64_t> &shape, llvm::ArrayRef<int64_t> blockSizes, const Box &box);

/// Ranges of blocks that are shared with other params; `ranges` may be null.
struct SharedRanges {
  mlir::Value x;
  llvm::ArrayRef<int64_t> blocks;
  RangesOfBlocks *ranges;

  bool areOf(mlir::Value other, llvm::ArrayRef<int64_t> otherBlocks) const {
    return ranges && x == other && blocks == otherBlocks;
  }
};

template <typename T> struct Evaluator {
  const ParamEvaluator &owner;
  llvm::StringRef where; ///< the param
  RangeLoss *loss;
  Diagnostics &diags;
  SharedRanges shared = {};

  LogicalResult eval(mlir::Value value, const Box &box, T *out);

  template <typename U> Evaluator<U> as() const { return {owner, where, loss, diags, shared}; }
  static void decode(DType type, const std::byte *bytes, T *out, int64_t count, CpuLevel level);
  /// Rounds to the declared type, so that what follows sees the numbers that a file of that type would hold.
  void round(DType type, T *values, int64_t count);

private:
  LogicalResult get(fr::GetOp op, const Box &box, T *out);
  LogicalResult reshape(fr::ReshapeOp op, const Box &box, T *out);
  LogicalResult transpose(fr::TransposeOp op, const Box &box, T *out);
  LogicalResult concat(fr::ConcatOp op, const Box &box, T *out);
  LogicalResult gather(fr::GatherOp op, const Box &box, T *out);
  LogicalResult constant(fr::ConstantOp op, const Box &box, T *out);
  template <typename Combine> LogicalResult binary(mlir::Operation *op, const Box &box, T *out, Combine combine);
  LogicalResult unpack(fr::UnpackOp op, const Box &box, T *out);
  LogicalResult dequantize(fr::DequantizeOp op, const Box &box, T *out);
  LogicalResult decodeBlocks(fr::DecodeOp op, const Box &box, T *out);
  LogicalResult quantScale(fr::QuantScaleOp op, const Box &box, T *out);
  LogicalResult scalesIn(fr::QuantScaleOp op, const Box &box, float *out);
  /// Ops whose results are bytes: their values as numbers.
  LogicalResult fromBytes(mlir::Value value, const Box &box, T *out);
};

/// The bytes of a quantize, quant_zero, pack or encode as they are stored; false for any other op.
bool givesBytes(mlir::Value value);
/// How a box of such a value is best cut: at whole blocks and words, so that nothing is computed twice, and into parts whose
/// numbers stay in the cache from reading to writing.
struct Cuts {
  std::vector<int64_t> align; ///< by dimension, in elements of the value
  int64_t elements;           ///< of a part, about
};
Cuts cutsOf(mlir::Value value);
LogicalResult evalBytes(const Evaluator<float> &with, mlir::Value value, const Box &box, std::byte *out);

} // namespace flagrelease::params
