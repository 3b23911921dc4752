// A model recipe, read, flattened (`like`, `patch`) and type-checked: what an importer walks. Grammar version 1 (DESIGN section
// 4, docs/rationale.md "Grammar").
//
// The stream. Steps of a list run in order on one current value, the stream. A step takes `in` (default: the stream) and gives
// its result to `out` (default: the stream). With `out` the stream is left alone, unless `out` names "stream" itself. The id
// of a step names its result too: later steps of the same list, and of lists inside it, may say `in: norm`. A step of several
// results lists their names in `out`. Inside a combinator's body the stream starts as the combinator's input, and its end is
// the combinator's result.
//
// Names of tensors are relative to the `at` of the steps around them, joined by '.'; a leading '/' is absolute.
#pragma once

#include "recipes/Expr.h"
#include "recipes/GgufSection.h"
#include "recipes/StepSchema.h"
#include "text/Yaml.h"

#include "llvm/ADT/STLFunctionalExtras.h"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace flagrelease {

/// One parameter of a step, read by its declared type.
struct Param {
  std::string name;
  ParamType type = ParamType::Expr;
  const ParamSchema *schema = nullptr;  ///< of a constant table
  bool built = true;                    ///< false: only in StepGrammar::later
  Place place;                          ///< of the value
  std::optional<Expr> expr;             ///< Expr, Int, Number, Bool, Flag; Enum and String after '='; List by expression
  std::optional<Template> nameTemplate; ///< Tensor, Value, Bind
  std::string literal;                  ///< Enum and String without '='
  std::vector<Param> nested;            ///< Mapping (also instead of an expression): its keys; List: its items, named "0", "1", …
  bool isMapping = false;               ///< nested holds keys (a list with no items is not a mapping)

  const Param *find(StringRef key) const;

  /// The evaluated parameter, by type: text for Tensor, Value, Bind, Enum, String; a list; a mapping (keys without a value left
  /// out).
  FailureOr<json::Value> eval(const Scope &scope, Diagnostics &diags) const;
  FailureOr<int64_t> evalInt(const Scope &scope, Diagnostics &diags) const;
  FailureOr<bool> evalBool(const Scope &scope, Diagnostics &diags) const;
  FailureOr<double> evalNumber(const Scope &scope, Diagnostics &diags) const;
  /// Tensor, Value, Bind: the name with its {} parts filled in (not joined with `at`). Enum: one of the values, checked. String:
  /// the text.
  FailureOr<std::string> evalText(const Scope &scope, Diagnostics &diags) const;
};

struct Step;
using StepList = std::vector<Step>;

/// One alternative of `choose`.
struct Case {
  std::string label; ///< "else" for the rest; compared with the text of `by`
  Place place;
  StepList body;
};

/// One step: a block, a primitive op or a combinator.
struct Step {
  std::string kind;
  std::string id; ///< as given, else the kind (unique in its list or absent: then "kind" cannot be patched nor named)
  Place place;
  const StepSchema *schema = nullptr;
  bool built = true; ///< false: this kind, or a parameter that is used here, is only in StepGrammar::later
  std::vector<Param> params;
  std::vector<Template> in, out; ///< names of values; empty: the stream
  std::optional<Template> at;
  std::optional<Expr> when; ///< false: the step is left out (its input is its result)

  StepList body;                  ///< do:
  std::vector<StepList> branches; ///< parallel
  std::vector<Case> cases;        ///< choose
  std::string index;              ///< repeat: name of the index, maybe empty
  std::vector<Let> let;           ///< scope and repeat: bindings of the body; call: arguments (`with:`), evaluated by the caller

  const Param *find(StringRef name) const;
  bool has(StringRef name) const { return find(name) != nullptr; }

  /// Typed access for optional parameters: nothing when absent or when the expression gives null.
  FailureOr<std::optional<json::Value>> getValue(StringRef name, const Scope &scope, Diagnostics &diags) const;
  FailureOr<std::optional<int64_t>> getInt(StringRef name, const Scope &scope, Diagnostics &diags) const;
  FailureOr<std::optional<double>> getNumber(StringRef name, const Scope &scope, Diagnostics &diags) const;
  FailureOr<bool> getBool(StringRef name, bool otherwise, const Scope &scope, Diagnostics &diags) const;
  /// Tensor, Value, Bind, Enum, String.
  FailureOr<std::optional<std::string>> getText(StringRef name, const Scope &scope, Diagnostics &diags) const;
};

/// One alternative of `match:`. Every key must match: `architectures` when the config's list has one of the values; another
/// (dotted) key when its value is one of them.
struct MatchEntry {
  std::vector<std::pair<std::string, std::vector<std::string>>> keys;
  Place place;
};
/// `globs`: values may hold '*' (the `match:` of tasks: "*ForCausalLM").
bool matches(const MatchEntry &entry, const json::Object &config, bool globs = false);

/// An input of a graph.
struct GraphInput {
  std::string name;
  std::string dtype;           ///< int64, float32 (stands for the computing type), bool
  std::vector<Template> dims;  ///< a named size (B, S) or an expression in braces
  std::optional<Expr> when;    ///< false: this checkpoint has no such input
  std::optional<Expr> range;   ///< [least, largest] of what checks put in; absent: by the type
  std::optional<Expr> example; ///< or the values themselves, row-major, of one batch entry
  Place place;
};

struct NamedGraph {
  std::string name;
  std::vector<std::string> in;  ///< names its steps read; the first is the stream at the start
  std::vector<std::string> out; ///< values it gives; empty: the stream at the end
  StepList body;
  std::vector<Let> let;
  Place place;
};

/// A value that a task needs and config.json does not hold: given by the user, else looked up.
struct TaskOption {
  std::string name;
  std::string token;             ///< the id of this token in the source's vocabulary
  std::optional<Expr> otherwise; ///< or this expression
  Place place;
};

struct Task {
  std::string name; ///< causal_lm, classification, embedding, rerank, …
  std::vector<MatchEntry> match;
  std::vector<TaskOption> options;
  std::vector<Let> let;
  StepList body;
  /// Output name of the artefact → value of the graph (an id or a name bound by `out`), in order.
  std::vector<std::pair<std::string, std::string>> outputs;
  Place place;
};

struct Rename {
  std::string pattern; ///< ECMAScript-like regex over a whole tensor name (llvm::Regex)
  std::string to;      ///< with \1 … for groups
  Place place;
};

/// split: rows of one stored tensor become several logical ones. stack: many become one. derive: weight ops make one.
struct LogicalTensor {
  enum class Kind { Split, Stack, Derive } kind = Kind::Split;
  std::string from; ///< name of the stored tensor; {i} stands for any integer and may be used in `into`
  std::string rows; ///< split: axis pattern, "n (q k v) d"
  std::vector<std::pair<std::string, std::string>> into; ///< split: group of the pattern → name; else one entry with key ""
  std::vector<Let> sizes;                                ///< split: the letters of the pattern
  std::string over;                                      ///< stack: the index
  std::optional<Expr> times;                             ///< stack: how many
  StepList body;                                         ///< derive
  Place place;
};

/// Id paths of steps whose results, in order, are NAME.0, NAME.1, …: a repeat stands for the entry of each of its
/// iterations, "<repeat>.out" for the result of each.
struct HiddenList {
  std::string name; ///< "hidden"
  std::vector<std::string> steps;
};

/// Something that does not matter, and why.
struct Ignored {
  std::string pattern; ///< ignore: glob over tensor names, maybe with {expressions}; inert: a config key
  std::string reason;
  Place place;
  std::optional<Template> name = std::nullopt; ///< ignore: the pattern with its expressions
};

/// A value that replaces the class default.
struct DefaultOverride {
  std::string key;
  json::Value value;
  std::string reason;
  Place place;
};

/// A member of config.json that is a config of its own: text_config, vision_config.
struct ConfigPart {
  std::string name;
  std::string defaultsClass; ///< class of _defaults.json; may be empty
  bool flat = false; ///< its keys are found without its name too, before those of the file's top; without the member the top
                     ///< stands for it
  Place place;
};

struct NotBuilt {
  std::string what; ///< "block 'mamba2'" or "attention.use_kv"
  Place place;
};

/// A file that a recipe was read from, with its bytes: reports state their digest.
struct RecipeText {
  std::string path;
  bool shipped = true;
  std::string bytes;
};

struct ModelRecipe {
  std::string name;               ///< file stem
  std::string title;              ///< first comment line of the file, without '#'
  std::vector<std::string> files; ///< this file and those it is `like`, nearest first
  std::vector<RecipeText> texts;  ///< the same files with their bytes
  std::vector<MatchEntry> match;
  std::vector<std::string> prefixes = {""};
  std::string defaultsClass; ///< class of _defaults.json; may be empty
  std::vector<DefaultOverride> defaultOverrides;
  std::vector<ConfigPart> configs;
  std::vector<Let> let;
  std::vector<Let> sizes;         ///< of named sizes but B and S: what checks take, and a graph of fixed shapes
  std::vector<GraphInput> inputs; ///< empty: those of a decoder (input_ids, attention_mask, position_ids)
  StepList graph;
  std::vector<NamedGraph> graphs;
  std::vector<Task> tasks;
  /// What hidden.0 … hidden.L are (and encoder_hidden.0 …, where a model has several lists).
  std::vector<HiddenList> hidden;
  std::vector<Rename> renames;
  std::vector<LogicalTensor> logical; ///< in the order of the file: split, stack, derive
  std::vector<Ignored> ignored;       ///< tensors that the graph does not use
  std::vector<Ignored> inert;         ///< config keys of this family that change no number; those of all are in _inert.yaml
  yaml::Node host;                    ///< rules of inputs that the host computes; a mapping, maybe empty
  std::optional<GgufSection> gguf;    ///< how GGUF files hold the family
  std::vector<NotBuilt> notBuilt;
  yaml::Node flattened; ///< the whole recipe as YAML after like and patch

  const NamedGraph *findGraph(StringRef name) const;
  const Task *findTask(StringRef name) const;
  /// The config keys that the recipe knows: every free name of every expression that nothing in the recipe binds
  /// ("rope_scaling.type"), and the keys under `inert`.
  std::set<std::string> configKeys() const;
  /// The flattened recipe as YAML (`check --show`).
  std::string print() const;
};

/// Reads one recipe. `load` gives the YAML of another recipe by name (for `like`), or fails with a diagnostic.
/// All problems of the file are reported, not only the first. Fills all but `title`, `files` and `texts`.
using RecipeLoader = llvm::function_ref<FailureOr<yaml::Node>(StringRef name, const Place &from, Diagnostics &diags)>;
FailureOr<ModelRecipe> readModelRecipe(StringRef name, const yaml::Node &root, const StepGrammar &grammar, RecipeLoader load,
                                       Diagnostics &diags);

} // namespace flagrelease
