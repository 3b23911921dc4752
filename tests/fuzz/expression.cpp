// Formulas of recipes over values of config.json. The input: an expression, and after a line with only "---" a JSON mapping.
#include "recipes/Expr.h"
#include "tests/fuzz/Fuzz.h"

using namespace flagrelease;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto [formula, config] = fuzz::textOf(data, size).split("\n---\n");
  Diagnostics diags;
  FailureOr<Expr> expr = Expr::parse(formula, Place{std::make_shared<const std::string>("f.yaml"), 1, 1}, diags);
  fuzz::requireAnswer(failed(expr), diags);
  Diagnostics ignored;
  FailureOr<json::Value> values = json::parse(config, "config.json", ignored);
  if (failed(expr))
    return 0;
  Scope scope;
  if (succeeded(values) && values->isObject())
    scope.bindAll(values->object());
  FailureOr<json::Value> result = expr->eval(scope, diags);
  fuzz::requireAnswer(failed(result), diags);
  return 0;
}
