// Reads lists of steps from YAML, each against the schema of its kind. Private to the model recipe reader.
#pragma once

#include "recipes/ModelRecipe.h"

#include <cassert>

namespace flagrelease {

/// True if a parameter is called id, in, out, at or when: the step's own key would hide it.
bool usesCommonKey(llvm::ArrayRef<StepSchema> schemas);

class StepReader {
public:
  StepReader(const StepGrammar &grammar, Diagnostics &diags, std::vector<NotBuilt> &notBuilt)
      : grammar(grammar), diags(diags), notBuilt(notBuilt) {
    assert(!usesCommonKey(grammar.steps) && !usesCommonKey(grammar.later) &&
           "a parameter with the name of a key that all steps have");
  }

  /// Appends the steps that could be read; false when something was wrong.
  bool readList(const yaml::Node &node, StepList &out);
  bool readLets(const yaml::Node &node, std::vector<Let> &out);
  /// A scalar or a sequence of scalars.
  bool readNames(const yaml::Node &node, bool indexed, std::vector<Template> &out);

private:
  bool fail(const Place &place, const Twine &what, const Twine &remedy = "");
  bool readStep(const yaml::Node &node, Step &out);
  bool readKey(const yaml::Entry &entry, Step &step, const StepSchema *built, const StepSchema *later);
  bool readCommon(const yaml::Entry &entry, Step &step, bool &known);
  bool readCombinatorKey(const yaml::Entry &entry, Step &step, bool &known);
  bool readCases(const yaml::Node &node, Step &step);
  /// `later`: the schema that this parameter will have, or null; `path` names it in messages.
  bool readParam(const yaml::Node &node, const ParamSchema &schema, const ParamSchema *later, StringRef path, Param &out);
  bool readExpression(const yaml::Node &node, size_t skip, Param &out);
  bool readMapping(const yaml::Node &node, const ParamSchema &schema, const ParamSchema *later, StringRef path, Param &out);
  bool readSequence(const yaml::Node &node, const ParamSchema &schema, StringRef path, Param &out);
  bool finish(Step &step);
  bool giveIds(StepList &steps, const std::vector<bool> &given);

  const StepGrammar &grammar;
  Diagnostics &diags;
  std::vector<NotBuilt> &notBuilt;
};

/// True for names that lets, indices, ids and values may have: [A-Za-z_][A-Za-z0-9_-]* (ids may hold '-', lets may not).
bool isIdentifier(StringRef text, bool dashes);

} // namespace flagrelease
