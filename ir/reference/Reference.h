// The meaning of each `fr` op as plain code, on one computing type T: float (device `reference`) or double (`reference:fp64`, the
// oracle of op tests). Every result is kept in T, whatever its declared float type; integers and booleans are int64.
#pragma once

#include "ir/Fr.h"
#include "ir/HostTensor.h"
#include "text/Diagnostics.h"

#include <functional>
#include <memory>

namespace flagrelease {

/// A value of the graph while it is computed. Row-major. Exactly one of `f` and `i` is used.
template <typename T> struct RefTensor {
  std::vector<int64_t> shape;
  bool integer = false;
  std::vector<T> f;
  std::vector<int64_t> i;
  /// Set for a param that has not been read: layers stream it by rows.
  fr::ParamOp param;

  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : shape)
      n *= d;
    return n;
  }
};

/// Gives the numbers of params, a few rows (slices of the first dimension) at a time. Implemented by weights/ParamEvaluator.
class ParamReader {
public:
  virtual ~ParamReader() = default;
  /// Fills `out` with rows [first, first + count), promoted. An integer param is read by readIntegers.
  virtual LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, float *out, Diagnostics &diags) = 0;
  virtual LogicalResult readRows(fr::ParamOp param, int64_t first, int64_t count, double *out, Diagnostics &diags) = 0;
  virtual LogicalResult readIntegers(fr::ParamOp param, int64_t first, int64_t count, int64_t *out, Diagnostics &diags) = 0;
};

/// What an op's function sees besides its operands.
template <typename T> struct RefContext {
  DimExpr::Bindings sizes; ///< values of the size symbols in this call
  ParamReader &params;
  Diagnostics &diags;
  int64_t tileBytes = int64_t(64) << 20; ///< bound on the rows of a weight that are held at a time

  /// Static sizes of a type under `sizes`; the verifier has seen to it that they are all known.
  std::vector<int64_t> shapeOf(mlir::Type type) const;
  /// Reads the whole of a lazy param; no-op for anything else.
  LogicalResult materialise(RefTensor<T> &value);
};

template <typename T>
using RefFunction = LogicalResult (*)(mlir::Operation *op, llvm::MutableArrayRef<RefTensor<T> *> operands,
                                      llvm::MutableArrayRef<RefTensor<T>> results, RefContext<T> &context);

/// One row of the table of reference functions. `lazyWeights` says that the function itself reads params by rows.
template <typename T> struct RefEntry {
  llvm::StringLiteral name;
  RefFunction<T> function;
  bool lazyWeights = false;
};

// One table per file.
template <typename T> llvm::ArrayRef<RefEntry<T>> elementwiseReference();
template <typename T> llvm::ArrayRef<RefEntry<T>> shapeReference();
template <typename T> llvm::ArrayRef<RefEntry<T>> numberReference();
template <typename T> llvm::ArrayRef<RefEntry<T>> layerReference();
template <typename T> llvm::ArrayRef<RefEntry<T>> attentionReference();
template <typename T> llvm::ArrayRef<RefEntry<T>> convolutionReference();
template <typename T> llvm::ArrayRef<RefEntry<T>> expertReference();

/// The entry for an op; null when the op is handled by the interpreter (use, tap, state) or unknown.
template <typename T> const RefEntry<T> *findReference(llvm::StringRef opName);

/// C[m, n] += nothing: C = A[m, k] * B[n, k]^T, row-major with leading dimension ldc of C. float runs on oneDNN with the
/// instruction set pinned to AVX2 so that a number does not depend on the machine; double is the plain loop.
void matmulTransposed(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c, int64_t ldc);
void matmulTransposed(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c, int64_t ldc);

} // namespace flagrelease
