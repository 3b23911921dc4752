// The `gguf:` section of a model recipe: how the family is called, keyed and laid out in GGUF files, in both directions.
//
//   gguf:
//     arch: llama                        # general.architecture, and what stands before every key below
//     reads: LlamaForCausalLM            # the class that a file of this arch is read as; only one recipe of an arch has it
//     tasks: [causal_lm]                 # of the recipe, that a file can hold
//     let: {...}                         # names for the expressions below; over config.json and the recipe's own let
//     refuse: [{when: EXPR, reason: TEXT}]          # models of the family that the engine would run wrongly
//     layers: EXPR                       # what {i} counts
//     keys: {NAME: {u32: EXPR, when: EXPR}}         # writing: type u32 f32 bool string, or a list of one: u32s f32s
//     config: {KEY: EXPR}                # reading: keys of config.json (dotted: nested) from keys of the file
//     inert: {NAME: REASON}              # keys that a file may have and that change no number
//     ignore: {NAME: REASON}             # logical tensors of the model that a file does not hold; {i} stands for any number
//     tensors: {NAME: {from: NAME, rows: "h (2 d) -> h (d 2)", sizes: {h: EXPR}, store: f32, optional: true}}
//     made: {NAME: {list: EXPR, when: EXPR}}        # tensors that are computed from config.json
//
// A tensor's name stands for NAME.weight and NAME.bias, each where the model has it; .weight must be there unless `optional`. A
// name with a suffix of its own in `made` is taken as it is. `rows` says how rows are reordered on the way into the file: axes of
// the first dimension, in parentheses where several make one.
// `made` may have `rope_factors: {dim, theta, scaling}`, Llama 3's factors, one for each pair of dimensions; they stand where
// `list` is absent or null. Expressions of `config` see: every key of the file (without the arch, as nested names:
// `attention.head_count`), `general` and `tokenizer` keys under these names, `tokens` (how many the vocabulary has), `stored` (a
// list of the tensors' names), `shapes` (the row-major shape of each tensor, by name), and the numbers of `made` tensors by the
// first part of their name.
#pragma once

#include "recipes/Expr.h"
#include "text/Json.h"
#include "text/Yaml.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace flagrelease {

enum class GgufKeyType : uint8_t { U32, F32, Bool, String, U32s, F32s };

struct GgufKeyRule {
  std::string key; ///< without the arch
  GgufKeyType type = GgufKeyType::U32;
  Expr value;
  std::optional<Expr> when;
  Place place;
};

/// Rows of a tensor as axes: `sizes` multiply to their number; axis j of the result is axis `permutation[j]`.
struct RowShuffle {
  std::vector<int64_t> sizes, permutation;
  bool identity() const;
  /// What undoes it.
  RowShuffle inverse() const;
};

/// "h (2 d) -> h (d 2)"
struct RowPattern {
  std::vector<std::string> axes;    ///< left side, in order; names or numbers
  std::vector<int64_t> permutation; ///< of the right side
  Place place;
};

struct GgufTensorRule {
  std::string name, from; ///< without .weight and .bias; {i} in both or in none
  std::optional<RowPattern> rows;
  std::vector<Let> sizes;
  std::optional<Expr> rowsWhen; ///< false: rows stay as they are
  bool f32 = false, optional = false;
  Place place;
  bool perLayer() const { return StringRef(name).contains("{i}"); }
};

struct GgufMadeRule {
  std::string name;
  std::optional<Expr> list, dim, theta, scaling; ///< list, the other three, or all
  std::optional<Expr> when;
  Place place;
};

struct GgufSection {
  std::string arch, reads;
  std::vector<std::string> tasks;
  std::vector<Let> let;
  struct Refusal {
    Expr when;
    std::string reason;
  };
  std::vector<Refusal> refusals;
  std::optional<Expr> layers;
  std::vector<GgufKeyRule> keys;
  std::vector<std::pair<std::string, Expr>> config;
  std::map<std::string, std::string> inert, ignore;
  std::vector<GgufTensorRule> tensors; ///< in the order in which a file has them
  std::vector<GgufMadeRule> made;
  Place place;
};

/// Reads the section; every problem is reported.
FailureOr<GgufSection> readGgufSection(const yaml::Node &node, Diagnostics &diags);

/// One tensor of a file and the logical one that it holds.
struct GgufTensorPlan {
  std::string name;    ///< in the file
  std::string logical; ///< as the recipe's graph names it
  const GgufTensorRule *rule = nullptr;
  bool required = false; ///< .weight of a rule that is not optional
};

struct GgufMade {
  std::string name;
  std::vector<float> values;
};

/// The section applied to one model. `scope` gives config.json and the recipe's lets, and outlives this.
class GgufModel {
public:
  GgufModel(const GgufSection &section, const Scope &scope);

  /// Reports each refusal that holds, and a task that files cannot hold.
  LogicalResult check(StringRef task, Diagnostics &diags) const;
  /// Values by full key ("llama.context_length"), in order, with their types.
  FailureOr<std::vector<std::tuple<std::string, GgufKeyType, json::Value>>> keys(Diagnostics &diags) const;
  /// All tensors that a file may hold, in the order of the file.
  FailureOr<std::vector<GgufTensorPlan>> tensors(Diagnostics &diags) const;
  FailureOr<std::vector<GgufMade>> made(Diagnostics &diags) const;
  /// Whether the section says that files do without this tensor.
  bool isIgnored(StringRef logical) const;
  /// How the rows of a tensor with so many rows are reordered; the identity where the rule says nothing.
  FailureOr<RowShuffle> shuffle(const GgufTensorRule &rule, int64_t rows, Diagnostics &diags) const;

private:
  FailureOr<bool> holds(const std::optional<Expr> &when, Diagnostics &diags) const;
  const GgufSection &section;
  Scope own;
};

/// What a file says, for reading (all that `config` expressions may see).
struct GgufFileFacts {
  json::Object keys;                                  ///< by full name
  std::optional<int64_t> tokens;                      ///< length of the vocabulary
  std::map<std::string, std::vector<int64_t>> shapes; ///< of all tensors
  std::map<std::string, std::vector<double>> made;    ///< numbers of tensors that `made` names
};

/// config.json as the section reads it from a file, with `architectures`. Keys of the arch that the section does not know are
/// problems at `where`.
FailureOr<json::Object> ggufConfig(const GgufSection &section, const GgufFileFacts &facts, StringRef where, Diagnostics &diags);

} // namespace flagrelease
