#include "recipes/StepSchema.h"

using namespace flagrelease;
using llvm::StringRef;

static const StringRef kJoins[] = {"add", "mul", "concat"};
static const ParamSchema kResidual[] = {
    {"scale", ParamType::Number, false, {}, {}, "the branch is multiplied by it before the sum; default 1"}};
static const ParamSchema kParallel[] = {
    {"join", ParamType::Enum, true, kJoins, {}, "how the results of the branches become one"},
    {"axis", ParamType::Int, false, {}, {}, "of concat; default -1"},
};
static const ParamSchema kRepeat[] = {
    {"times", ParamType::Int, false, {}, {}, "the index runs from 0 to times - 1"},
    {"over", ParamType::Expr, false, {}, {}, "a list: the index takes each of its elements"},
};
static const ParamSchema kChoose[] = {
    {"by", ParamType::Expr, true, {}, {}, "its text, int or bool chooses the case of that name"}};
static const ParamSchema kCall[] = {{"graph", ParamType::String, true, {}, {}, "name of an entry of `graphs:`"}};
static const ParamSchema kNamedValue[] = {{"*", ParamType::Value}};
static const ParamSchema kScan[] = {
    {"name", ParamType::String, true, {}, {}, "what the recurrence is called: ssm, gated_delta_rule, ..."},
    {"axis", ParamType::Int, true, {}, {}, "of the sequences; the body sees slices without it"},
    {"over", ParamType::Mapping, true, {}, kNamedValue, "name in the body: a sequence"},
    {"carry",
     ParamType::Mapping,
     false,
     {},
     kNamedValue,
     "name in the body: the state before the first step; the body binds the next one to the same name"},
};
static const ParamSchema kStack[] = {
    {"stack", ParamType::String, false, {}, {}, "name of the stack; default: the one without a name"}};

llvm::ArrayRef<StepSchema> flagrelease::combinators() {
  static const StepSchema kCombinators[] = {
      {"residual", kResidual, true, "input + scale * body(input)"},
      {"parallel", kParallel, false, "every branch gets the input; the results are joined"},
      {"repeat", kRepeat, true, "the body, once per index, each on the result of the one before"},
      {"choose", kChoose, false, "one of the bodies in `cases`, chosen while the graph is built"},
      {"scope", {}, true, "the body with a tensor prefix, lets or a condition of its own"},
      {"scan", kScan, true, "the body once for each slice; the results are the last states, then what the body made, stacked"},
      {"call", kCall, false, "a named graph, with arguments in `with`"},
      {"push", kStack, false, "puts its input on a stack and passes it on"},
      {"pop", kStack, false, "takes the value on top of a stack"},
  };
  return kCombinators;
}
