// The ops that say how weights are stored, for boxes: see Evaluator.h. Numbers: ir/reference/Numbers.h.
#include "ir/reference/Index.h"
#include "ir/reference/Numbers.h"
#include "weights/codecs/Codec.h"
#include "weights/params/Evaluator.h"
#include "weights/params/KeptRanges.h"
#include "weights/params/Kernels.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace flagrelease;
using namespace flagrelease::params;
using namespace mlir;

namespace {
/// Numbers of blocks that are held at a time, at most.
constexpr int64_t kMaxHeld = int64_t(1) << 20;
/// Numbers that are looked at together where there is a choice: they stay in the cache.
constexpr int64_t kPart = int64_t(1) << 16;

unsigned wordBitsOf(Type type) { return elementOf(type).isSignlessInteger(32) ? 32 : 8; }

/// Calls visit(offset in the box, index of the block in the cover, run length) for the pieces of a box's rows that lie in one
/// block.
template <typename Visit> void forSegments(const Box &box, llvm::ArrayRef<int64_t> blocks, const Box &cover, Visit visit) {
  const size_t rank = box.size.size();
  if (box.elements() == 0)
    return;
  if (rank == 0) {
    visit(0, 0, 1);
    return;
  }
  const int64_t width = box.size.back(), block = blocks.back(), start = box.begin.back();
  const std::vector<int64_t> strides = stridesOf(cover.size);
  std::vector<int64_t> index(rank - 1, 0);
  const int64_t rows = box.elements() / width;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t base = 0;
    for (size_t d = 0; d + 1 < rank; ++d)
      base += ((box.begin[d] + index[d]) / blocks[d] - cover.begin[d]) * strides[d];
    for (int64_t at = 0; at < width;) {
      const int64_t inBlock = (start + at) / block, run = std::min(width - at, (inBlock + 1) * block - start - at);
      visit(row * width + at, base + inBlock - cover.begin.back(), run);
      at += run;
    }
    for (size_t d = rank - 1; d-- > 0;) {
      if (++index[d] < box.size[d])
        break;
      index[d] = 0;
    }
  }
}

LogicalResult notFinite(StringRef where, Diagnostics &diags) {
  return diags.error(where, "holds a NaN or an infinity, which has no place in a quantised tensor",
                     "restore the checkpoint, or keep this tensor as it is stored");
}

/// The op under casts, with the types that its numbers were rounded to on the way, the last one first.
template <typename Op> Op underCasts(Value value, llvm::SmallVectorImpl<DType> &types) {
  while (auto cast = value.getDefiningOp<fr::CastOp>()) {
    if (std::optional<DType> type = dtypeOf(elementOf(cast.getType())))
      types.push_back(*type);
    value = cast.getX();
  }
  return value.getDefiningOp<Op>();
}

float realOf(const APFloat &value) { return static_cast<float>(value.convertToDouble()); }

/// The scales of blocks by their ranges. One that is not finite is a problem, and so is one that overflows.
LogicalResult scalesFrom(fr::QuantScaleOp op, llvm::ArrayRef<NumberRange> ranges, float *out, StringRef where,
                         Diagnostics &diags) {
  const float lo = realOf(op.getLo()), hi = realOf(op.getHi());
  for (const NumberRange &range : ranges) {
    *out = scaleOf(range, op.getRule(), lo, hi);
    if (!(*out - *out == 0))
      return notFinite(where, diags);
    ++out;
  }
  return success();
}
} // namespace

BlockCover params::coverOf(const std::vector<int64_t> &shape, llvm::ArrayRef<int64_t> blockSizes, const Box &box) {
  BlockCover cover{box, box};
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t block = blockSizes[d], first = box.begin[d] / block;
    const int64_t last = box.size[d] ? (box.begin[d] + box.size[d] - 1) / block : first - 1;
    cover.blocks.begin[d] = first;
    cover.blocks.size[d] = last - first + 1;
    cover.elements.begin[d] = first * block;
    cover.elements.size[d] = std::min(shape[d], (last + 1) * block) - first * block;
  }
  return cover;
}

template <typename T> LogicalResult Evaluator<T>::gather(fr::GatherOp op, const Box &box, T *out) {
  if (op.getAxis() != 0 || op.getBatchDims() != 0)
    return diags.error(where, "fr.gather inside a param picks along the first axis",
                       "this is a mistake of the program: please report it");
  const size_t picked = rankOf(op.getIndices().getType());
  const std::vector<int64_t> table = staticShape(op.getX().getType());
  Box indexBox{{box.begin.begin(), box.begin.begin() + picked}, {box.size.begin(), box.size.begin() + picked}};
  Box tableBox{{0}, {table[0]}};
  tableBox.begin.insert(tableBox.begin.end(), box.begin.begin() + picked, box.begin.end());
  tableBox.size.insert(tableBox.size.end(), box.size.begin() + picked, box.size.end());
  std::vector<int64_t> indices(indexBox.elements());
  std::vector<T> values(tableBox.elements());
  if (failed(as<int64_t>().eval(op.getIndices(), indexBox, indices.data())) || failed(eval(op.getX(), tableBox, values.data())))
    return failure();
  const int64_t row = table[0] ? tableBox.elements() / table[0] : 0;
  for (auto [i, index] : llvm::enumerate(indices)) {
    if (index < 0 || index >= table[0])
      return diags.error(where, "index " + Twine(index) + " is outside a table of " + Twine(table[0]) + " entries",
                         "the checkpoint is damaged: restore it");
    std::copy_n(values.data() + index * row, row, out + i * row);
  }
  return success();
}

template <typename T> LogicalResult Evaluator<T>::unpack(fr::UnpackOp op, const Box &box, T *out) {
  const auto bits = static_cast<unsigned>(op.getBits()), word = wordBitsOf(op.getX().getType());
  const int64_t axis = op.getAxis(), begin = box.begin[axis], size = box.size[axis];
  if (box.elements() == 0)
    return success();
  // Whole words, and whole groups of them where elements lie across words or out of order.
  const int64_t group = word % bits == 0 ? word / bits : word, groupWords = group * bits / word;
  const std::vector<int64_t> stored = staticShape(op.getX().getType());
  Box words = box;
  words.begin[axis] = begin / group * groupWords;
  words.size[axis] = std::min(stored[axis], ((begin + size - 1) / group + 1) * groupWords) - words.begin[axis];
  Scratch<int64_t> values(words.elements());
  if (failed(as<int64_t>().eval(op.getX(), words, values.data())))
    return failure();
  auto [outer, inner] = outerInner(box.size, axis);
  const int64_t wordCount = words.size[axis], skip = begin - begin / group * group;
  if (word % bits == 0) { // no integer lies across words
    const uint64_t mask = (1u << bits) - 1;
    uint32_t shifts[32];
    for (int64_t i = 0; i < group; ++i)
      shifts[i] = static_cast<uint32_t>(packedBit(i, bits, op.getOrder(), word));
    if (bits == 4 && word == 32 && inner == 1 && skip == 0) { // eight of whole words
      for (int64_t o = 0; o < outer; ++o)
        for (int64_t i = 0; i < size; i += 8) {
          const auto value = static_cast<uint32_t>(values[o * wordCount + i / 8]);
          T *to = out + o * size + i;
          if (size - i >= 8)
            for (int k = 0; k < 8; ++k)
              to[k] = static_cast<T>(static_cast<int32_t>(value >> shifts[k] & 15));
          else
            for (int k = 0; k < size - i; ++k)
              to[k] = static_cast<T>(static_cast<int32_t>(value >> shifts[k] & 15));
        }
      return success();
    }
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t i = 0; i < size; ++i) {
        const int64_t *from = values.data() + (o * wordCount + (skip + i) / group) * inner;
        const uint32_t shift = shifts[(skip + i) % group];
        T *to = out + (o * size + i) * inner;
        for (int64_t j = 0; j < inner; ++j)
          to[j] = static_cast<T>(static_cast<int32_t>(static_cast<uint64_t>(from[j]) >> shift & mask));
      }
    return success();
  }
  std::vector<int64_t> stream(wordCount + 1, 0);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < inner; ++j) {
      const int64_t *from = values.data() + o * wordCount * inner + j;
      if (inner != 1) {
        for (int64_t w = 0; w < wordCount; ++w)
          stream[w] = from[w * inner];
        from = stream.data();
      }
      T *to = out + o * size * inner + j;
      for (int64_t i = 0; i < size; ++i)
        to[i * inner] = static_cast<T>(unpackOne(from, skip + i, bits, op.getOrder(), word));
    }
  return success();
}

template <typename T> LogicalResult Evaluator<T>::dequantize(fr::DequantizeOp op, const Box &box, T *out) {
  const BlockCover cover = coverOf(staticShape(op.getX().getType()), op.getBlocks(), box);
  std::vector<T> scale(cover.blocks.elements()), zero;
  if (failed(eval(op.getX(), box, out)) || failed(eval(op.getScale(), cover.blocks, scale.data())))
    return failure();
  if (op.getZero()) {
    zero.resize(scale.size());
    if (failed(eval(op.getZero(), cover.blocks, zero.data())))
      return failure();
  }
  if constexpr (!std::is_same_v<T, int64_t>)
    for (T s : scale)
      if (!(s - s == 0))
        return notFinite(where, diags);
  forSegments(box, op.getBlocks(), cover.blocks, [&](int64_t at, int64_t block, int64_t run) {
    const T s = scale[block], z = (zero.empty() ? T(0) : zero[block]) + static_cast<T>(op.getOffset());
    for (int64_t i = at; i < at + run; ++i)
      out[i] = (out[i] - z) * s;
  });
  return success();
}

template <typename T> LogicalResult Evaluator<T>::decodeBlocks(fr::DecodeOp op, const Box &box, T *out) {
  const BlockInfo &info = blockInfo(*parseBlockFormat(op.getFormat()));
  if (box.elements() == 0)
    return success();
  const size_t last = box.size.size() - 1;
  const int64_t first = box.begin[last] / info.elements, end = (box.begin[last] + box.size[last] - 1) / info.elements + 1;
  Box stored = box;
  stored.begin[last] = first * info.bytes;
  stored.size[last] = (end - first) * info.bytes;
  std::vector<std::byte> bytes(stored.elements());
  if (failed(evalBytes(as<float>(), op.getX(), stored, bytes.data())))
    return failure();
  const int64_t rows = box.elements() / box.size[last], count = (end - first) * info.elements;
  const int64_t skip = box.begin[last] - first * info.elements;
  std::vector<float> row(count);
  const BlockCodec *codec = findCodec(info.format);
  const QuantKernels &kernels = quantKernels(owner.level);
  for (int64_t r = 0; r < rows; ++r) {
    codec->decode(bytes.data() + r * stored.size[last], row.data(), count, owner.level);
    if (kernels.range(row.data(), count).absBits >= 0x7F800000u)
      return notFinite(where, diags);
    std::copy_n(row.data() + skip, box.size[last], out + r * box.size[last]);
  }
  return success();
}

/// Elements that are passed over in memory before all of a block is seen: what a block spans.
static int64_t spanOf(const std::vector<int64_t> &shape, llvm::ArrayRef<int64_t> blocks) {
  for (size_t d = 0; d < shape.size(); ++d)
    if (blocks[d] > 1) {
      int64_t span = std::min(blocks[d], shape[d]);
      for (size_t inner = d + 1; inner < shape.size(); ++inner)
        span *= shape[inner];
      return d + 1 == shape.size() ? std::min(blocks[d], shape[d]) : span;
    }
  return 1;
}

template <typename T> LogicalResult Evaluator<T>::scalesIn(fr::QuantScaleOp op, const Box &box, float *out) {
  const std::vector<int64_t> shape = staticShape(op.getX().getType());
  const llvm::ArrayRef<int64_t> blocks = op.getBlocks();
  Box elements = box;
  for (size_t d = 0; d < shape.size(); ++d) {
    elements.begin[d] = box.begin[d] * blocks[d];
    elements.size[d] = std::min(shape[d], (box.begin[d] + box.size[d]) * blocks[d]) - elements.begin[d];
  }
  std::vector<NumberRange> ranges(box.elements());
  if (shared.areOf(op.getX(), blocks) && shared.ranges->get(box, ranges))
    return scalesFrom(op, ranges, out, where, diags);
  std::fill(ranges.begin(), ranges.end(), NumberRange());
  const QuantKernels &kernels = quantKernels(owner.level);
  Scratch<float> x;
  if (failed(forParts(elements, kPart, {}, [&](const Box &part) -> LogicalResult {
        x.resize(part.elements());
        if (failed(as<float>().eval(op.getX(), part, x.data())))
          return failure();
        forSegments(part, blocks, box,
                    [&](int64_t from, int64_t block, int64_t run) { ranges[block].merge(kernels.range(x.data() + from, run)); });
        return success();
      })))
    return failure();
  if (failed(scalesFrom(op, ranges, out, where, diags)))
    return failure();
  if (shared.areOf(op.getX(), blocks))
    shared.ranges->put(box, ranges);
  return success();
}

template <typename T> LogicalResult Evaluator<T>::quantScale(fr::QuantScaleOp op, const Box &box, T *out) {
  const std::vector<int64_t> all = staticShape(op.getType());
  if (spanOf(staticShape(op.getX().getType()), op.getBlocks()) <= kMaxHeld) {
    std::vector<float> scales(box.elements());
    if (failed(scalesIn(op, box, scales.data())))
      return failure();
    std::copy(scales.begin(), scales.end(), out);
    return success();
  }
  // Asked for again and again, by each part of the numbers.
  auto &entry = [&]() -> auto & {
    std::lock_guard guard(owner.kept->lock);
    return owner.kept->byOp[op];
  }();
  std::lock_guard guard(entry.lock);
  if (entry.values.empty()) {
    const Box whole{std::vector<int64_t>(all.size(), 0), all};
    std::vector<float> scales(whole.elements());
    if (failed(scalesIn(op, whole, scales.data())))
      return failure();
    entry.values = std::move(scales);
  }
  return forRuns(all, box, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
    std::copy_n(entry.values.data() + offset, run, out + flat);
    return success();
  });
}

template <typename T> LogicalResult Evaluator<T>::fromBytes(Value value, const Box &box, T *out) {
  std::optional<DType> type = dtypeOf(elementOf(value.getType()));
  std::vector<std::byte> bytes(box.elements() * byteWidth(*type));
  if (failed(evalBytes(as<float>(), value, box, bytes.data())))
    return failure();
  decode(*type, bytes.data(), out, box.elements(), owner.level);
  return success();
}

namespace flagrelease::params {

struct ByteEvaluator {
  const Evaluator<float> &with;
  const QuantKernels &kernels;
  explicit ByteEvaluator(const Evaluator<float> &with) : with(with), kernels(quantKernels(with.owner.level)) {}

  /// x and what its blocks have in common, for a box of a quantize or quant_zero.
  struct Blocks {
    BlockCover cover;
    Scratch<float> x; ///< of cover.elements
    std::vector<float> scale, zero;
  };

  /// The scales of the blocks of `cover`; from x itself where that is what they follow from and all of their blocks is there.
  LogicalResult scalesOf(Value scale, Value x, llvm::ArrayRef<int64_t> blockSizes, const Blocks &at, bool whole,
                         std::vector<float> &out) {
    out.resize(at.cover.blocks.elements());
    llvm::SmallVector<DType, 2> casts;
    auto op = underCasts<fr::QuantScaleOp>(scale, casts);
    if (!whole || !op || op.getX() != x || op.getBlocks() != blockSizes) {
      // Scales of other numbers say nothing about these.
      if ((!op || op.getX() != x) && kernels.range(at.x.data(), static_cast<int64_t>(at.x.size())).absBits >= 0x7F800000u)
        return notFinite(with.where, with.diags);
      return Evaluator<float>(with).eval(scale, at.cover.blocks, out.data());
    }
    const std::vector<NumberRange> ranges = rangesOf(x, blockSizes, at);
    if (failed(scalesFrom(op, ranges, out.data(), with.where, with.diags)))
      return failure();
    if (with.shared.areOf(x, blockSizes))
      with.shared.ranges->put(at.cover.blocks, ranges);
    for (DType type : llvm::reverse(casts))
      Evaluator<float>(with).round(type, out.data(), static_cast<int64_t>(out.size()));
    return success();
  }

  std::vector<NumberRange> rangesOf(Value x, llvm::ArrayRef<int64_t> blockSizes, const Blocks &at) {
    std::vector<NumberRange> ranges(at.cover.blocks.elements());
    if (with.shared.areOf(x, blockSizes) && with.shared.ranges->get(at.cover.blocks, ranges))
      return ranges;
    std::fill(ranges.begin(), ranges.end(), NumberRange());
    forSegments(at.cover.elements, blockSizes, at.cover.blocks,
                [&](int64_t from, int64_t block, int64_t run) { ranges[block].merge(kernels.range(at.x.data() + from, run)); });
    return ranges;
  }

  LogicalResult quantize(fr::QuantizeOp op, const Box &box, std::byte *out) {
    Blocks at;
    at.cover = coverOf(staticShape(op.getX().getType()), op.getBlocks(), box);
    const bool whole = at.cover.elements.elements() <= std::max(kMaxHeld, 2 * box.elements());
    if (!whole)
      at.cover.elements = box; // the scales come from elsewhere
    at.x.resize(at.cover.elements.elements());
    if (failed(Evaluator<float>(with).eval(op.getX(), at.cover.elements, at.x.data())) ||
        failed(scalesOf(op.getScale(), op.getX(), op.getBlocks(), at, whole, at.scale)))
      return failure();
    if (op.getZero()) {
      at.zero.resize(at.scale.size());
      auto own = op.getZero().getDefiningOp<fr::QuantZeroOp>();
      if (whole && own && own.getX() == op.getX() && own.getScale() == op.getScale() && own.getBlocks() == op.getBlocks()) {
        const float lo = realOf(own.getLo()), hi = realOf(own.getHi());
        for (auto [i, range] : llvm::enumerate(rangesOf(op.getX(), op.getBlocks(), at)))
          at.zero[i] = static_cast<float>(zeroOf(range, at.scale[i], lo, hi));
      } else if (failed(Evaluator<float>(with).eval(op.getZero(), at.cover.blocks, at.zero.data()))) {
        return failure();
      }
    }
    // Rows of the box inside those of x.
    const bool same = at.cover.elements.size == box.size;
    std::vector<float> cut;
    const float *x = at.x.data();
    if (!same) {
      cut.resize(box.elements());
      Box inner = box;
      for (size_t d = 0; d < box.size.size(); ++d)
        inner.begin[d] -= at.cover.elements.begin[d];
      (void)forRuns(at.cover.elements.size, inner, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
        std::copy_n(at.x.data() + offset, run, cut.data() + flat);
        return success();
      });
      x = cut.data();
    }
    const float lo = realOf(op.getLo()), hi = realOf(op.getHi());
    const std::optional<DType> type = dtypeOf(elementOf(op.getType()));
    auto *bytes = reinterpret_cast<uint8_t *>(out);
    forSegments(box, op.getBlocks(), at.cover.blocks, [&](int64_t from, int64_t block, int64_t run) {
      const float scale = at.scale[block];
      const float zero = (at.zero.empty() ? 0.0f : at.zero[block]) + static_cast<float>(op.getOffset());
      if (!isFloat(*type)) {
        kernels.quantize(x + from, scale, zero, lo, hi, bytes + from, run);
        return;
      }
      (*type == DType::F8E4M3 ? kernels.quantizeE4m3 : kernels.quantizeE5m2)(x + from, scale, lo, hi, bytes + from, run);
    });
    return success();
  }

  LogicalResult quantZero(fr::QuantZeroOp op, const Box &box, std::byte *out) {
    // `box` counts blocks.
    const std::vector<int64_t> shape = staticShape(op.getX().getType());
    Blocks at;
    at.cover.blocks = at.cover.elements = box;
    for (size_t d = 0; d < shape.size(); ++d) {
      at.cover.elements.begin[d] = box.begin[d] * op.getBlocks()[d];
      at.cover.elements.size[d] =
          std::min(shape[d], (box.begin[d] + box.size[d]) * op.getBlocks()[d]) - at.cover.elements.begin[d];
    }
    std::vector<NumberRange> known;
    if (!with.shared.areOf(op.getX(), op.getBlocks()) || !with.shared.ranges->get(box, known)) {
      at.x.resize(at.cover.elements.elements());
      if (failed(Evaluator<float>(with).eval(op.getX(), at.cover.elements, at.x.data())))
        return failure();
    }
    if (failed(scalesOf(op.getScale(), op.getX(), op.getBlocks(), at, true, at.scale)))
      return failure();
    const float lo = realOf(op.getLo()), hi = realOf(op.getHi());
    for (auto [i, range] : llvm::enumerate(rangesOf(op.getX(), op.getBlocks(), at)))
      out[i] = static_cast<std::byte>(zeroOf(range, at.scale[i], lo, hi));
    return success();
  }

  LogicalResult pack(fr::PackOp op, const Box &box, std::byte *out) {
    const auto bits = static_cast<unsigned>(op.getBits()), word = wordBitsOf(op.getType());
    const int64_t axis = op.getAxis();
    const std::vector<int64_t> shape = staticShape(op.getX().getType());
    const int64_t group = word % bits == 0 ? word / bits : word, groupWords = group * bits / word;
    // Whole groups of words around the box.
    const int64_t firstGroup = box.begin[axis] / groupWords,
                  endGroup = (box.begin[axis] + box.size[axis] + groupWords - 1) / groupWords;
    Box codesBox = box;
    codesBox.begin[axis] = firstGroup * group;
    codesBox.size[axis] = std::min(shape[axis], endGroup * group) - codesBox.begin[axis];
    const int64_t count = codesBox.size[axis], words = box.size[axis], skip = box.begin[axis] - firstGroup * groupWords;
    auto [outer, inner] = outerInner(box.size, axis);
    // Whole bytes in their order are packed already.
    if (bits == 8 && op.getOrder() == fr::PackOrder::LowFirst && inner == 1 && skip == 0 && count == words * (word / 8))
      return evalBytes(with, op.getX(), codesBox, out);
    Scratch<uint8_t> codes(codesBox.elements());
    if (failed(evalBytes(with, op.getX(), codesBox, reinterpret_cast<std::byte *>(codes.data()))))
      return failure();
    // The common case: pairs of nibbles in the order of the bytes.
    if (bits == 4 && op.getOrder() == fr::PackOrder::LowFirst && inner == 1 && skip == 0 && count == words * (word / 4)) {
      kernels.nibbles(codes.data(), out, outer * count / 2);
      return success();
    }
    if (op.getOrder() == fr::PackOrder::Awq && word == 32 && inner == 1 && skip == 0 && count == words * 8) {
      kernels.awqWords(codes.data(), out, outer * words);
      return success();
    }
    const unsigned width = word / 8;
    if (word % bits == 0) { // no integer lies across words: row by row of them
      std::vector<unsigned> shifts;
      for (int64_t i = 0; i < group; ++i)
        shifts.push_back(static_cast<unsigned>(packedBit(i, bits, op.getOrder(), word)));
      const uint32_t mask = (1u << bits) - 1;
      std::vector<uint32_t> row(inner);
      for (int64_t o = 0; o < outer; ++o)
        for (int64_t w = 0; w < words; ++w) {
          const int64_t first = w * group, end = std::min(count, first + group);
          std::byte *to = out + (o * words + w) * inner * width;
          if (inner == 1) {
            const uint8_t *from = codes.data() + o * count + first;
            uint32_t value = 0;
            for (int64_t i = 0; i < end - first; ++i)
              value |= (from[i] & mask) << shifts[i];
            std::memcpy(to, &value, width);
            continue;
          }
          std::fill(row.begin(), row.end(), 0);
          for (int64_t i = first; i < end; ++i) {
            const uint8_t *from = codes.data() + (o * count + i) * inner;
            const unsigned shift = shifts[i - first];
            for (int64_t j = 0; j < inner; ++j)
              row[j] |= (from[j] & mask) << shift;
          }
          if (width == 4)
            std::memcpy(to, row.data(), inner * 4);
          else
            std::transform(row.begin(), row.end(), to, [](uint32_t word) { return static_cast<std::byte>(word); });
        }
      return success();
    }
    std::vector<uint64_t> stream((endGroup - firstGroup) * groupWords + 1);
    for (int64_t o = 0; o < outer; ++o)
      for (int64_t j = 0; j < inner; ++j) {
        std::fill(stream.begin(), stream.end(), 0);
        for (int64_t i = 0; i < count; ++i) {
          const int64_t bit = packedBit(i, bits, op.getOrder(), word);
          const uint64_t value = codes[(o * count + i) * inner + j] & ((1u << bits) - 1);
          stream[bit / word] |= value << (bit % word);
          if (bit % word + bits > word)
            stream[bit / word + 1] |= value >> (word - bit % word);
        }
        for (int64_t w = 0; w < words; ++w)
          std::memcpy(out + ((o * words + w) * inner + j) * width, &stream[skip + w], width);
      }
    return success();
  }

  /// Blocks whose largest number does not come back: a scale that is infinite in F16, or as large as it can be and too small.
  void countLost(const BlockInfo &info, const BlockCodec &codec, llvm::ArrayRef<float> x) {
    const int64_t count = static_cast<int64_t>(x.size());
    std::vector<std::byte> blocks(count / info.elements * info.bytes);
    std::vector<float> back(count);
    codec.encode(x.data(), blocks.data(), count, with.owner.level);
    codec.decode(blocks.data(), back.data(), count, with.owner.level);
    for (int64_t first = 0; first < count; first += info.elements) {
      int64_t most = first;
      bool finite = true;
      for (int64_t i = first; i < first + info.elements; ++i) {
        finite &= std::isfinite(back[i]);
        if (std::fabs(x[i]) > std::fabs(x[most]))
          most = i;
      }
      if (finite && std::fabs(back[most]) >= std::fabs(x[most]) / 2)
        continue;
      if (!with.loss->overflows++)
        with.loss->firstOverflow = most, with.loss->firstValue = x[most];
    }
  }

  LogicalResult encode(fr::EncodeOp op, const Box &box, std::byte *out) {
    const BlockInfo &info = blockInfo(*parseBlockFormat(op.getFormat()));
    const BlockCodec *codec = findCodec(info.format);
    if (!codec->encode)
      return with.diags.error(with.where, StringRef(info.name) + " is a format that this program only reads",
                              "choose another scheme");
    const size_t last = box.size.size() - 1;
    const int64_t first = box.begin[last] / info.bytes, end = (box.begin[last] + box.size[last] + info.bytes - 1) / info.bytes;
    Box numbers = box;
    numbers.begin[last] = first * info.elements;
    numbers.size[last] = (end - first) * info.elements;
    Scratch<float> x(numbers.elements());
    if (failed(Evaluator<float>(with).eval(op.getX(), numbers, x.data())))
      return failure();
    const uint32_t largest = kernels.range(x.data(), static_cast<int64_t>(x.size())).absBits;
    if (largest >= 0x7F800000u)
      return notFinite(with.where, with.diags);
    if (with.loss && largest >= 0x477FF000u) // 65520, which F16 rounds to infinity: a scale may be such a number
      countLost(info, *codec, x);
    const int64_t rows = box.elements() / std::max<int64_t>(1, box.size[last]), bytes = (end - first) * info.bytes;
    if (bytes == box.size[last]) { // whole blocks: in place, and over the ends of rows
      codec->encode(x.data(), out, numbers.elements(), with.owner.level);
      return success();
    }
    std::vector<std::byte> row(bytes);
    for (int64_t r = 0; r < rows; ++r) {
      codec->encode(x.data() + r * numbers.size[last], row.data(), numbers.size[last], with.owner.level);
      std::copy_n(row.data() + (box.begin[last] - first * info.bytes), box.size[last], out + r * box.size[last]);
    }
    return success();
  }

  /// What the checkpoint holds, byte by byte.
  LogicalResult get(fr::GetOp op, const Box &box, std::byte *out) {
    StringRef name = op.getWeight().getLeafReference().getValue();
    const CheckpointTensor *tensor = with.owner.checkpoint.find(name);
    if (!tensor)
      return with.diags.error(name, "the source has no such tensor", "the module and the checkpoint are of different models");
    const unsigned width = byteWidth(tensor->type);
    return forRuns(tensor->shape, box, [&](int64_t flat, int64_t offset, int64_t run) {
      return with.owner.sources[tensor->file]->read(tensor->offset + offset * width,
                                                    {out + flat * width, static_cast<size_t>(run) * width}, with.diags);
    });
  }
};

bool givesBytes(Value value) {
  return isa_and_nonnull<fr::QuantizeOp, fr::QuantZeroOp, fr::PackOp, fr::EncodeOp>(value.getDefiningOp());
}

Cuts cutsOf(Value value) {
  Cuts cuts{std::vector<int64_t>(rankOf(value.getType()), 1), kPart};
  auto pack = value.getDefiningOp<fr::PackOp>();
  Value codes = pack ? pack.getX() : value;
  auto turned = codes.getDefiningOp<fr::TransposeOp>();
  if (auto op = (turned ? turned.getX() : codes).getDefiningOp<fr::QuantizeOp>())
    for (auto [axis, size] : llvm::enumerate(staticShape(codes.getType())))
      cuts.align[axis] = std::min(op.getBlocks()[turned ? turned.getPermutation()[axis] : static_cast<int64_t>(axis)], size);
  if (pack) {
    // In words: as many as hold whole blocks and whole integers.
    int64_t &align = cuts.align[pack.getAxis()];
    const int64_t bits = pack.getBits(), word = wordBitsOf(pack.getType());
    align = std::lcm(align * bits, std::lcm(word, bits)) / word;
    cuts.elements = std::max<int64_t>(1, kPart * bits / word);
  }
  if (auto op = value.getDefiningOp<fr::EncodeOp>()) {
    const BlockInfo &info = blockInfo(*parseBlockFormat(op.getFormat()));
    cuts.align.back() = info.bytes;
    cuts.elements = kPart * info.bytes / info.elements;
  }
  return cuts;
}

LogicalResult evalBytes(const Evaluator<float> &with, Value value, const Box &box, std::byte *out) {
  ByteEvaluator bytes(with);
  return llvm::TypeSwitch<Operation *, LogicalResult>(value.getDefiningOp())
      .Case([&](fr::QuantizeOp op) { return bytes.quantize(op, box, out); })
      .Case([&](fr::QuantZeroOp op) { return bytes.quantZero(op, box, out); })
      .Case([&](fr::PackOp op) { return bytes.pack(op, box, out); })
      .Case([&](fr::EncodeOp op) { return bytes.encode(op, box, out); })
      .Case([&](fr::GetOp op) { return bytes.get(op, box, out); })
      .Default([&](Operation *) -> LogicalResult {
        assert(byteWidth(*dtypeOf(elementOf(value.getType()))) == 1 && "bytes of a value of another width");
        std::vector<int64_t> numbers(box.elements());
        if (failed(with.as<int64_t>().eval(value, box, numbers.data())))
          return failure();
        for (auto [i, number] : llvm::enumerate(numbers))
          out[i] = static_cast<std::byte>(number);
        return success();
      });
}

template struct Evaluator<float>;
template struct Evaluator<double>;
template struct Evaluator<int64_t>;
} // namespace flagrelease::params
