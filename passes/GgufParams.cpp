#include "passes/GgufParams.h"

#include "ir/Rows.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SmallVector.h"

using namespace flagrelease;
using namespace mlir;

namespace {
/// An empty param at the end of the module.
fr::ParamOp makeParam(ModuleOp module, StringRef name, RankedTensorType type, bool keep) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  Location loc = NameLoc::get(builder.getStringAttr(name));
  auto param = builder.create<fr::ParamOp>(loc, name, type, StringAttr());
  if (keep)
    param->setAttr(kKeepTypeAttr, builder.getUnitAttr());
  param.getBody().emplaceBlock();
  return param;
}

LogicalResult addOne(ModuleOp module, const GgufTensorPlan &plan, fr::ParamOp from, const GgufParamRequest &request,
                     Diagnostics &diags) {
  auto type = cast<RankedTensorType>(from.getType());
  if (type.getRank() < 1 || type.getRank() > 4)
    return diags.error(plan.name, "has " + Twine(type.getRank()) + " dimensions; GGUF tensors have 1 to 4", "", Cause::Answer);
  FailureOr<RowShuffle> shuffle = request.model->shuffle(*plan.rule, type.getDimSize(0), diags);
  if (failed(shuffle))
    return failure();
  bool isFloating = isa<FloatType>(type.getElementType());
  bool keep = isFloating && (plan.rule->f32 || type.getRank() == 1);
  std::optional<DType> stored = keep ? DType::F32 : isFloating ? request.floats : std::nullopt;
  Type element = stored ? mlirType(*stored, module.getContext()) : type.getElementType();
  const BlockInfo *block = nullptr;
  if (auto it = request.blocks.find(plan.name); it != request.blocks.end() && !keep) {
    block = &blockInfo(it->second);
    keep = true; // blocks are no float type that a scheme changes
  }
  SmallVector<int64_t> shape(type.getShape());
  if (block) {
    shape.back() = block->byteSize(shape.back());
    element = IntegerType::get(module.getContext(), 8, IntegerType::Unsigned);
  }
  auto target = RankedTensorType::get(shape, element);

  fr::ParamOp param = makeParam(module, plan.name, target, keep);
  IRMapping mapping;
  OpBuilder builder = OpBuilder::atBlockEnd(&param.getBody().front());
  for (Operation &op : from.getBody().front().without_terminator())
    builder.clone(op, mapping);
  Value value = mapping.lookup(cast<fr::YieldOp>(from.getBody().front().getTerminator()).getValue());
  if (!shuffle->identity())
    value = fr::shuffleRows(builder, param.getLoc(), value, shuffle->sizes, shuffle->permutation);
  if (block)
    value = builder.create<fr::EncodeOp>(param.getLoc(), target, value, block->name);
  else if (element != type.getElementType())
    value = builder.create<fr::CastOp>(param.getLoc(), target, value);
  builder.create<fr::YieldOp>(param.getLoc(), value);
  return success();
}

void addMade(ModuleOp module, const GgufMade &made) {
  OpBuilder types(module.getContext());
  auto type = RankedTensorType::get({static_cast<int64_t>(made.values.size())}, types.getF32Type());
  fr::ParamOp param = makeParam(module, made.name, type, /*keep=*/true);
  OpBuilder builder = OpBuilder::atBlockEnd(&param.getBody().front());
  Value value =
      builder.create<fr::ConstantOp>(param.getLoc(), type, DenseElementsAttr::get(type, llvm::ArrayRef<float>(made.values)));
  builder.create<fr::YieldOp>(param.getLoc(), value);
}
} // namespace

LogicalResult flagrelease::addGgufParams(ModuleOp module, const GgufParamRequest &request, Diagnostics &diags) {
  FailureOr<std::vector<GgufTensorPlan>> plans = request.model->tensors(diags);
  FailureOr<std::vector<GgufMade>> made = request.model->made(diags);
  if (failed(plans) || failed(made))
    return failure();
  for (fr::ParamOp param : module.getOps<fr::ParamOp>())
    SymbolTable::setSymbolVisibility(param, SymbolTable::Visibility::Private);
  std::vector<std::string> missing;
  for (const GgufTensorPlan &plan : *plans) {
    auto name = request.params.find(plan.logical);
    if (name == request.params.end()) {
      if (plan.required)
        missing.push_back(plan.logical);
      continue;
    }
    auto from = module.lookupSymbol<fr::ParamOp>(name->second);
    assert(from && "the request names params of the module");
    if (failed(addOne(module, plan, from, request, diags)))
      return failure();
  }
  for (const GgufMade &one : *made)
    addMade(module, one);
  if (!missing.empty())
    return diags.error(missing.front(),
                       Twine(missing.size()) + (missing.size() == 1 ? " tensor that a" : " tensors that a") +
                           " GGUF file of this family must have is not in the model",
                       "complete the download, or correct the recipe");
  return success();
}
