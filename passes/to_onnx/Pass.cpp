// convert-fr-to-onnx: the conversion as a pass, for people and for tests of patterns.
#include "ir/onnx/Onnx.h"
#include "ir/onnx/Schema.h"
#include "passes/Passes.h"
#include "passes/to_onnx/ToOnnx.h"

namespace flagrelease {
#define GEN_PASS_DEF_CONVERTFRTOONNX
#include "passes/Passes.h.inc"

namespace {
struct ConvertFrToOnnxPass : impl::ConvertFrToOnnxBase<ConvertFrToOnnxPass> {
  using ConvertFrToOnnxBase::ConvertFrToOnnxBase;

  void runOnOperation() override {
    OnnxTarget target;
    target.opset = opset;
    target.supported = [&](const OnnxNodeQuery &query) {
      std::string name = query.domain == kOnnxDomain ? query.op.str() : (query.domain + ":" + query.op).str();
      return !llvm::is_contained(refuse, name) && (isStandardOnnx(query.domain, query.op) || llvm::is_contained(contrib, name));
    };
    OnnxReport report;
    Diagnostics diags;
    (void)convertToOnnx(getOperation(), target, report, diags);
    for (const OnnxMissing &missing : report.missing)
      (void)diags.error(missing.cause, "needs " + missing.op + ", which is refused");
    for (const Problem &problem : diags.errors())
      getOperation().emitError() << problem.where << ": " << problem.what;
    if (diags.hasErrors())
      signalPassFailure();
  }
};
} // namespace
} // namespace flagrelease
