#include "ir/Rows.h"

using namespace flagrelease;
using namespace mlir;

Value fr::shuffleRows(OpBuilder &builder, Location loc, Value value, llvm::ArrayRef<int64_t> sizes,
                      llvm::ArrayRef<int64_t> order) {
  auto type = cast<RankedTensorType>(value.getType());
  llvm::SmallVector<int64_t> split(sizes), moved, permutation(order);
  for (int64_t axis : order)
    moved.push_back(sizes[axis]);
  for (int64_t d = 1; d < type.getRank(); ++d) {
    permutation.push_back(static_cast<int64_t>(split.size()));
    split.push_back(type.getDimSize(d));
    moved.push_back(type.getDimSize(d));
  }
  Type element = type.getElementType();
  Value axes = builder.create<fr::ReshapeOp>(loc, RankedTensorType::get(split, element), value);
  Value turned = builder.create<fr::TransposeOp>(loc, RankedTensorType::get(moved, element), axes, permutation);
  return builder.create<fr::ReshapeOp>(loc, type, turned);
}
