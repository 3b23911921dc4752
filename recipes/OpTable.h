// Operator tables: which operators a toolchain takes, on whose word, and what to say when it does not.
//
// A table is up to three files of recipes/ops/: NAME.yaml (generated from the toolchain's own list), NAME.corrections.yaml (what
// is known better, each entry with a reason) and NAME.executed.yaml (what was seen to run, with the engine's version).
#pragma once

#include "recipes/Fields.h"
#include "recipes/NumberFormat.h"
#include "recipes/RecipeFiles.h"
#include "text/Diagnostics.h"

#include "llvm/ADT/StringMap.h"

#include <map>

namespace flagrelease {

/// In rising order of trust (DESIGN section 5). A plan that rests on Listed or Unknown is LIKELY.
enum class OpVerdict : uint8_t {
  Unsupported, ///< the toolchain does not take it: the reason says how this is known
  Unknown,     ///< the table is open and does not have it
  Listed,      ///< the name is listed, types and limits are not
  Native,      ///< name, opset and element type are listed
  Executed,    ///< it ran with this element type and opset
};
/// "unsupported", "unknown", "listed", "native", "executed".
StringRef opVerdictName(OpVerdict verdict);

enum class OpVocabulary : uint8_t { Onnx, Aten, Ggml };
StringRef opVocabularyName(OpVocabulary vocabulary);

struct OpLookup {
  OpVerdict verdict = OpVerdict::Unknown;
  std::string reason;
  std::string limits; ///< a limitation in the words of the source; empty if none is known
};

/// One operator of the generated table, corrections applied.
struct OpEntry {
  IntRange opset;                   ///< of the domain's opset that a graph imports
  std::vector<NumberFormat> dtypes; ///< empty: the source does not say
  OpVerdict verdict = OpVerdict::Listed;
  int operand = 0; ///< whose element type `dtypes` speaks of; -1: the first result's
  std::string limits;
  std::string because; ///< of a correction
};

/// What was seen to run, or to be refused, over a range of opsets.
struct OpEvidence {
  IntRange opset;
  std::vector<NumberFormat> compared; ///< ran, and the numbers were compared with a reference
  std::vector<NumberFormat> ran;      ///< ran, numbers not compared
  std::vector<NumberFormat> refused;  ///< did not load, did not run, or gave other numbers
  std::string error;                  ///< of the first refusal
};

class OpTable {
public:
  std::string name;
  std::string toolchain;
  OpVocabulary vocabulary = OpVocabulary::Onnx;
  bool closed = false;       ///< absence means unsupported
  std::string closedBecause; ///< why it does, or does not
  IntRange opset;            ///< of the default domain, as the source states it
  std::vector<std::string> sources;
  std::string engine; ///< that `evidence` was gathered with; empty without evidence
  std::vector<RecipeFile> files;

  /// What the toolchain does with an operator. `domain` is "" (or "ai.onnx") for ONNX's own; `opset` is the version of that
  /// domain that the graph imports; `operands` are the element types of the operands in order (`results` likewise), as far as
  /// known.
  OpLookup lookup(StringRef domain, StringRef op, int64_t opset, llvm::ArrayRef<NumberFormat> operands,
                  llvm::ArrayRef<NumberFormat> results = {}) const;

  /// Keys are `Name`, or `domain:Name` outside the default domain.
  std::map<std::string, OpEntry> ops;
  std::map<std::string, std::vector<OpEvidence>> evidence;
  llvm::StringMap<char> unsupported; ///< named as not supported by the source
  llvm::StringMap<char> notFound;    ///< looked for in the source and not found; says less than unsupported
};

class OpTables {
public:
  /// Reads every table of a folder (recipes/ops); `extra` as recipeFilesIn has it.
  static FailureOr<OpTables> load(StringRef folder, StringRef extra, Diagnostics &diags);

  const OpTable *find(StringRef name) const;
  /// As find; an unknown name is a problem at `where` that names the nearest.
  FailureOr<const OpTable *> get(StringRef name, StringRef where, Diagnostics &diags) const;
  std::vector<std::string> names() const;
  const std::map<std::string, OpTable> &all() const { return tables; }

private:
  std::map<std::string, OpTable> tables;
};

} // namespace flagrelease
