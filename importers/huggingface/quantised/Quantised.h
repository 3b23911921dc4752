// Checkpoints whose weights are stored as small integers with scales: the parts of one weight become one logical tensor, a param
// that dequantises them. The rest of the importer sees `X.weight` as if it were stored.
//
// Layouts: docs/quantization.md. One file per way of storing, named by `quant_method` of config.json; each builds the weight ops
// that give exactly the numbers of the published formula in f32. What kernels round on the way (fp16, bf16) is not done here.
#pragma once

#include "ir/Fr.h"
#include "text/Json.h"
#include "weights/Checkpoint.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringSet.h"

#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

/// A tensor that the graph can use and no file holds as it is.
struct DerivedTensor {
  std::string name;                 ///< logical: "model.layers.0.self_attn.q_proj.weight"
  std::string param;                ///< symbol of the param: the name with kDerivedSuffix
  std::vector<int64_t> shape;       ///< f32
  std::vector<std::string> sources; ///< physical tensors that it is made of
};
inline constexpr llvm::StringLiteral kDerivedSuffix = ".dequantized";

struct DerivedTensors {
  std::vector<DerivedTensor> tensors;
  std::vector<std::pair<std::string, std::string>> ignored; ///< physical tensor, reason
  std::string method;                                       ///< "gptq"; empty: the checkpoint is not quantised
};

/// Reads `quantization_config` (or hf_quant_config.json) and declares a param for each quantised weight of the checkpoint. The
/// weights must be declared in the module already.
FailureOr<DerivedTensors> declareQuantised(mlir::ModuleOp module, const Checkpoint &checkpoint, const json::Object &config,
                                           Diagnostics &diags);

/// What the functions of one method use.
class QuantisedBuilder {
public:
  QuantisedBuilder(mlir::ModuleOp module, const Checkpoint &checkpoint, const json::Object &settings, DerivedTensors &result,
                   Diagnostics &diags)
      : module(module), checkpoint(checkpoint), settings(settings), result(result), diags(diags),
        builder(module.getBodyRegion()) {}

  mlir::ModuleOp module;
  const Checkpoint &checkpoint;
  const json::Object &settings; ///< quantization_config
  DerivedTensors &result;
  Diagnostics &diags;
  mlir::OpBuilder builder;

  const CheckpointTensor *find(const llvm::Twine &name) const { return checkpoint.find(name.str()); }
  /// A part that must be there; null with a diagnostic.
  const CheckpointTensor *need(const llvm::Twine &name, llvm::StringRef of);
  /// Reports a part whose shape or type does not fit.
  LogicalResult misfit(const CheckpointTensor &tensor, const llvm::Twine &expected);
  static bool isOneFloat(const CheckpointTensor &tensor) {
    return isFloat(tensor.type) && (tensor.shape.empty() || tensor.shape == std::vector<int64_t>{1});
  }
  void ignore(const llvm::Twine &name, llvm::StringRef reason);

  /// Calls visit(base, tensor) for each tensor whose name is base + suffix, in the order of the checkpoint.
  LogicalResult forEach(llvm::StringRef suffix,
                        llvm::function_ref<LogicalResult(const std::string &, const CheckpointTensor &)> visit);
  /// Declares the logical tensor; `build` returns its value, f32 of that shape, made of get().
  LogicalResult derive(const llvm::Twine &name, std::vector<int64_t> shape, llvm::function_ref<mlir::Value()> build);

  // Weight ops, inside derive().
  mlir::Value get(const CheckpointTensor &tensor);
  mlir::Value unpack(mlir::Value words, int64_t bits, fr::PackOrder order, int64_t axis, int64_t count);
  mlir::Value f32(mlir::Value x);
  mlir::Value constant(llvm::ArrayRef<float> values); ///< a vector; of one value: a scalar
  /// table[x] for integers x.
  mlir::Value lookUp(mlir::Value x, llvm::ArrayRef<float> table);
  mlir::Value gather(mlir::Value table, mlir::Value indices);
  mlir::Value reshape(mlir::Value x, llvm::ArrayRef<int64_t> shape);
  mlir::Value transpose2(mlir::Value x); ///< [a, b] to [b, a]
  mlir::Value dequantize(mlir::Value x, mlir::Value scale, mlir::Value zero, llvm::ArrayRef<int64_t> blocks, int64_t offset = 0);
  template <typename Op> mlir::Value binary(mlir::Value a, mlir::Value b) { return builder.create<Op>(loc, a, b).getResult(); }

  /// The integers of a small tensor.
  FailureOr<std::vector<int64_t>> integers(const CheckpointTensor &tensor);
  /// The bytes of a small U8 tensor.
  FailureOr<std::string> text(const CheckpointTensor &tensor);

  /// An integer of the settings, or `otherwise` where it is absent or null; something else is a problem.
  FailureOr<int64_t> integer(llvm::StringRef key, int64_t otherwise);
  FailureOr<bool> flag(llvm::StringRef key, bool otherwise);
  FailureOr<std::string> word(llvm::StringRef key, llvm::StringRef otherwise);
  std::string where(const llvm::Twine &key) const { return ("config.json: quantization_config." + key).str(); }

  /// Values of E2M1 and of E8M0 by code.
  static llvm::ArrayRef<float> e2m1Table();
  static llvm::ArrayRef<float> e8m0Table();

private:
  LogicalResult readSmall(const CheckpointTensor &tensor, std::vector<std::byte> &bytes);

  mlir::Location loc = builder.getUnknownLoc();
  std::vector<std::string> *sources = nullptr;
  llvm::StringSet<> names; ///< of what was derived
};

/// One way of storing: the `quant_method` that names it.
struct QuantisedMethod {
  llvm::StringLiteral name;
  LogicalResult (*declare)(QuantisedBuilder &);
};

LogicalResult declareGptq(QuantisedBuilder &b);
LogicalResult declareAwq(QuantisedBuilder &b);
LogicalResult declareCompressedTensors(QuantisedBuilder &b);
LogicalResult declareFp8(QuantisedBuilder &b);
LogicalResult declareModelOpt(QuantisedBuilder &b);
LogicalResult declareBitsAndBytes(QuantisedBuilder &b);
LogicalResult declareMxfp4(QuantisedBuilder &b);

} // namespace flagrelease
