// From a source and a chip to a module that the chip's toolchain takes: what `plan` prints and `migrate` writes.
#pragma once

#include "cli/Console.h"
#include "cli/Knowledge.h"
#include "cli/Source.h"
#include "exporters/Exporter.h"
#include "importers/huggingface/Import.h"
#include "passes/Pipeline.h"
#include "passes/to_onnx/ToOnnx.h"
#include "weights/Fingerprint.h"

#include "mlir/IR/MLIRContext.h"

namespace flagrelease {

/// The source, understood. Its module keeps states and taps: the reference runs it.
struct Model {
  Source source;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<mlir::MLIRContext> context;
  Imported imported;

  int64_t configInt(StringRef key, int64_t otherwise) const;
  /// Ids that input_ids may hold: the rows of the table that they pick from; vocab_size where nothing picks. 0: unknown.
  int64_t vocabulary() const;
  /// Positions: what the recipe calls `max_length`, else max_position_embeddings. 0: unlimited.
  int64_t maxLength() const { return imported.maxLength; }
  std::optional<int64_t> padId() const;
};

/// Reads headers and config.json, and builds the module.
FailureOr<Model> openModel(const Options &options, Console &console, Diagnostics &diags);

enum class PlanVerdict : uint8_t { Feasible, Likely, Infeasible };
StringRef planVerdictName(PlanVerdict verdict);

struct PlannedOperator {
  std::string name; ///< "MatMul", "com.microsoft:Gelu"
  OpVerdict level = OpVerdict::Unknown;
  std::string reason;
  int64_t count = 0;
};

struct MigrationPlan {
  const ChipRecipe *chip = nullptr;
  const Toolchain *toolchain = nullptr;
  const OpTable *table = nullptr;
  const Scheme *scheme = nullptr;
  const Exporter *exporter = nullptr;
  std::string format;
  std::string cacheText;    ///< "none", "dynamic", "static:N"; "engine" for a checkpoint format
  PipelineOptions pipeline; ///< of the shipped file
  int64_t context = 0, batch = 0;
  uint64_t shardSize = 5000000000; ///< of checkpoint formats
  bool reshard = false;            ///< it was asked for
  std::string layout;              ///< quantised layout of the weights that ship, as `loads:` names it; empty: plain numbers
  std::map<std::string, BlockFormat> blocks; ///< of the file's tensors, for a scheme of block formats
  bool rounds = false;                       ///< the scheme stores some weight in a narrower type than the source
  bool requantised = false;                  ///< --allow-requantize: weights of the source are rounded a second time

  PlanVerdict verdict = PlanVerdict::Feasible;
  std::vector<std::string> reasons;             ///< why it is not FEASIBLE
  std::vector<std::string> limits;              ///< of the toolchain, in words
  std::map<std::string, std::string> fallbacks; ///< tensor → why it is stored otherwise than the scheme says, and how
  std::vector<PlannedOperator> operators;
  OnnxReport lowering;
  uint64_t weightBytes = 0, cacheBytes = 0, activationBytes = 0, diskBytes = 0;
};

/// Chooses toolchain, scheme, cache and shapes; problems of the command (an unknown chip, a contradiction) are in diags.
FailureOr<MigrationPlan> choosePlan(const Options &options, const Model &model, const TargetRecipes &targets, Diagnostics &diags);

/// Sets what the scheme needs of the pipeline: how matrices are stored, what becomes of a quantised source. Refuses a scheme that
/// the format cannot hold, and one that would quantise a quantised source without --allow-requantize.
LogicalResult planScheme(const Options &options, const Model &model, MigrationPlan &plan, Diagnostics &diags);
/// The pipeline of the module that the reference runs: the numbers that ship, states and taps as they are.
PipelineOptions referencePipeline(const MigrationPlan &plan);

/// The quantised layout that a checkpoint's own config.json states, as `loads:` of a toolchain names it; empty if there is none.
std::string layoutOf(const json::Object &config);
/// What a checkpoint format needs of the engine: that it knows the architecture, and that memory suffices. `strict`: an
/// architecture of which nothing is recorded counts as unknown to it.
void judgeCheckpoint(const Model &model, bool strict, MigrationPlan &plan);
/// Weights, cache and activations against the memory of one chip.
void judgeMemory(MigrationPlan &plan);

/// A copy of the model's module, lowered for the plan: to the target level of a graph format; of a checkpoint format, with the
/// params that the scheme makes. With `taps` every tap is an output. Fills plan.operators, lowering and the
/// verdict when `plan` is not null.
FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> lower(const Model &model, const MigrationPlan &plan, bool taps,
                                                   const std::string &dumpDir, MigrationPlan *judged, const Options &options,
                                                   Diagnostics &diags);

/// Everything that decides bytes.
Fingerprint fingerprintOf(const Options &options, const Model &model, const MigrationPlan &plan, const std::string &moduleDigest,
                          const std::string &besideDigest);

} // namespace flagrelease
