// fr-quantize-weights: matrices as small numbers with scales.
#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "passes/StoreWeights.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"

namespace flagrelease {
#define GEN_PASS_DEF_QUANTIZEWEIGHTS
#include "passes/Passes.h.inc"

namespace {
using namespace mlir;
using namespace stored;

constexpr std::pair<llvm::StringLiteral, Kind> kKinds[] = {
    {"int", Kind::Int}, {"fp8", Kind::Fp8}, {"mxfp4", Kind::Mxfp4}, {"blocks", Kind::Blocks}};
constexpr std::pair<llvm::StringLiteral, Layout> kLayouts[] = {{"compressed-tensors", Layout::CompressedTensors},
                                                               {"fp8", Layout::Fp8},
                                                               {"gptq", Layout::Gptq},
                                                               {"onnx", Layout::Onnx},
                                                               {"effective", Layout::Effective}};

template <typename E, size_t N> bool named(const std::pair<llvm::StringLiteral, E> (&table)[N], StringRef name, E &value) {
  for (const auto &[known, one] : table)
    if (name == known) {
      value = one;
      return true;
    }
  return false;
}

/// What a matrix is to the graph.
struct Matrix {
  fr::ParamOp param;
  SmallVector<fr::UseOp> uses;
  SmallVector<fr::LinearOp> linears;
  bool embedding = false, output = false, other = false;
};

/// A value on its way to a result of the function: through what only passes it on.
bool reachesResult(Value value) {
  for (Operation *user : value.getUsers()) {
    if (isa<func::ReturnOp>(user))
      return true;
    if (isa<fr::TapOp, fr::ReshapeOp, fr::CastOp, fr::SliceOp, fr::GatherOp>(user) && user->getOperand(0) == value &&
        reachesResult(user->getResult(0)))
      return true;
  }
  return false;
}

struct QuantizeWeightsPass : impl::QuantizeWeightsBase<QuantizeWeightsPass> {
  using QuantizeWeightsBase::QuantizeWeightsBase;

  void runOnOperation() override {
    if (failed(checkOptions()))
      return signalPassFailure();
    ModuleOp module = getOperation();
    llvm::MapVector<StringAttr, Matrix> matrices;
    module.walk([&](fr::UseOp use) {
      auto param = module.lookupSymbol<fr::ParamOp>(use.getParamAttr());
      if (rankOf(param.getType()) < 2 || !isa<FloatType>(elementOf(param.getType())))
        return;
      Matrix &matrix = matrices[param.getSymNameAttr()];
      matrix.param = param;
      matrix.uses.push_back(use);
      for (OpOperand &operand : use.getResult().getUses()) {
        if (auto linear = dyn_cast<fr::LinearOp>(operand.getOwner()); linear && operand.getOperandNumber() == 1) {
          matrix.linears.push_back(linear);
          matrix.output |= reachesResult(linear.getResult());
        } else if (isa<fr::EmbeddingOp>(operand.getOwner())) {
          matrix.embedding = true;
        } else {
          matrix.other = true;
        }
      }
    });
    SmallVector<Attribute> done;
    NamedAttrList kept, left;
    Builder names(&getContext());
    bool good = true;
    for (auto &[name, matrix] : matrices) {
      std::string reason = reasonToKeep(matrix);
      if (reason.empty()) {
        done.push_back(name);
        good &= succeeded(numbers.kind == Kind::Blocks ? storeBlocks(blockOf[name], matrix.param, matrix.uses)
                                                       : storeMatrix(numbers, matrix.param, matrix.uses));
        for (fr::LinearOp linear : matrix.linears)
          if (activations)
            roundInput(linear);
      } else if (StringRef(reason).starts_with("!")) {
        if (!fallback) {
          InFlightDiagnostic error = emitError(answerAt(NameLoc::get(name))) << reason.substr(1);
          error.attachNote() << "choose a scheme whose groups fit, or pass --allow-type-fallback: such tensors stay as they are";
          good = false;
        }
        kept.append(name, names.getStringAttr(reason.substr(1)));
        left.append(name, names.getStringAttr(reason.substr(1)));
      } else {
        kept.append(name, names.getStringAttr(reason));
      }
    }
    if (!good)
      return signalPassFailure();
    module->setAttr("fr.quantized", names.getArrayAttr(done));
    module->setAttr("fr.kept", kept.getDictionary(&getContext()));
    if (!left.empty())
      module->setAttr(kFallbackAttr, left.getDictionary(&getContext()));
  }

private:
  LogicalResult checkOptions() {
    auto refuse = [&](const Twine &what) { return getOperation().emitError() << "fr-quantize-weights: " << what; };
    if (!named(kKinds, kind, numbers.kind))
      return refuse("kind '" + kind + "' is none of int, fp8, mxfp4, blocks");
    if (!named(kLayouts, layout, numbers.layout))
      return refuse("layout '" + layout + "' is none of compressed-tensors, fp8, gptq, onnx, effective");
    if (bits < 2 || bits > 8 || rows < 0 || columns < 0)
      return refuse("integers have 2 to 8 bits, blocks a size of 0 or more");
    if (activations != 0 && activations != 8)
      return refuse("activations have 8 bits or stay as they are");
    if (numbers.layout == Layout::Gptq && (numbers.kind != Kind::Int || !symmetric || rows != 1 || 32 % bits != 0))
      return refuse("layout gptq holds symmetric integers of 2, 4 or 8 bits by rows");
    std::optional<DType> type = parseDType(StringRef(scale).upper());
    if (!type || !isFloat(*type))
      return refuse("scale '" + scale + "' is no float type");
    numbers.bits = bits, numbers.rows = rows, numbers.columns = columns;
    numbers.symmetric = symmetric, numbers.packed = packed, numbers.scale = *type;
    if (numbers.kind == Kind::Mxfp4) // one power of two for each block of ggml's format
      numbers.bits = 4, numbers.rows = 1, numbers.columns = blockInfo(BlockFormat::MXFP4).elements;
    for (StringRef entry : formats) {
      auto [name, format] = entry.rsplit('=');
      std::optional<BlockFormat> known = parseBlockFormat(format);
      if (!known)
        return refuse("'" + entry + "' names no block format");
      blockOf[name] = *known;
    }
    return success();
  }

  /// Empty: it is quantised. With '!': it should be, and cannot.
  std::string reasonToKeep(Matrix &matrix) {
    DimExprs dims = dimsOf(matrix.param.getType());
    if (numbers.kind == Kind::Blocks) {
      auto it = blockOf.find(matrix.param.getSymName());
      return it == blockOf.end() ? "the scheme says so" : "";
    }
    if (matrix.linears.empty())
      return matrix.embedding ? "a table that is looked up" : "no layer multiplies by it";
    if (matrix.embedding && llvm::is_contained(skip, "embedding"))
      return "a table that is looked up";
    if (matrix.output && llvm::is_contained(skip, "output"))
      return "the head";
    if (matrix.other)
      return "used by another op than a linear layer";
    const int64_t width = dims.back().value(), group = numbers.columns ? numbers.columns : width;
    if (numbers.layout == Layout::Gptq && dims.size() == 2)
      for (const DimExpr &dim : dims)
        if (dim.value() * numbers.bits % 32 != 0)
          return ("!" + Twine(dim.value()) + " numbers of " + Twine(numbers.bits) + " bits fill no whole words").str();
    if (width % group != 0 && numbers.rows == 1)
      return ("!its rows of " + Twine(width) + " numbers are no whole groups of " + Twine(group)).str();
    return "";
  }

  Numbers numbers;
  llvm::StringMap<BlockFormat> blockOf;
};
} // namespace
} // namespace flagrelease
