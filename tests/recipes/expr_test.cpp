#include "recipes/Expr.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using json::Value;

namespace {

/// A scope of the keys that the tables below use.
struct Config {
  Scope scope;
  Config() {
    Diagnostics diags;
    auto values =
        json::parse(R"({"hidden_size": 4096, "num_attention_heads": 32, "head_dim": null, "eps": 1e-6, "flag": true, "off": false,
      "list": [3, 1, 2, 1], "types": ["a", "b", "a"], "name": "silu", "rope_scaling": {"type": "yarn", "factor": 4.0}, "none": null,
      "big": 9223372036854775807, "least": -9223372036854775807, "i": 1, "inf": Infinity, "nested": {"a": {"b": [10, 20]}}})",
                    "config.json", diags);
    REQUIRE(succeeded(values));
    scope.bindAll(values->object());
  }
};

Place base() { return {std::make_shared<const std::string>("r.yaml"), 3, 10}; }

/// The value as JSON text, or "place: problem".
std::string outcome(StringRef text) {
  Config config;
  Diagnostics diags;
  auto expr = Expr::parse(text, base(), diags);
  FailureOr<Value> value = failed(expr) ? FailureOr<Value>(failure()) : expr->eval(config.scope, diags);
  if (succeeded(value)) {
    CHECK_FALSE(diags.hasErrors());
    return json::toText(*value);
  }
  REQUIRE(diags.errors().size() == 1);
  return diags.errors()[0].where + ": " + diags.errors()[0].what;
}

struct Row {
  const char *text, *outcome;
};

} // namespace

TEST_CASE("expr: values", "[expr]") {
  const Row rows[] = {
      {"1", "1"},
      {"1.0", "1.0"},
      {"1e-5", "1e-05"},
      {".5", "0.5"},
      {"'a\\'b'", "\"a'b\""},
      {"\"x\"", "\"x\""},
      {"[1, 'a', [true, null]]", "[1,\"a\",[true,null]]"},
      {"[]", "[]"},
      // int and double stay apart
      {"7 // 2", "3"},
      {"-7 // 2", "-4"},
      {"7 // -2", "-4"},
      {"-7 % 3", "2"},
      {"7 % -3", "-2"},
      {"-7.5 // 2", "-4.0"},
      {"-7.5 % 2", "0.5"},
      {"8 / 2", "4.0"},
      {"2 * 3 + 4", "10"},
      {"2 + 3 * 4", "14"},
      {"(2 + 3) * 4", "20"},
      {"10 - 4 - 3", "3"},
      {"2 ** 3 ** 2", "512"},
      {"-2 ** 2", "-4"},
      {"2 ** -1", "0.5"},
      {"(-1) ** 1000001", "-1"},
      {"64 ** -0.5", "0.125"},
      {"1 + 1.0", "2.0"},
      {"inf + 1", "null"}, // infinity stays infinity; its JSON text is null
      // comparison
      {"1 == 1.0", "true"},
      {"1 == '1'", "false"},
      {"none == null", "true"},
      {"'a' < 'b'", "true"},
      {"1 < 1.5", "true"},
      {"[1, 2] == [1, 2]", "true"},
      {"big == big", "true"},
      // words
      {"flag and not off", "true"},
      {"off or flag", "true"},
      {"off and missing", "false"}, // short circuit
      {"flag or missing", "true"},
      {"not off and flag", "true"},
      {"1 if flag else missing", "1"},
      {"missing if off else 2", "2"},
      {"1 if off else 2 if off else 3", "3"},
      // absent and null
      {"head_dim ?? hidden_size // num_attention_heads", "128"},
      {"missing ?? 5", "5"},
      {"missing ?? none ?? 6", "6"},
      {"missing ?? none", "null"},
      {"rope_scaling.type ?? 'default'", "\"yarn\""},
      {"rope_scaling.kind ?? 'default'", "\"default\""},
      {"none.type ?? 'default'", "\"default\""},
      {"missing.a.b ?? 1", "1"},
      {"missing[0] ?? 1", "1"},
      {"off ?? true and flag", "false"},
      {"missing ?? 1 == 1", "true"},
      {"present(missing)", "false"},
      {"present(none)", "false"},
      {"present(off)", "true"},
      {"present(rope_scaling.kind)", "false"},
      // parts
      {"list[0]", "3"},
      {"list[i + 1]", "2"},
      {"nested.a.b[1]", "20"},
      {"nested['a']['b'][0]", "10"},
      {"name[1]", "\"i\""},
      // functions
      {"min(3, 1.5, 2)", "1.5"},
      {"max(list)", "3"},
      {"max(1, 1.0)", "1"},
      {"floor(-1.5)", "-2"},
      {"ceil(1.2)", "2"},
      {"int(-1.9)", "-1"},
      {"int(4096 * 0.25)", "1024"},
      {"round(2.5)", "2"},
      {"round(3.5)", "4"},
      {"round(-2.5)", "-2"},
      {"round(0.49999999999999994)", "0"},
      {"log(1)", "0.0"},
      {"sqrt(16)", "4.0"},
      {"abs(-3)", "3"},
      {"abs(-3.5)", "3.5"},
      {"len(list) + len(name) + len(rope_scaling)", "10"},
      {"index_of(list, 1)", "1"},
      {"last_index_of(list, 1)", "3"},
      {"index_of(list, 9)", "null"},
      {"index_of(types, 'b')", "1"},
      {"index_of('MEM*', '*')", "3"},
      {"count(types, 'a')", "2"},
      {"count('MEMEM*', 'M')", "3"},
      {"first(list)", "3"},
      {"slice(list, 1, 3)", "[1,2]"},
      {"slice(name, 0, 2)", "\"si\""},
      {"slice(list, 0, 0)", "[]"},
      {"contains(types, 'b')", "true"},
      {"contains(name, 'lu')", "true"},
      {"contains(rope_scaling, 'factor')", "true"},
      {"contains(rope_scaling, 'nope')", "false"},
      {"pick(list, 2)", "2"},
      {"pick(hidden_size, 2)", "4096"},
      {"one_of('b', types)", "\"b\""},
  };
  for (const Row &row : rows) {
    CAPTURE(row.text);
    CHECK(outcome(row.text) == row.outcome);
  }
}

TEST_CASE("expr: mistakes, with line and column", "[expr]") {
  const Row rows[] = {
      // syntax: column 10 is the first byte
      {"", "r.yaml:3:10: in expression: an empty expression"},
      {"1 +", "r.yaml:3:13: in expression: expected a value, found the end"},
      {"1 2", "r.yaml:3:12: in expression: expected an operator or the end, found '2'"},
      {"(1", "r.yaml:3:12: in expression: expected ')', found the end"},
      {"[1, 2", "r.yaml:3:15: in expression: expected ',' or ']', found the end"},
      {"a = 1", "r.yaml:3:12: in expression: '=' is not part of the language"},
      {"a && b", "r.yaml:3:12: in expression: '&' is not part of the language"},
      {"1 if flag", "r.yaml:3:19: in expression: expected 'else', found the end"},
      {"1 < 2 < 3", "r.yaml:3:16: in expression: comparisons do not chain"},
      {"'abc", "r.yaml:3:10: in expression: text without its closing quote"},
      {"'a\\n'", "r.yaml:3:12: in expression: a backslash stands only before \\, ' and \""},
      {"12abc", "r.yaml:3:10: in expression: '12a' is neither a number nor a name"},
      {"99999999999999999999", "r.yaml:3:10: in expression: the integer 99999999999999999999 does not fit 64 bits"},
      {"True", "r.yaml:3:10: in expression: 'True' is Python's spelling"},
      {"flor(1)", "r.yaml:3:10: in expression: unknown function 'flor', nearest known: floor, log"},
      {"len()", "r.yaml:3:10: in expression: len takes (list), got 0 arguments"},
      {"slice(list, 1)", "r.yaml:3:10: in expression: slice takes (list, from, to), got 2 arguments"},
      {"a.1", "r.yaml:3:11: in expression: expected an operator or the end, found '.1'"},
      {"and", "r.yaml:3:10: in expression: expected a value, found 'and'"},
      // absence
      {"1 + missing", "r.yaml:3:14: 'missing' is not in the config"},
      {"rope_scaling.kind", "r.yaml:3:23: key 'kind' is absent"},
      {"none.type", "r.yaml:3:15: 'type' of null"},
      {"none[0]", "r.yaml:3:14: an element of null"},
      // kinds
      {"1 + 'a'", "r.yaml:3:12: arithmetic needs numbers, got int 1 and text 'a' in `1 + 'a'`"},
      {"1 + none", "r.yaml:3:12: arithmetic needs numbers, got int 1 and null in `1 + none`"},
      {"1 and flag", "r.yaml:3:10: and needs a bool, got int 1 in `1 and flag`"},
      {"not none", "r.yaml:3:14: not needs a bool, got null in `not none`"},
      {"1 if 1 else 2", "r.yaml:3:15: if needs a bool, got int 1 in `1 if 1 else 2`"},
      {"1 < 'a'", "r.yaml:3:12: cannot order int 1 and text 'a' in `1 < 'a'`"},
      {"hidden_size.x", "r.yaml:3:22: '.x' needs a mapping, got int 4096 in `hidden_size.x`"},
      {"hidden_size[0]", "r.yaml:3:21: '[]' needs a list, text or mapping, got int 4096 in `hidden_size[0]`"},
      {"list['a']", "r.yaml:3:14: an index is an int, got text 'a' in `list['a']`"},
      {"list[4]", "r.yaml:3:14: index 4 is outside a list of 4 in `list[4]`"},
      {"list[-1] ?? 0", "r.yaml:3:14: index -1 is outside a list of 4 in `list[-1] ?? 0`"},
      {"-'a'", "r.yaml:3:10: '-' needs a number, got text 'a' in `-'a'`"},
      {"floor('a')", "r.yaml:3:10: floor needs a number, got text 'a' in `floor('a')`"},
      {"min([])", "r.yaml:3:10: min of an empty list in `min([])`"},
      {"slice(list, 2, 9)", "r.yaml:3:10: slice from 2 to 9 does not fit a length of 4 in `slice(list, 2, 9)`"},
      {"one_of('c', types)", "r.yaml:3:10: one_of text 'c' is none of text 'a', text 'b', text 'a' in `one_of('c', types)`"},
      {"one_of('c', name)", "r.yaml:3:10: one_of needs a list, got text 'silu' in `one_of('c', name)`"},
      {"pick(list, 7)", "r.yaml:3:10: pick index int 7 is outside a list of 4 in `pick(list, 7)`"},
      // arithmetic that has no result
      {"1 // 0", "r.yaml:3:12: division of 1 by zero in `1 // 0`"},
      {"1 / 0", "r.yaml:3:12: division of 1.0 by zero in `1 / 0`"},
      {"1 % 0", "r.yaml:3:12: division of 1 by zero in `1 % 0`"},
      {"big + 1", "r.yaml:3:14: the result of 9223372036854775807 and 1 does not fit 64 bits in `big + 1`"},
      {"big * 2", "r.yaml:3:14: the result of 9223372036854775807 and 2 does not fit 64 bits in `big * 2`"},
      {"(least - 1) // -1", "r.yaml:3:22: the result of -9223372036854775808 and -1 does not fit 64 bits in `(least - 1) // -1`"},
      {"10 ** 40", "r.yaml:3:13: the result of 10 and 40 does not fit 64 bits in `10 ** 40`"},
      {"1e300 * 1e300", "r.yaml:3:16: the result of 1e+300 and 1e+300 is no number in `1e300 * 1e300`"},
      {"log(0)", "r.yaml:3:10: log of int 0, which is not positive in `log(0)`"},
      {"sqrt(-1)", "r.yaml:3:10: sqrt of int -1, which is negative in `sqrt(-1)`"},
      {"floor(1e300)", "r.yaml:3:10: floor gives 1e+300, which does not fit an int in `floor(1e300)`"},
  };
  for (const Row &row : rows) {
    CAPTURE(row.text);
    CHECK(outcome(row.text) == row.outcome);
  }
}

TEST_CASE("expr: an unknown name gets the nearest known", "[expr]") {
  Config config;
  Diagnostics diags;
  auto expr = Expr::parse("hiden_size", base(), diags);
  CHECK(failed(expr->eval(config.scope, diags)));
  CHECK(diags.errors()[0].remedy.find("hidden_size") != std::string::npos);
}

TEST_CASE("expr: typed evaluation", "[expr]") {
  Config config;
  Diagnostics diags;
  auto of = [&](StringRef text) { return *Expr::parse(text, base(), diags); };
  CHECK(*of("hidden_size").evalInt(config.scope, diags) == 4096);
  CHECK(*of("hidden_size").evalNumber(config.scope, diags) == 4096.0);
  CHECK(*of("name").evalString(config.scope, diags) == "silu");
  CHECK_FALSE((*of("missing").evalOptional(config.scope, diags)).has_value());
  CHECK_FALSE((*of("none").evalOptional(config.scope, diags)).has_value());
  REQUIRE_FALSE(diags.hasErrors());
  CHECK(failed(of("8 / 2").evalInt(config.scope, diags)));
  CHECK(diags.errors()[0].what == "`8 / 2` must be an int, got double 4.0");
  CHECK(failed(of("none").evalBool(config.scope, diags)));
  CHECK(diags.errors()[1].what == "`none` must be a bool, got null");
}

TEST_CASE("expr: free names", "[expr]") {
  Diagnostics diags;
  std::set<std::string> names;
  auto expr = Expr::parse("a.b.c ?? f[g.h] + len(k) if m else 'n'", base(), diags);
  REQUIRE(succeeded(expr));
  expr->freeNames(names);
  CHECK(names == std::set<std::string>{"a.b.c", "f", "g.h", "k", "m"});
}

TEST_CASE("expr: hostile texts end", "[expr]") {
  Diagnostics diags;
  CHECK(failed(Expr::parse(std::string(5000, '('), base(), diags)));
  CHECK(failed(Expr::parse(std::string(4000, '('), base(), diags)));
  CHECK(failed(Expr::parse(std::string(4000, '-'), base(), diags)));
  std::string nots, sum = "1", links = "a", powers = "1", chooses;
  for (int i = 0; i < 1000; ++i)
    nots += "not ", sum += "+1", links += ".b", powers += "**1";
  for (int i = 0; i < 200; ++i)
    chooses += "1 if a else ";
  for (const std::string &text : {nots + "a", sum, links, powers, chooses + "1"})
    CHECK(failed(Expr::parse(text, base(), diags)));
  for (const Problem &problem : diags.errors())
    CHECK((problem.what.find("deep") != std::string::npos || problem.what.find("terms") != std::string::npos ||
           problem.what.find("bytes") != std::string::npos));
}

TEST_CASE("scope: lets are lazy, see their own outer name, and find circles", "[expr]") {
  Config config;
  Diagnostics diags;
  auto let = [&](StringRef name, StringRef text) { return Let{name.str(), *Expr::parse(text, base(), diags), base()}; };
  auto ask = [&](const Scope &scope, StringRef text) { return Expr::parse(text, base(), diags)->eval(scope, diags); };

  Scope lets(&config.scope);
  lets.bindLets({let("head_dim", "head_dim ?? hidden_size // num_attention_heads"), let("broken", "missing + 1"),
                 let("width", "head_dim * 2"), let("maybe", "missing")});
  CHECK(ask(lets, "width")->integer() == 256);
  CHECK(ask(lets, "maybe ?? 3")->integer() == 3);
  REQUIRE_FALSE(diags.hasErrors()); // `broken` was not asked for
  CHECK(failed(ask(lets, "broken")));
  CHECK(diags.errors()[0].what == "'missing' is not in the config");
  diags.clear();

  Scope loop(&lets);
  loop.bind("i", Value(2));
  loop.bindLet(let("kind", "types[i]"));
  CHECK(ask(loop, "kind")->string() == "a");
  CHECK(ask(loop, "head_dim")->integer() == 128);

  Scope circle(&config.scope);
  circle.bindLets({let("a", "b + 1"), let("b", "c"), let("c", "a")});
  CHECK(failed(ask(circle, "a")));
  CHECK(diags.errors()[0].what == "let 'a' needs itself: a -> b -> c -> a");
  diags.clear();

  // Two levels of the same name: each means the next one out.
  Scope outer(&config.scope), inner(&outer);
  outer.bindLet(let("hidden_size", "hidden_size + 1"));
  inner.bindLet(let("hidden_size", "hidden_size * 10"));
  CHECK(ask(inner, "hidden_size")->integer() == 40970);

  Scope chain(&config.scope);
  for (int i = 0; i < 100; ++i)
    chain.bindLet(let("x" + std::to_string(i), i == 99 ? "1" : "x" + std::to_string(i + 1)));
  CHECK(failed(ask(chain, "x0")));
  CHECK(diags.errors()[0].what == "lets need each other more than 64 deep");
}

TEST_CASE("template: names with expressions in them", "[expr]") {
  Config config;
  auto outcome = [&](StringRef yamlText, bool indexed) {
    Diagnostics diags;
    auto node = yaml::parse(yamlText, "r.yaml", diags);
    auto text = Template::parse(*node, diags, indexed);
    FailureOr<std::string> value = failed(text) ? FailureOr<std::string>(failure()) : text->eval(config.scope, diags);
    return succeeded(value) ? *value : diags.errors()[0].where + ": " + diags.errors()[0].what;
  };
  CHECK(outcome("\"model.layers.{i}.x\"", false) == "model.layers.1.x");
  CHECK(outcome("\"{name}.{list[0] + 1}\"", false) == "silu.4");
  CHECK(outcome("\"a{{b}}\"", false) == "a{b}");
  CHECK(outcome("\"kv[list[i]]\"", true) == "kv.1");
  CHECK(outcome("\"kv[0]\"", false) == "kv[0]"); // a tensor's name
  CHECK(outcome("\"a.{i\"", false) == "r.yaml:1:4: '{' is not closed in a name");
  CHECK(outcome("\"a}\"", false) == "r.yaml:1:3: '}' without '{' in a name");
  CHECK(outcome("\"a.{i +}\"", false) == "r.yaml:1:8: in expression: expected a value, found the end");
  CHECK(outcome("\"a.{eps}\"", false) == "r.yaml:1:5: a part of a name is an int or text, `eps` is double 1e-06");
  CHECK(outcome("[a]", false) == "r.yaml:1:1: expected a name, found sequence");
}
