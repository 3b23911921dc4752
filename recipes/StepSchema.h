// What parameters a step of a model recipe has. Each block (importers/huggingface/blocks/) and each primitive op gives one
// StepSchema as a constant table; recipes/ reads every step against it, so that a typo is an error with line and column before
// any tensor is read.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>

namespace flagrelease {

enum class ParamType : uint8_t {
  Tensor,  ///< the name of a tensor or of a module (X means X.weight and X.bias), relative to `at`; leading '/' is absolute; {i}
           ///< parts
  Value,   ///< a named value of the graph that the step reads ("kv[src]", "per_layer")
  Bind,    ///< a name that the step binds to one of its results ("kv.{i}")
  Size,    ///< a size of a value: a named one, a number, or an expression in braces ("S", "{heads}", "2*{width}")
  Enum,    ///< one of `values`, or an expression after '='
  String,  ///< literal text, or an expression after '='
  Expr,    ///< an expression of any kind of value
  Int,     ///< an expression that gives an int
  Number,  ///< an expression that gives an int or a double
  Bool,    ///< an expression that gives a bool
  Flag,    ///< true or false, literally
  List,    ///< a sequence whose items follow nested[0], or an expression that gives a list
  Mapping, ///< a mapping with the keys of `nested`; a nested entry named "*" is the schema of every other key
};

struct ParamSchema {
  llvm::StringRef name;
  ParamType type = ParamType::Expr;
  bool required = false;
  llvm::ArrayRef<llvm::StringRef> values = {}; ///< of an Enum
  /// Of a Mapping: its keys. Of a List: one entry, the items. Of an expression type: a mapping with these keys is accepted
  /// instead of the expression (`bias: attention_bias` or `bias: {q: true, o: false}`).
  llvm::ArrayRef<ParamSchema> nested = {};
  llvm::StringRef doc = "";
};

struct StepSchema {
  llvm::StringRef kind;
  llvm::ArrayRef<ParamSchema> params;
  bool hasBody = false; ///< takes steps in `do:`
  llvm::StringRef doc = "";
};

/// The kinds and parameters that a recipe may use. What is only in `later` is checked the same way, and reported as not built.
struct StepGrammar {
  llvm::ArrayRef<StepSchema> steps;
  llvm::ArrayRef<StepSchema> later;
};

/// residual, parallel, repeat, choose, scope, scan, call, push, pop. The reader adds them to every grammar.
llvm::ArrayRef<StepSchema> combinators();

} // namespace flagrelease
