// Reads the sections of a model recipe from its flattened YAML, and checks what needs the whole recipe. Private to
// recipes/ModelRecipe.cpp.
#pragma once

#include "recipes/ModelRecipe.h"
#include "recipes/StepReader.h"

namespace flagrelease {

class ModelReader {
public:
  ModelReader(ModelRecipe &recipe, const StepGrammar &grammar, Diagnostics &diags)
      : recipe(recipe), steps(grammar, diags, recipe.notBuilt), diags(diags) {}

  /// Every section; false when something was wrong.
  bool read(const yaml::Node &root);

private:
  bool fail(const Place &place, const Twine &what, const Twine &remedy = "");
  bool readSection(const yaml::Entry &entry);
  bool readPrefixes(const yaml::Node &node);
  bool readDefaults(const yaml::Node &node);
  bool readConfigs(const yaml::Node &node);
  bool readInputs(const yaml::Node &node);
  bool readGraphs(const yaml::Node &node);
  bool readTasks(const yaml::Node &node);
  bool readTask(const yaml::Entry &entry);
  bool readOptions(const yaml::Node &node, Task &task);
  bool readOutputs(const yaml::Node &node, Task &task);
  bool readHidden(const yaml::Node &node);
  bool readRenames(const yaml::Node &node);
  bool readReasons(const yaml::Node &node, StringRef section, std::vector<Ignored> &out);
  bool readLogical(const yaml::Node &node, LogicalTensor::Kind kind);
  bool readLogicalKey(const yaml::Entry &entry, LogicalTensor &out);
  bool readWords(const yaml::Node &node, std::vector<std::string> &out, StringRef what);

  ModelRecipe &recipe;
  StepReader steps;
  Diagnostics &diags;
};

/// Reads the alternatives of a `match:`; one mapping stands for a list of one.
bool readMatch(const yaml::Node &node, std::vector<MatchEntry> &out, Diagnostics &diags);

/// Names of values, ids, graphs, stacks and hidden paths: do they refer to something?
bool checkModelRecipe(const ModelRecipe &recipe, Diagnostics &diags);

/// The keys that stand before the others, so that the head of a file can be read alone.
llvm::ArrayRef<StringRef> recipeHeadKeys();

/// All sections, in the order in which a recipe is written and printed.
llvm::ArrayRef<StringRef> recipeSections();

} // namespace flagrelease
