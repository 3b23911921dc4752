// How far two tensors are apart. All sums are in double, in index order: the same tensors give the same numbers everywhere.
//
//   nmse          sum (got - ref)^2 / sum ref^2                normalised mean squared error
//   max_abs       max |got - ref|
//   max_relative  max |got - ref| / max |ref|                  (of the whole selection, not element by element)
//   cosine        min over rows of <got, ref> / (|got| |ref|)
//   kl            max over rows of sum p (log p - log q), p = softmax(ref), q = softmax(got), in nats  (Kullback, Leibler 1951)
//   top_k         min over rows of the share of ref's k largest that are among got's k largest
//   logprob       max |got - ref| of log-probabilities, where a device lists those of the best ids (tier T2) and nothing else
//
// A row is what the last dimension holds. Where the reference is all zero, nmse and max_relative are 0 if got is all zero too,
// else infinite; the cosine of two zero rows is 1, of one zero row 0. A number that is not finite where the reference's is makes
// every distance of its row the worst there is (infinite; cosine -1; top_k 0). Elements where both are NaN, or the same infinity,
// are equal.
#pragma once

#include "ir/HostTensor.h"
#include "text/Diagnostics.h"

#include "llvm/ADT/ArrayRef.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

struct Distance {
  double nmse = 0; ///< of the worst group of rows that was added
  double maxAbs = 0;
  double maxRelative = 0; ///< of the worst group
  double cosine = 1;
  std::optional<double> kl;      ///< only where asked for
  std::optional<double> topK;    ///< only where asked for
  std::optional<double> logprob; ///< only of what a device of tier T2 lists
  int64_t rows = 0;
  int64_t notFinite = 0;    ///< elements that are NaN or infinite where the reference has a number
  int64_t constantRows = 0; ///< see ConstantRule

  /// The worse of both, by each metric.
  void merge(const Distance &other);
};

/// A row is constant if (max - min) <= spread * max|.|, while the reference's row has (max - min) > referenceSpread * max|.|.
struct ConstantRule {
  double spread = 0, referenceSpread = 0;
};

struct DistanceOptions {
  bool distribution = false; ///< rows are logits: kl and top_k are asked for
  int64_t k = 5;
  ConstantRule constant;
};

/// Rows of a tensor that are compared: indices of runs of shape.back() elements (one element for a scalar).
using RowSelection = std::vector<int64_t>;

/// Adds rows, of one or of several pairs of tensors, into one group.
class DistanceGroup {
public:
  explicit DistanceGroup(const DistanceOptions &options = {}) : options(options) {}
  /// Row rowsGot[i] of `got` against row rowsRef[i] of `ref`. Both selections are of one length and inside the tensors, and the
  /// rows are equally long (asserted): the caller has compared shapes.
  void add(const HostTensor &got, const RowSelection &rowsGot, const HostTensor &ref, const RowSelection &rowsRef);
  Distance finish() const;

private:
  DistanceOptions options;
  Distance sum;
  double squares = 0, referenceSquares = 0, referenceMax = 0;
};

/// All rows. Shapes must be equal (asserted).
Distance distance(const HostTensor &got, const HostTensor &ref, const DistanceOptions &options = {});

/// Row `row` as doubles, exact.
std::vector<double> rowOf(const HostTensor &tensor, int64_t row);
/// Elements in a row, and rows in a tensor.
int64_t rowWidth(const HostTensor &tensor);
int64_t rowCount(const HostTensor &tensor);

/// Logits as log-probabilities: row - log(sum(exp(row))). NaN everywhere for a row that is no distribution.
std::vector<double> logSoftmax(std::vector<double> row);

/// Index of the largest element, the first of equals; NaN never wins.
int64_t argMax(llvm::ArrayRef<double> row);
/// The largest element minus the second largest; 0 for fewer than two.
double topMargin(llvm::ArrayRef<double> row);

} // namespace flagrelease
