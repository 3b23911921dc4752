#include "weights/params/ParamEvaluator.h"

#include "ir/reference/Index.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/ErrorHandling.h"

#include <algorithm>

using namespace flagrelease;
using namespace mlir;

namespace {
std::vector<int64_t> staticShape(Type type) {
  llvm::ArrayRef<int64_t> shape = cast<RankedTensorType>(type).getShape();
  return {shape.begin(), shape.end()};
}

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

template <typename T> struct Evaluator {
  const Checkpoint &checkpoint;
  const std::vector<std::shared_ptr<FileSource>> &sources;
  RangeLoss *loss;
  Diagnostics &diags;

  LogicalResult get(fr::GetOp op, const Box &box, T *out) {
    StringRef name = op.getWeight().getLeafReference().getValue();
    const CheckpointTensor *tensor = checkpoint.find(name);
    if (!tensor)
      return diags.error(name, "the source has no such tensor", "the module and the checkpoint are of different models");
    if (!hasNumbers(tensor->type))
      return diags.error(name, "holds " + dtypeName(tensor->type) + ", whose numbers this version does not compute with",
                         "use a checkpoint that stores it as F32, F16, BF16 or F8_E4M3");
    unsigned width = byteWidth(tensor->type);
    std::vector<std::byte> buffer;
    return forRuns(tensor->shape, box, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
      buffer.resize(run * width);
      if (failed(sources[tensor->file]->read(tensor->offset + offset * width, buffer, diags)))
        return failure();
      decode(tensor->type, buffer.data(), out + flat, run);
      return success();
    });
  }

  static void decode(DType type, const std::byte *bytes, T *out, int64_t count) {
    constexpr DType own = std::is_same_v<T, double> ? DType::F64 : DType::F32;
    if constexpr (!std::is_same_v<T, int64_t>) {
      if (canCast(type, own)) {
        castElements(type, bytes, own, reinterpret_cast<std::byte *>(out), count);
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
    switch (type) {
    case DType::F8E4M3:
      return each(uint8_t(), f8e4m3ToF32);
    case DType::F8E5M2:
      return each(uint8_t(), f8e5m2ToF32);
    case DType::F8E8M0:
      return each(uint8_t(), f8e8m0ToF32);
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

  /// Rounds to the declared type, so that what follows sees the numbers that a file of that type would hold.
  void round(DType type, T *values, int64_t count) {
    if constexpr (!std::is_same_v<T, int64_t>) {
      constexpr DType own = std::is_same_v<T, double> ? DType::F64 : DType::F32;
      if (type == own || (std::is_same_v<T, float> && type == DType::F64) || !canCast(own, type))
        return;
      std::vector<std::byte> narrow(count * byteWidth(type));
      castElements(own, reinterpret_cast<std::byte *>(values), type, narrow.data(), count, loss);
      castElements(type, narrow.data(), own, reinterpret_cast<std::byte *>(values), count);
    }
  }

  LogicalResult reshape(fr::ReshapeOp op, const Box &box, T *out) {
    // A box of the result lies between two flat indices; the operand's rows that cover them are evaluated and cut.
    std::vector<int64_t> shape = staticShape(op.getType()), from = staticShape(op.getX().getType());
    int64_t rowElements = 1;
    for (size_t d = 1; d < from.size(); ++d)
      rowElements *= from[d];
    return forRuns(shape, box, [&](int64_t flat, int64_t offset, int64_t run) -> LogicalResult {
      int64_t firstRow = offset / rowElements, lastRow = (offset + run - 1) / rowElements;
      Box rows{std::vector<int64_t>(from.size(), 0), from};
      if (!from.empty()) {
        rows.begin[0] = firstRow;
        rows.size[0] = lastRow - firstRow + 1;
      }
      std::vector<T> values(rows.elements());
      if (failed(eval(op.getX(), rows, values.data())))
        return failure();
      std::copy_n(values.data() + (offset - firstRow * rowElements), run, out + flat);
      return success();
    });
  }

  LogicalResult transpose(fr::TransposeOp op, const Box &box, T *out) {
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

  LogicalResult concat(fr::ConcatOp op, const Box &box, T *out) {
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

  template <typename Combine> LogicalResult binary(Operation *op, const Box &box, T *out, Combine combine) {
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
    walk(box.size, strides,
         [&](int64_t flat, const int64_t *at) { out[flat] = combine(operands[0][at[0]], operands[1][at[1]]); });
    return success();
  }

  LogicalResult constant(fr::ConstantOp op, const Box &box, T *out) {
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

  LogicalResult eval(Value value, const Box &box, T *out) {
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
        .Case([&](fr::AddOp) { return binary(op, box, out, [](T a, T b) { return a + b; }); })
        .Case([&](fr::SubOp) { return binary(op, box, out, [](T a, T b) { return a - b; }); })
        .Case([&](fr::MulOp) { return binary(op, box, out, [](T a, T b) { return a * b; }); })
        .Default([&](Operation *) {
          return diags.error(op->getName().getStringRef(), "this op has no meaning inside a param",
                             "this is a mistake of the program: please report it");
        });
  }
};

template <typename T> LogicalResult rowsOf(Evaluator<T> evaluator, fr::ParamOp param, int64_t first, int64_t count, T *out) {
  std::vector<int64_t> shape = staticShape(param.getType());
  Box box{std::vector<int64_t>(shape.size(), 0), shape};
  if (!shape.empty()) {
    box.begin[0] = first;
    box.size[0] = count;
  }
  return evaluator.eval(param.getBody().front().getTerminator()->getOperand(0), box, out);
}
} // namespace

LogicalResult ParamEvaluator::readRows(fr::ParamOp param, int64_t first, int64_t count, float *out, Diagnostics &diags) {
  return rowsOf(Evaluator<float>{checkpoint, sources, nullptr, diags}, param, first, count, out);
}
LogicalResult ParamEvaluator::readRows(fr::ParamOp param, int64_t first, int64_t count, double *out, Diagnostics &diags) {
  return rowsOf(Evaluator<double>{checkpoint, sources, nullptr, diags}, param, first, count, out);
}
LogicalResult ParamEvaluator::readIntegers(fr::ParamOp param, int64_t first, int64_t count, int64_t *out, Diagnostics &diags) {
  return rowsOf(Evaluator<int64_t>{checkpoint, sources, nullptr, diags}, param, first, count, out);
}

static bool readsDoubles(fr::ParamOp param) {
  bool found = false;
  param.walk([&](fr::GetOp get) { found |= elementOf(get.getType()).isF64(); });
  return found;
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
  Type element = elementOf(param.getType());
  std::optional<DType> type = dtypeOf(element);
  assert(type && "params have storable element types");
  unsigned width = byteWidth(*type);
  assert(firstByte % width == 0 && out.size() % width == 0 && "whole elements only");
  std::vector<int64_t> shape = staticShape(param.getType());
  int64_t first = firstByte / width, count = out.size() / width;
  Value value = param.getBody().front().getTerminator()->getOperand(0);

  // A flat range is at most three boxes of whole rows' parts; rows of the first dimension keep them simple and bounded by a row.
  int64_t rowElements = 1;
  for (size_t d = 1; d < shape.size(); ++d)
    rowElements *= shape[d];
  auto run = [&](auto sample, auto encode) -> LogicalResult {
    using T = decltype(sample);
    std::vector<T> values;
    int64_t done = 0;
    while (done < count) {
      int64_t at = first + done, row = at / rowElements, inRow = at % rowElements;
      Box box{std::vector<int64_t>(shape.size(), 0), shape};
      // Whole rows together; a part of a row by its own box along the last dimension when the row is a vector.
      int64_t rows = inRow == 0 ? std::max<int64_t>(1, (count - done) / rowElements) : 1;
      int64_t take = inRow == 0 && count - done >= rowElements ? rows * rowElements : std::min(rowElements - inRow, count - done);
      if (!shape.empty()) {
        box.begin[0] = row;
        box.size[0] = rows;
      }
      int64_t skip = inRow;
      if (shape.size() == 1)
        skip = 0;
      else if (shape.size() == 2 && take < rowElements) {
        box.begin[1] = inRow;
        box.size[1] = take;
        skip = 0;
      }
      if (shape.size() == 1) {
        box.begin[0] = at;
        box.size[0] = take = count - done;
      }
      values.resize(box.elements());
      if (failed(Evaluator<T>{checkpoint, sources, loss, diags}.eval(value, box, values.data())))
        return failure();
      encode(values.data() + skip, out.data() + done * width, take);
      done += take;
    }
    return success();
  };
  auto integers = [&](auto sample) {
    using V = decltype(sample);
    return run(int64_t(), [](const int64_t *from, std::byte *to, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        V v = static_cast<V>(from[i]);
        std::memcpy(to + i * sizeof(V), &v, sizeof(V));
      }
    });
  };
  switch (*type) {
  case DType::F64:
    return run(double(), [](const double *from, std::byte *to, int64_t n) { std::memcpy(to, from, n * sizeof(double)); });
  case DType::F32:
  case DType::F16:
  case DType::BF16:
    // A double on the way must not be rounded to float first: that would round twice.
    if (readsDoubles(param))
      return run(double(), [&](const double *from, std::byte *to, int64_t n) {
        castElements(DType::F64, reinterpret_cast<const std::byte *>(from), *type, to, n);
      });
    return run(float(), [&](const float *from, std::byte *to, int64_t n) {
      castElements(DType::F32, reinterpret_cast<const std::byte *>(from), *type, to, n);
    });
  case DType::I64:
  case DType::U64:
    return integers(int64_t());
  case DType::I32:
  case DType::U32:
    return integers(int32_t());
  case DType::I16:
  case DType::U16:
    return integers(int16_t());
  case DType::I8:
  case DType::U8:
  case DType::Bool:
    return integers(int8_t());
  default:
    break;
  }
  return diags.error(param.getSymName(), "computing " + dtypeName(*type) + " is not built yet",
                     "keep this tensor as it is stored");
}
