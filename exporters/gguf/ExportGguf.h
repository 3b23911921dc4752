// Exporter `gguf`: prints the public params of a module as the tensors of GGUF files (README.md beside this).
#pragma once

#include "exporters/Exporter.h"
#include "exporters/gguf/Tokenizer.h"
#include "recipes/ModelRecipe.h"

#include <map>

namespace flagrelease {

/// What a GGUF file says about the model beside its tensors.
struct GgufTarget {
  const ModelRecipe *recipe = nullptr;        ///< of the family; has a gguf section
  const json::Object *config = nullptr;       ///< normalised
  const TokenizerTable *tokenizers = nullptr; ///< recipes/gguf_pretokenizers.yaml
  std::string folder;                         ///< of the checkpoint: the tokenizer's files lie there
  std::string name;                           ///< general.name: never a path
  std::map<std::string, std::string> origin;  ///< flagrelease.*: tool, source and its digest; no time, user or path
  const GgufKeyValues *source = nullptr;      ///< of a source that is GGUF itself: its tokenizer keys are carried over
  std::optional<uint32_t> fileType;           ///< general.file_type of a named mixture; else by the types of the tensors
  uint64_t alignment = 32;                    ///< of the data and of each tensor
};

/// config.json and the lets of a recipe as a scope that lives together with what it refers to.
class FamilyScope {
public:
  FamilyScope(const ModelRecipe &recipe, const json::Object &config);
  const Scope &scope() const { return own; }

private:
  Scope values, own;
};

/// The keys of the file, in order: general.*, those of the family, tokenizer.*, flagrelease.*. `rows` of the embedding.
FailureOr<GgufKeyValues> ggufKeyValues(const GgufTarget &target, int64_t rows, Diagnostics &diags);

/// `request.gguf` says the rest. Files are `stem`.gguf, or `stem`-00001-of-0000N.gguf where they would be longer than
/// `request.shardSize` otherwise; the first one has the keys.
FailureOr<ExportPlan> exportGguf(const ExportRequest &request, Diagnostics &diags);

} // namespace flagrelease
