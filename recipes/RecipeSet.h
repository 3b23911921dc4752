// The folder of recipes: finds the recipe of a checkpoint, reads it when it is asked for.
#pragma once

#include "recipes/ModelRecipe.h"
#include "text/Json.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace flagrelease {

/// Defaults of one configuration class of transformers (recipes/models/_defaults.json, made by tools/gen_defaults.py):
/// config.json leaves out keys that equal them.
struct ClassDefaults {
  json::Object values;
  std::optional<double> defaultTheta; ///< rope_theta when no key gives one
  /// Other names of keys: {"num_hidden_layers": "n_layer"} means that n_layer is read for num_hidden_layers.
  std::vector<std::pair<std::string, std::string>> attributeMap;
};

/// Config keys that never change the numbers of inference (recipes/models/_inert.yaml).
class InertKeys {
public:
  /// Why the key is inert, or an empty text. Keys are dotted; patterns may hold '*'.
  StringRef reason(StringRef key) const;
  struct Group {
    std::string reason;
    std::vector<std::string> keys, patterns;
  };
  std::vector<Group> groups;
};

struct RecipeHead {
  std::string name, file, like;
  bool shipped = true; ///< false: from the user's folder
  std::vector<MatchEntry> match;
};

class RecipeSet {
public:
  /// Reads the heads of `dir`/models/*.yaml (names that start with '_' are no recipes). `extra` (may be empty) is a folder of the
  /// user with the same layout; its recipes replace those of the same name and win over others where both match. A file whose
  /// head cannot be read is a problem only when it is asked for, or in problems().
  static FailureOr<RecipeSet> load(StringRef dir, StringRef extra, const StepGrammar &grammar, Diagnostics &diags);

  const std::vector<RecipeHead> &heads() const { return all; }
  const RecipeHead *find(StringRef name) const;
  /// The recipe whose `match:` fits the config: most keys win; two that fit equally are an error. An architecture that no
  /// recipe has is an error with the nearest known.
  FailureOr<const RecipeHead *> match(const json::Object &config, StringRef where, Diagnostics &diags) const;
  /// Reads, flattens and type-checks one recipe.
  FailureOr<ModelRecipe> read(StringRef name, Diagnostics &diags) const;
  /// Every architecture string that some recipe matches, sorted.
  std::vector<std::string> architectures() const;
  /// Problems of heads that were met while loading.
  const Diagnostics &problems() const { return headProblems; }

  /// Read at the first use. A class that the file does not have is an error.
  FailureOr<const ClassDefaults *> defaultsOf(StringRef className, const Place &from, Diagnostics &diags) const;
  FailureOr<const InertKeys *> inert(Diagnostics &diags) const;

private:
  FailureOr<yaml::Node> loadNode(StringRef name, const Place &from, std::vector<RecipeText> &texts, Diagnostics &diags) const;

  std::string dir, extra;
  StepGrammar grammar;
  std::vector<RecipeHead> all;
  Diagnostics headProblems;
  mutable std::map<std::string, ClassDefaults, std::less<>> classes;
  mutable std::shared_ptr<const json::Value> defaultsFile;
  mutable std::shared_ptr<const InertKeys> inertKeys;
};

} // namespace flagrelease
