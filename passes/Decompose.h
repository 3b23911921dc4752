// Composite `fr` ops written in primitive ones: the one place that knows how. The pass fr-decompose applies these patterns by
// name; a target whose toolchain lacks an op adds the same patterns to its own conversion.
//
// Every pattern replaces an op by ops of the same dialect with the same result types, in f32 (or the type of the operands), so
// it serves the greedy driver and dialect conversion alike. tests/passes/decompose_test.cpp runs the reference functions of both
// sides on random inputs.
#pragma once

#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace flagrelease {

struct DecomposeOptions {
  /// rope_table of kind dynamic raises numbers to powers at run time: in f64, as the reference does, or in f32 for chips that
  /// have no f64 (the angles then differ by a few units in the last place of f32).
  bool float64 = true;
};

using PopulateDecomposition = void (*)(mlir::RewritePatternSet &patterns, const DecomposeOptions &options,
                                       mlir::PatternBenefit benefit);

struct Decomposition {
  llvm::StringLiteral op;   ///< full name: "fr.rms_norm"
  llvm::StringLiteral into; ///< the names that its result is made of, for people and for plans: "fr.mul fr.reduce ..."
  PopulateDecomposition populate;
};

/// All ops that can be written in others, in alphabetical order.
llvm::ArrayRef<Decomposition> decompositions();
/// The decomposition of one op, by full name ("fr.softmax") or mnemonic ("softmax"); null when it is primitive or unknown.
const Decomposition *findDecomposition(llvm::StringRef op);
/// Adds the patterns of all named ops. Returns the first name that has none, or an empty string.
llvm::StringRef populateDecomposePatterns(llvm::ArrayRef<llvm::StringRef> ops, mlir::RewritePatternSet &patterns,
                                          const DecomposeOptions &options = {}, mlir::PatternBenefit benefit = 1);

} // namespace flagrelease
