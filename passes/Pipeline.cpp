#include "passes/Pipeline.h"
#include "passes/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace flagrelease;

void flagrelease::buildPipeline(OpPassManager &manager, const PipelineOptions &options) {
  // First what changes params, so that everything below sees the element types that ship: numbers, then how they are stored.
  if (options.replaceQuantized)
    manager.addPass(createReplaceQuantized({*options.replaceQuantized}));
  if (options.quantize) {
    const PipelineOptions::Quantize &q = *options.quantize;
    QuantizeWeightsOptions pass;
    pass.kind = q.kind, pass.scale = q.scale, pass.layout = q.layout;
    pass.bits = q.bits, pass.rows = q.rows, pass.columns = q.columns, pass.activations = q.activations;
    pass.symmetric = q.symmetric, pass.packed = q.packed, pass.fallback = q.fallback;
    pass.skip = q.skip;
    pass.formats = q.formats;
    manager.addPass(createQuantizeWeights(pass));
  }
  if (options.floats)
    manager.addPass(createApplyScheme({dtypeName(*options.floats).lower()}));

  // The cache mode decides which arguments there are, and removes the symbol P; sizes become numbers only after that, because a
  // static cache says what P + S is.
  switch (options.cache) {
  case PipelineOptions::Cache::Keep:
    break;
  case PipelineOptions::Cache::None:
    manager.addPass(createCacheNone());
    break;
  case PipelineOptions::Cache::Dynamic:
    manager.addPass(createCacheDynamic());
    break;
  case PipelineOptions::Cache::Static:
    manager.addPass(createCacheStatic({options.cacheSize}));
    break;
  }
  if (!options.sizes.empty()) {
    std::vector<std::string> sizes;
    for (const auto &[symbol, value] : options.sizes)
      sizes.push_back(symbol + "=" + std::to_string(value));
    manager.addPass(createStaticShapes({sizes}));
  }

  // Taps go before equal ops merge: a tap between two equal ops keeps them apart.
  switch (options.taps) {
  case PipelineOptions::Taps::Keep:
    break;
  case PipelineOptions::Taps::Drop:
    manager.addPass(createDropTaps());
    break;
  case PipelineOptions::Taps::Outputs:
    manager.addPass(createTapsToOutputs());
    break;
  }

  // Every layer brings its own mask and rotary table; after this equal ones are one. On functions only: params are what the user
  // asked for, step by step.
  manager.addNestedPass<func::FuncOp>(createCanonicalizerPass());
  manager.addNestedPass<func::FuncOp>(createCSEPass());

  // Last, when no dead op holds on to a param any more.
  if (options.dropUnusedParams)
    manager.addPass(createDropUnusedParams());
}

namespace {
/// Writes the module after each pass that ran on all of it, and after the last pass on its functions.
class DumpModules : public PassInstrumentation {
public:
  DumpModules(ModuleOp module, StringRef dir, Diagnostics &diags) : module(module), dir(dir), diags(diags) { write("import"); }

  void runAfterPass(Pass *pass, Operation *op) override {
    if (isa<ModuleOp>(op))
      write(pass->getArgument().empty() ? StringRef("functions") : pass->getArgument());
  }

private:
  void write(StringRef name) {
    if (failed_)
      return;
    std::string path = llvm::formatv("{0}/{1,0+2}-{2}.mlir", dir, number++, name);
    std::error_code error;
    llvm::raw_fd_ostream out(path, error);
    if (!error) {
      module.print(out);
      out << '\n';
      out.flush();
      error = out.error();
      out.clear_error();
    }
    if (error) {
      failed_ = true;
      (void)diags.error(path, "cannot write the dump: " + error.message(), "give --dump-dir an existing, writable folder",
                        Cause::Environment);
    }
  }

  ModuleOp module;
  std::string dir;
  Diagnostics &diags;
  unsigned number = 0;
  bool failed_ = false;
};

std::string placeOf(Location loc) {
  if (auto file = loc->findInstanceOf<FileLineColLoc>())
    return (file.getFilename().getValue() + ":" + Twine(file.getLine()) + ":" + Twine(file.getColumn())).str();
  if (auto name = loc->findInstanceOf<NameLoc>())
    return name.getName().str();
  return "module";
}
} // namespace

LogicalResult flagrelease::runPasses(ModuleOp module, function_ref<void(OpPassManager &)> build, StringRef dumpDir,
                                     Diagnostics &diags) {
  // MLIR's diagnostics carry our messages: the note, if any, is the remedy.
  ScopedDiagnosticHandler handler(module.getContext(), [&](Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
      return failure();
    std::string remedy;
    for (Diagnostic &note : diagnostic.getNotes())
      remedy += (remedy.empty() ? "" : "; ") + note.str();
    const bool isAnswer = diagnostic.getLocation()->findInstanceOf<AnswerLoc>() != nullptr;
    (void)diags.error(placeOf(diagnostic.getLocation()), diagnostic.str(), remedy, isAnswer ? Cause::Answer : Cause::Input);
    return success();
  });
  const bool hadErrors = diags.hasErrors();
  PassManager manager(module.getContext());
  build(manager);
  if (!dumpDir.empty())
    manager.addInstrumentation(std::make_unique<DumpModules>(module, dumpDir, diags));
  // The remedy is a note of ours, not a print of the op.
  const bool printsOps = module.getContext()->shouldPrintOpOnDiagnostic();
  module.getContext()->printOpOnDiagnostic(false);
  const LogicalResult ran = manager.run(module);
  module.getContext()->printOpOnDiagnostic(printsOps);
  if (failed(ran)) {
    if (!diags.hasErrors())
      return diags.error("module", "a pass failed without saying why", "run flagrelease-opt on the module in --dump-dir");
    return failure();
  }
  // A dump that could not be written is an error of the command even though the module is fine.
  return failure(!hadErrors && diags.hasErrors());
}
