// attention and its mask in primitive ops.
#include "passes/DecomposeEmit.h"

#include <limits>

using namespace mlir;
using namespace flagrelease;

Values flagrelease::decomposeAttention(fr::AttentionOp op, Emit &e, const DecomposeOptions &) {
  Value q = op.getQ(), k = op.getK(), v = op.getV();
  DimExprs qd = dimsOf(q.getType()), kd = dimsOf(k.getType());
  const DimExpr &batch = qd[0], &queries = qd[2], &keys = kd[2], values = dimsOf(v.getType())[3];
  const int64_t heads = qd[1].value(), keyHeads = kd[1].value(), group = heads / keyHeads;

  // Queries that share a key head stand one below the other: [B, k, group * S, d]. No key or value is copied, and every tensor
  // has rank 4, which all compilers take.
  auto stacked = [&](Value x, const DimExpr &last) { return e.reshape(x, {batch, DimExpr(keyHeads), queries * group, last}); };
  auto apart = [&](Value x, const DimExpr &last) { return e.reshape(x, {batch, DimExpr(heads), queries, last}); };

  Value scaledQ = e.mul(q, e.scalar(op.getScale().convertToDouble(), q));
  Value scores = apart(e.make<fr::MatmulOp>(stacked(scaledQ, qd[3]), e.transpose(k, {0, 1, 3, 2})), keys);
  if (op.getSoftcap()) {
    Value cap = e.scalar(op.getSoftcap()->convertToDouble(), scores);
    scores = e.mul(e.make<fr::TanhOp>(e.div(scores, cap)), cap);
  }
  if (op.getMask())
    scores = e.make<fr::SelectOp>(op.getMask(), scores, e.scalar(std::numeric_limits<float>::lowest(), scores));
  Value shares = e.make<fr::SoftmaxOp>(scores, int64_t(3));
  return {apart(e.make<fr::MatmulOp>(stacked(shares, keys), v), values)};
}

Values flagrelease::decomposeAttentionMask(fr::AttentionMaskOp op, Emit &e, const DecomposeOptions &) {
  DimExprs dims = dimsOf(op.getType());
  const DimExpr one(1), &batch = dims[0], &queries = dims[2], &keys = dims[3];
  Value visible;
  auto require = [&](Value condition) { visible = visible ? e.make<fr::AndOp>(visible, condition) : condition; };
  auto keyShape = [&](Value x, const DimExpr &rows) { return e.reshape(x, {rows, one, one, keys}); };
  auto queryShape = [&](Value x, const DimExpr &rows) { return e.reshape(x, {rows, one, queries, one}); };

  Value columns = op.getQueryColumns();
  if (!columns) {
    columns = e.iota(queries);
    if (queries != keys)
      columns = e.add(columns, e.size(keys - queries));
  }
  if (op.getPadding())
    require(keyShape(e.compare(fr::Predicate::NE, op.getPadding(), e.scalar(0, op.getPadding())), batch));
  if (op.getCausal()) {
    Value last = op.getDiagonal() == 0 ? columns : e.add(columns, e.scalar(op.getDiagonal(), columns));
    require(e.compare(fr::Predicate::LE, keyShape(e.iota(keys), one), queryShape(last, one)));
  }
  if (op.getWindow()) {
    // Real tokens up to each column; without padding that is the column itself, up to a constant.
    Value countOfKey, countOfQuery;
    if (op.getPadding()) {
      Value count = e.make<fr::CumsumOp>(op.getPadding(), int64_t(1));
      countOfKey = keyShape(count, batch);
      countOfQuery = queryShape(e.make<fr::GatherOp>(count, columns, int64_t(1), int64_t(0)), batch);
    } else {
      countOfKey = keyShape(e.iota(keys), one);
      countOfQuery = queryShape(columns, one);
    }
    require(e.compare(fr::Predicate::GT, countOfKey, e.sub(countOfQuery, e.scalar(*op.getWindow(), columns))));
  }
  // What no condition above has given its size: a vector that is true everywhere does.
  for (unsigned d = 0; d < 4; ++d) {
    if (visible && dimsOf(visible.getType())[d] == dims[d])
      continue;
    DimExprs shape(4, one);
    shape[d] = dims[d];
    Value places = e.iota(dims[d]);
    require(e.reshape(e.compare(fr::Predicate::GE, places, e.scalar(0, places)), shape));
  }
  return {visible};
}
