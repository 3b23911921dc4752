#include "weights/params/ParamEvaluator.h"

#include "weights/params/Evaluator.h"
#include "weights/params/KeptRanges.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/ErrorHandling.h"

#include <algorithm>
#include <array>
#include <mutex>

using namespace flagrelease;
using namespace flagrelease::params;
using namespace mlir;

std::vector<int64_t> params::staticShape(Type type) {
  llvm::ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
  return {shape.begin(), shape.end()};
}

namespace {
/// Bytes that are read and decoded at a time: enough for one call of the kernel, little enough for the cache and the stack.
constexpr int64_t kReadTogether = int64_t(1) << 17;

/// All numbers of an 8-bit float type.
struct FloatTable {
  std::once_flag once;
  std::array<float, 256> values;
} kE4m3, kE5m2, kE8m0;

const std::array<float, 256> &tableOf(float (*convert)(uint8_t), FloatTable &table) {
  std::call_once(table.once, [&] {
    for (int i = 0; i < 256; ++i)
      table.values[i] = convert(static_cast<uint8_t>(i));
  });
  return table.values;
}
} // namespace

template <typename T> LogicalResult Evaluator<T>::get(fr::GetOp op, const Box &box, T *out) {
  StringRef name = op.getWeight().getLeafReference().getValue();
  const CheckpointTensor *tensor = owner.checkpoint.find(name);
  if (!tensor)
    return diags.error(name, "the source has no such tensor", "the module and the checkpoint are of different models");
  if (!hasNumbers(tensor->type))
    return diags.error(name, "holds " + dtypeName(tensor->type) + ", whose numbers this version does not compute with",
                       "use a checkpoint that stores it as F32, F16, BF16 or F8_E4M3");
  const unsigned width = byteWidth(tensor->type);
  alignas(64) std::byte buffer[kReadTogether];
  const int64_t most = kReadTogether / width;
  return forRuns(tensor->shape, box, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
    for (int64_t done = 0; done < run; done += most) {
      const int64_t count = std::min(most, run - done);
      if (failed(owner.sources[tensor->file]->read(tensor->offset + (offset + done) * width,
                                                   {buffer, static_cast<size_t>(count) * width}, diags)))
        return failure();
      decode(tensor->type, buffer, out + flat + done, count, owner.level);
    }
    return success();
  });
}

template <typename T> void Evaluator<T>::decode(DType type, const std::byte *bytes, T *out, int64_t count, CpuLevel level) {
  constexpr DType own = std::is_same_v<T, double> ? DType::F64 : DType::F32;
  if constexpr (!std::is_same_v<T, int64_t>) {
    if (canCast(type, own)) {
      castElements(type, bytes, own, reinterpret_cast<std::byte *>(out), count, nullptr, level);
      return;
    }
  }
  auto each = [&](auto sample, auto convert) {
    using V = decltype(sample);
    for (int64_t i = 0; i < count; ++i) {
      V v;
      std::memcpy(&v, bytes + i * sizeof(V), sizeof(V));
      out[i] = static_cast<T>(convert(v));
    }
  };
  auto same = [](auto v) { return v; };
  auto byTable = [&](const std::array<float, 256> &table) { return each(uint8_t(), [&](uint8_t v) { return table[v]; }); };
  switch (type) {
  case DType::F8E4M3:
    return byTable(tableOf(f8e4m3ToF32, kE4m3));
  case DType::F8E5M2:
    return byTable(tableOf(f8e5m2ToF32, kE5m2));
  case DType::F8E8M0:
    return byTable(tableOf(f8e8m0ToF32, kE8m0));
  case DType::I64:
    return each(int64_t(), same);
  case DType::I32:
    return each(int32_t(), same);
  case DType::I16:
    return each(int16_t(), same);
  case DType::I8:
    return each(int8_t(), same);
  case DType::U64:
    return each(uint64_t(), same);
  case DType::U32:
    return each(uint32_t(), same);
  case DType::U16:
    return each(uint16_t(), same);
  case DType::U8:
  case DType::Bool:
    return each(uint8_t(), same);
  case DType::F64:
    return each(double(), same);
  case DType::F32:
    return each(float(), same);
  case DType::F16:
    return each(uint16_t(), f16ToF32);
  case DType::BF16:
    return each(uint16_t(), bf16ToF32);
  default:
    llvm_unreachable("get() has refused types without numbers");
  }
}

template <typename T> void Evaluator<T>::round(DType type, T *values, int64_t count) {
  if constexpr (!std::is_same_v<T, int64_t>) {
    constexpr DType own = std::is_same_v<T, double> ? DType::F64 : DType::F32;
    auto each = [&](auto encode, const std::array<float, 256> &table) {
      for (int64_t i = 0; i < count; ++i)
        values[i] = table[encode(static_cast<float>(values[i]))];
    };
    if (type == DType::F8E4M3)
      return each(f32ToF8E4m3, tableOf(f8e4m3ToF32, kE4m3));
    if (type == DType::F8E5M2)
      return each(f32ToF8E5m2, tableOf(f8e5m2ToF32, kE5m2));
    if (type == DType::F8E8M0)
      return each(f32ToF8E8m0, tableOf(f8e8m0ToF32, kE8m0));
    if (type == own || (std::is_same_v<T, float> && type == DType::F64) || !canCast(own, type))
      return;
    std::vector<std::byte> narrow(count * byteWidth(type));
    castElements(own, reinterpret_cast<std::byte *>(values), type, narrow.data(), count, loss, owner.level);
    castElements(type, narrow.data(), own, reinterpret_cast<std::byte *>(values), count, nullptr, owner.level);
  }
}

template <typename T> LogicalResult Evaluator<T>::reshape(fr::ReshapeOp op, const Box &box, T *out) {
  // The elements keep their order: each run of the result is a range of the operand.
  std::vector<int64_t> shape = staticShape(op.getType()), from = staticShape(op.getX().getType());
  return forRuns(shape, box, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
    if (from.empty())
      return eval(op.getX(), Box{}, out + flat);
    T *to = out + flat;
    return forBoxes(from, offset, run, [&](const Box &part) -> LogicalResult {
      if (failed(eval(op.getX(), part, to)))
        return failure();
      to += part.elements();
      return success();
    });
  });
}

template <typename T> LogicalResult Evaluator<T>::transpose(fr::TransposeOp op, const Box &box, T *out) {
  llvm::ArrayRef<int64_t> permutation = op.getPermutation();
  Box inner{std::vector<int64_t>(box.size.size()), std::vector<int64_t>(box.size.size())};
  for (auto [i, axis] : llvm::enumerate(permutation)) {
    inner.begin[axis] = box.begin[i];
    inner.size[axis] = box.size[i];
  }
  std::vector<T> values(inner.elements());
  if (failed(eval(op.getX(), inner, values.data())))
    return failure();
  std::vector<int64_t> own = stridesOf(inner.size), strides[1];
  for (int64_t axis : permutation)
    strides[0].push_back(own[axis]);
  walk(box.size, strides, [&](int64_t flat, const int64_t *at) { out[flat] = values[at[0]]; });
  return success();
}

template <typename T> LogicalResult Evaluator<T>::concat(fr::ConcatOp op, const Box &box, T *out) {
  int64_t axis = op.getAxis(), start = 0;
  std::vector<int64_t> outStrides = stridesOf(box.size);
  for (Value input : op.getInputs()) {
    int64_t size = staticShape(input.getType())[axis];
    int64_t from = std::max(box.begin[axis], start), to = std::min(box.begin[axis] + box.size[axis], start + size);
    if (from < to) {
      Box part = box;
      part.begin[axis] = from - start;
      part.size[axis] = to - from;
      std::vector<T> values(part.elements());
      if (failed(eval(input, part, values.data())))
        return failure();
      const std::vector<int64_t> strides[1] = {outStrides};
      T *base = out + (from - box.begin[axis]) * outStrides[axis];
      walk(part.size, strides, [&](int64_t flat, const int64_t *at) { base[at[0]] = values[flat]; });
    }
    start += size;
  }
  return success();
}

template <typename T>
template <typename Combine>
LogicalResult Evaluator<T>::binary(Operation *op, const Box &box, T *out, Combine combine) {
  std::vector<T> operands[2];
  std::vector<int64_t> strides[2];
  for (int i = 0; i < 2; ++i) {
    std::vector<int64_t> shape = staticShape(op->getOperand(i).getType());
    Box part{std::vector<int64_t>(shape.size(), 0), shape};
    size_t lead = box.size.size() - shape.size();
    for (size_t d = 0; d < shape.size(); ++d)
      if (shape[d] != 1) {
        part.begin[d] = box.begin[lead + d];
        part.size[d] = box.size[lead + d];
      }
    operands[i].resize(part.elements());
    if (failed(eval(op->getOperand(i), part, operands[i].data())))
      return failure();
    strides[i] = broadcastStrides(part.size, box.size);
  }
  walk(box.size, strides, [&](int64_t flat, const int64_t *at) { out[flat] = combine(operands[0][at[0]], operands[1][at[1]]); });
  return success();
}

template <typename T> LogicalResult Evaluator<T>::constant(fr::ConstantOp op, const Box &box, T *out) {
  std::vector<T> all;
  if (isa<FloatType>(elementOf(op.getType()))) {
    for (APFloat value : op.getValue().getValues<APFloat>()) {
      bool lost = false;
      value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
      all.push_back(static_cast<T>(value.convertToDouble()));
    }
  } else {
    for (const APInt &value : op.getValue().getValues<APInt>())
      all.push_back(static_cast<T>(value.getSExtValue()));
  }
  return forRuns(staticShape(op.getType()), box, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
    std::copy_n(all.data() + offset, run, out + flat);
    return success();
  });
}

template <typename T> LogicalResult Evaluator<T>::eval(Value value, const Box &box, T *out) {
  Operation *op = value.getDefiningOp();
  return llvm::TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](fr::GetOp get_) { return get(get_, box, out); })
      .Case([&](fr::CastOp castOp) {
        if (failed(eval(castOp.getX(), box, out)))
          return failure();
        if (std::optional<DType> type = dtypeOf(elementOf(castOp.getType())))
          round(*type, out, box.elements());
        return success();
      })
      .Case([&](fr::ReshapeOp reshapeOp) { return reshape(reshapeOp, box, out); })
      .Case([&](fr::TransposeOp transposeOp) { return transpose(transposeOp, box, out); })
      .Case([&](fr::SliceOp sliceOp) {
        Box inner = box;
        inner.begin[sliceOp.getAxis()] += sliceOp.getStart();
        return eval(sliceOp.getX(), inner, out);
      })
      .Case([&](fr::ConcatOp concatOp) { return concat(concatOp, box, out); })
      .Case([&](fr::ConstantOp constantOp) { return constant(constantOp, box, out); })
      .Case([&](fr::GatherOp gatherOp) { return gather(gatherOp, box, out); })
      .Case([&](fr::UnpackOp unpackOp) { return unpack(unpackOp, box, out); })
      .Case([&](fr::DequantizeOp dequantizeOp) { return dequantize(dequantizeOp, box, out); })
      .Case([&](fr::DecodeOp decodeOp) { return decodeBlocks(decodeOp, box, out); })
      .Case([&](fr::QuantScaleOp scaleOp) { return quantScale(scaleOp, box, out); })
      .template Case<fr::QuantizeOp, fr::QuantZeroOp, fr::PackOp, fr::EncodeOp>(
          [&](Operation *) { return fromBytes(value, box, out); })
      .Case([&](fr::DivOp) {
        return binary(op, box, out, [](T a, T b) { return b == T(0) && std::is_integral_v<T> ? T(0) : a / b; });
      })
      .Case([&](fr::AddOp) { return binary(op, box, out, [](T a, T b) { return a + b; }); })
      .Case([&](fr::SubOp) { return binary(op, box, out, [](T a, T b) { return a - b; }); })
      .Case([&](fr::MulOp) { return binary(op, box, out, [](T a, T b) { return a * b; }); })
      .Default([&](Operation *) {
        return diags.error(op->getName().getStringRef(), "this op has no meaning inside a param",
                           "this is a mistake of the program: please report it");
      });
}

namespace flagrelease::params {
template struct Evaluator<float>;
template struct Evaluator<double>;
template struct Evaluator<int64_t>;
} // namespace flagrelease::params

ParamEvaluator::ParamEvaluator(const Checkpoint &checkpoint, std::vector<std::shared_ptr<FileSource>> sources, CpuLevel level)
    : checkpoint(checkpoint), sources(std::move(sources)), level(level), ranges(std::make_shared<KeptRanges>()) {}

static Value yielded(fr::ParamOp param) { return param.getBody().front().getTerminator()->getOperand(0); }

template <typename T>
static LogicalResult rowsOf(Evaluator<T> evaluator, fr::ParamOp param, int64_t first, int64_t count, T *out) {
  std::vector<int64_t> shape = staticShape(param.getType());
  Box box{std::vector<int64_t>(shape.size(), 0), shape};
  if (!shape.empty()) {
    box.begin[0] = first;
    box.size[0] = count;
  }
  return evaluator.eval(yielded(param), box, out);
}

LogicalResult ParamEvaluator::readRows(fr::ParamOp param, int64_t first, int64_t count, float *out, Diagnostics &diags) {
  return rowsOf(Evaluator<float>{*this, param.getSymName(), nullptr, diags}, param, first, count, out);
}
LogicalResult ParamEvaluator::readRows(fr::ParamOp param, int64_t first, int64_t count, double *out, Diagnostics &diags) {
  return rowsOf(Evaluator<double>{*this, param.getSymName(), nullptr, diags}, param, first, count, out);
}
LogicalResult ParamEvaluator::readIntegers(fr::ParamOp param, int64_t first, int64_t count, int64_t *out, Diagnostics &diags) {
  // E8M0 goes through a graph as its byte.
  if (dtypeOf(elementOf(param.getType())) == DType::F8E8M0) {
    const std::vector<int64_t> shape = staticShape(param.getType());
    int64_t row = 1;
    for (size_t d = 1; d < shape.size(); ++d)
      row *= shape[d];
    std::vector<float> powers(count * row);
    if (failed(readRows(param, first, count, powers.data(), diags)))
      return failure();
    std::transform(powers.begin(), powers.end(), out, [](float power) { return f32ToF8E8m0(power); });
    return success();
  }
  return rowsOf(Evaluator<int64_t>{*this, param.getSymName(), nullptr, diags}, param, first, count, out);
}

static bool readsDoubles(fr::ParamOp param) {
  bool found = false;
  param.walk([&](fr::GetOp get) { found |= elementOf(get.getType()).isF64(); });
  return found;
}

/// Stored bytes of computed numbers.
template <typename T> static void encode(DType type, const T *from, std::byte *to, int64_t n, CpuLevel level) {
  auto each = [&](auto convert) {
    for (int64_t i = 0; i < n; ++i) {
      auto v = convert(from[i]);
      std::memcpy(to + i * sizeof v, &v, sizeof v);
    }
  };
  if constexpr (std::is_same_v<T, int64_t>) {
    switch (byteWidth(type)) {
    case 8:
      return each([](int64_t v) { return v; });
    case 4:
      return each([](int64_t v) { return static_cast<uint32_t>(v); });
    case 2:
      return each([](int64_t v) { return static_cast<uint16_t>(v); });
    default:
      return each([](int64_t v) { return static_cast<uint8_t>(v); });
    }
  } else {
    switch (type) {
    case DType::F8E4M3:
      return each([](T v) { return f32ToF8E4m3(static_cast<float>(v)); });
    case DType::F8E5M2:
      return each([](T v) { return f32ToF8E5m2(static_cast<float>(v)); });
    case DType::F8E8M0:
      return each([](T v) { return f32ToF8E8m0(static_cast<float>(v)); });
    default:
      castElements(std::is_same_v<T, double> ? DType::F64 : DType::F32, reinterpret_cast<const std::byte *>(from), type, to, n,
                   nullptr, level);
    }
  }
}

LogicalResult ParamEvaluator::readBytes(fr::ParamOp param, int64_t firstByte, llvm::MutableArrayRef<std::byte> out,
                                        RangeLoss *loss, Diagnostics &diags) const {
  // Bytes as they are stored need no arithmetic.
  if (fr::GetOp identity = param.getIdentity()) {
    const CheckpointTensor *tensor = checkpoint.find(identity.getWeight().getLeafReference().getValue());
    if (!tensor)
      return diags.error(param.getSymName(), "the source has no such tensor",
                         "the module and the checkpoint are of different models");
    return sources[tensor->file]->read(tensor->offset + firstByte, out, diags);
  }
  std::optional<DType> type = dtypeOf(elementOf(param.getType()));
  assert(type && "params have storable element types");
  const unsigned width = byteWidth(*type);
  assert(firstByte % width == 0 && out.size() % width == 0 && "whole elements only");
  const std::vector<int64_t> shape = staticShape(param.getType());
  const Value value = yielded(param);
  std::byte *to = out.data();
  auto boxes = [&](auto visit) {
    return forBoxes(shape, firstByte / width, static_cast<int64_t>(out.size() / width), [&](const Box &box) -> LogicalResult {
      if (failed(visit(box)))
        return failure();
      to += box.elements() * width;
      return success();
    });
  };
  // What is shared with the other tensors of the same matrix: who stores its integers is the one to find the ranges.
  fr::QuantScaleOp scaleOp;
  bool findsRanges = false;
  param.walk([&](Operation *op) {
    scaleOp = isa<fr::QuantScaleOp>(op) ? cast<fr::QuantScaleOp>(op) : scaleOp;
    findsRanges |= isa<fr::QuantizeOp>(op);
  });
  std::shared_ptr<RangesOfBlocks> shared;
  if (scaleOp)
    shared = ranges->of(scaleOp.getX(), scaleOp.getBlocks());
  if (shared && !findsRanges)
    shared->settle();
  const RangesOfBlocks::Use use(findsRanges ? shared.get() : nullptr);
  const SharedRanges sharedRanges = shared ? SharedRanges{scaleOp.getX(), scaleOp.getBlocks(), shared.get()} : SharedRanges{};
  const Evaluator<float> evaluator{*this, param.getSymName(), loss, diags, sharedRanges};
  if (givesBytes(value)) {
    const Cuts cuts = cutsOf(value);
    return boxes([&](const Box &box) {
      std::byte *at = to;
      return forParts(box, cuts.elements, cuts.align, [&](const Box &part) -> LogicalResult {
        if (failed(evalBytes(evaluator, value, part, at)))
          return failure();
        at += part.elements() * width;
        return success();
      });
    });
  }
  auto computed = [&](auto sample) {
    using T = decltype(sample);
    std::vector<T> values;
    return boxes([&](const Box &box) -> LogicalResult {
      values.resize(box.elements());
      if (failed(evaluator.as<T>().eval(value, box, values.data())))
        return failure();
      encode(*type, values.data(), to, box.elements(), level);
      return success();
    });
  };
  if (!isFloat(*type))
    return computed(int64_t());
  // A double on the way must not be rounded to float first: that would round twice.
  return *type == DType::F64 || readsDoubles(param) ? computed(double()) : computed(float());
}

void ParamEvaluator::willNeed(fr::ParamOp param, int64_t firstByte, uint64_t bytes) const {
  auto type = cast<RankedTensorType>(param.getType());
  std::optional<DType> element = dtypeOf(type.getElementType());
  if (!element || !type.hasStaticShape())
    return;
  const double all = static_cast<double>(type.getNumElements()) * byteWidth(*element);
  param.walk([&](fr::GetOp get) {
    const CheckpointTensor *tensor = checkpoint.find(get.getWeight().getLeafReference().getValue());
    // Much of the source for few bytes: scales, which are there when the integers are.
    if (!tensor || all == 0 || static_cast<double>(tensor->bytes) > 16 * all)
      return;
    const double first = static_cast<double>(firstByte) / all, last = static_cast<double>(firstByte + bytes) / all;
    const auto from = static_cast<uint64_t>(first * static_cast<double>(tensor->bytes));
    const auto to = std::min(tensor->bytes, static_cast<uint64_t>(last * static_cast<double>(tensor->bytes)));
    if (from < to)
      sources[tensor->file]->willNeed(tensor->offset + from, to - from);
  });
}

uint64_t ParamEvaluator::grainOf(fr::ParamOp param) {
  const std::vector<int64_t> shape = staticShape(param.getType());
  const Value value = yielded(param);
  if (shape.size() < 2 || !givesBytes(value))
    return 0;
  // Rows of the last dimension that share a scale, or a word, are made together.
  const int64_t rows = cutsOf(value).align[shape.size() - 2];
  if (rows == 1 || rows > kMaxRowsTogether)
    return 0;
  return static_cast<uint64_t>(rows) * shape.back() * byteWidth(*dtypeOf(elementOf(param.getType())));
}
