// Reference functions of the ops that say how weights are stored. The numbers stand in Numbers.h.
#include "ir/reference/Numbers.h"

#include "ir/reference/Index.h"
#include "ir/reference/Reference.h"

#include <algorithm>

using namespace flagrelease;
using namespace mlir;

namespace {
#define REF_PARAMS Operation *op, MutableArrayRef<RefTensor<T> *> in, MutableArrayRef<RefTensor<T>> out, RefContext<T> &context

unsigned wordBitsOf(Type type) { return elementOf(type).isSignlessInteger(32) ? 32 : 8; }

template <typename T> LogicalResult unpack(REF_PARAMS) {
  auto unpackOp = cast<fr::UnpackOp>(op);
  const auto bits = static_cast<unsigned>(unpackOp.getBits()), word = wordBitsOf(unpackOp.getX().getType());
  auto [outer, inner] = outerInner(in[0]->shape, unpackOp.getAxis());
  const int64_t words = in[0]->shape[unpackOp.getAxis()], count = out[0].shape[unpackOp.getAxis()];
  std::vector<int64_t> stream(words);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < inner; ++j) {
      for (int64_t w = 0; w < words; ++w)
        stream[w] = in[0]->i[(o * words + w) * inner + j];
      for (int64_t i = 0; i < count; ++i)
        out[0].i[(o * count + i) * inner + j] = unpackOne(stream.data(), i, bits, unpackOp.getOrder(), word);
    }
  return success();
}

template <typename T> LogicalResult pack(REF_PARAMS) {
  auto packOp = cast<fr::PackOp>(op);
  const auto bits = static_cast<unsigned>(packOp.getBits()), word = wordBitsOf(packOp.getType());
  auto [outer, inner] = outerInner(in[0]->shape, packOp.getAxis());
  const int64_t count = in[0]->shape[packOp.getAxis()], words = out[0].shape[packOp.getAxis()];
  std::vector<uint64_t> stream(words + 1);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t j = 0; j < inner; ++j) {
      std::fill(stream.begin(), stream.end(), 0);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t bit = packedBit(i, bits, packOp.getOrder(), word);
        const uint64_t value = static_cast<uint64_t>(in[0]->i[(o * count + i) * inner + j]) & ((1u << bits) - 1);
        stream[bit / word] |= value << (bit % word);
        if (bit % word + bits > word)
          stream[bit / word + 1] |= value >> (word - bit % word);
      }
      for (int64_t w = 0; w < words; ++w)
        out[0].i[(o * words + w) * inner + j] = word == 32 ? static_cast<int32_t>(stream[w]) : static_cast<uint8_t>(stream[w]);
    }
  return success();
}

/// Calls visit(flat index in x, flat index of its block).
template <typename Visit> void forBlocks(const std::vector<int64_t> &shape, ArrayRef<int64_t> blocks, Visit visit) {
  std::vector<int64_t> counts;
  for (auto [size, block] : llvm::zip_equal(shape, blocks))
    counts.push_back((size + block - 1) / block);
  const std::vector<int64_t> strides = stridesOf(counts);
  std::vector<int64_t> index(shape.size(), 0);
  int64_t total = 1;
  for (int64_t d : shape)
    total *= d;
  for (int64_t flat = 0; flat < total; ++flat) {
    int64_t block = 0;
    for (size_t d = 0; d < shape.size(); ++d)
      block += index[d] / blocks[d] * strides[d];
    visit(flat, block);
    for (size_t d = shape.size(); d-- > 0;) {
      if (++index[d] < shape[d])
        break;
      index[d] = 0;
    }
  }
}

/// A float operand as it is stored for us: E8M0 bytes are carried as integers.
template <typename T> T numberAt(const RefTensor<T> &value, Type type, int64_t i) {
  if (!value.integer)
    return value.f[i];
  return elementOf(type).isSignedInteger(8) ? static_cast<T>(f8e8m0ToF32(static_cast<uint8_t>(value.i[i])))
                                            : static_cast<T>(value.i[i]);
}

template <typename T> LogicalResult dequantize(REF_PARAMS) {
  auto dequantizeOp = cast<fr::DequantizeOp>(op);
  forBlocks(in[0]->shape, dequantizeOp.getBlocks(), [&](int64_t flat, int64_t block) {
    T x = numberAt(*in[0], op->getOperand(0).getType(), flat), scale = numberAt(*in[1], op->getOperand(1).getType(), block);
    T zero = static_cast<T>(dequantizeOp.getOffset());
    if (in.size() > 2)
      zero += numberAt(*in[2], op->getOperand(2).getType(), block);
    out[0].f[flat] = (x - zero) * scale;
  });
  return success();
}

template <typename T> std::vector<NumberRange> rangesOf(const RefTensor<T> &x, ArrayRef<int64_t> blocks, int64_t count) {
  std::vector<NumberRange> ranges(count);
  forBlocks(x.shape, blocks, [&](int64_t flat, int64_t block) {
    const float value = static_cast<float>(x.f[flat]);
    ranges[block].merge(rangeOf(&value, 1));
  });
  return ranges;
}

template <typename T> LogicalResult quantScale(REF_PARAMS) {
  auto scaleOp = cast<fr::QuantScaleOp>(op);
  const auto lo = static_cast<float>(scaleOp.getLo().convertToDouble()),
             hi = static_cast<float>(scaleOp.getHi().convertToDouble());
  for (auto [i, range] : llvm::enumerate(rangesOf(*in[0], scaleOp.getBlocks(), out[0].elements())))
    out[0].f[i] = scaleOf(range, scaleOp.getRule(), lo, hi);
  return success();
}

template <typename T> LogicalResult quantZero(REF_PARAMS) {
  auto zeroOp = cast<fr::QuantZeroOp>(op);
  const auto lo = static_cast<float>(zeroOp.getLo().convertToDouble()), hi = static_cast<float>(zeroOp.getHi().convertToDouble());
  for (auto [i, range] : llvm::enumerate(rangesOf(*in[0], zeroOp.getBlocks(), out[0].elements())))
    out[0].i[i] = zeroOf(range, static_cast<float>(numberAt(*in[1], op->getOperand(1).getType(), i)), lo, hi);
  return success();
}

template <typename T> LogicalResult quantize(REF_PARAMS) {
  auto quantizeOp = cast<fr::QuantizeOp>(op);
  const auto lo = static_cast<float>(quantizeOp.getLo().convertToDouble()),
             hi = static_cast<float>(quantizeOp.getHi().convertToDouble());
  std::optional<DType> type = dtypeOf(elementOf(quantizeOp.getType()));
  forBlocks(in[0]->shape, quantizeOp.getBlocks(), [&](int64_t flat, int64_t block) {
    const auto x = static_cast<float>(in[0]->f[flat]);
    const auto scale = static_cast<float>(numberAt(*in[1], op->getOperand(1).getType(), block));
    const auto zero = static_cast<float>(quantizeOp.getOffset()) +
                      (in.size() > 2 ? static_cast<float>(numberAt(*in[2], op->getOperand(2).getType(), block)) : 0.0f);
    if (out[0].integer) {
      out[0].i[flat] = quantizeOne(x, scale, zero, lo, hi);
    } else {
      float y = scale == 0 ? 0.0f : x / scale;
      y = y < lo ? lo : y > hi ? hi : y;
      out[0].f[flat] = *type == DType::F8E4M3 ? f8e4m3ToF32(f32ToF8E4m3(y)) : f8e5m2ToF32(f32ToF8E5m2(y));
    }
  });
  return success();
}
} // namespace

template <typename T> ArrayRef<RefEntry<T>> flagrelease::numberReference() {
  static const RefEntry<T> table[] = {
      {"fr.unpack", &unpack<T>},         {"fr.pack", &pack<T>},
      {"fr.dequantize", &dequantize<T>}, {"fr.quant_scale", &quantScale<T>},
      {"fr.quant_zero", &quantZero<T>},  {"fr.quantize", &quantize<T>},
  };
  return table;
}

namespace flagrelease {
template ArrayRef<RefEntry<float>> numberReference<float>();
template ArrayRef<RefEntry<double>> numberReference<double>();
} // namespace flagrelease
