// Sizes as expressions: text, arithmetic, and binding to numbers.
#include "ir/DimExpr.h"

#include <catch2/catch.hpp>

using flagrelease::DimExpr;

static DimExpr of(const char *text) {
  std::optional<DimExpr> expr = DimExpr::parse(text);
  REQUIRE(expr);
  return *expr;
}

TEST_CASE("the text of a size is canonical") {
  struct {
    const char *text, *canonical;
  } cases[] = {
      {"7", "7"},         {"S", "S"},       {"S+P", "P + S"},       {" P + S ", "P + S"}, {"2*S + 1", "2*S + 1"},
      {"1 + S", "S + 1"}, {"S + S", "2*S"}, {"2*S + -2*S", "0"},    {"S + -1", "S + -1"}, {"-1*S + 8", "-1*S + 8"},
      {"0", "0"},         {"0*S + B", "B"}, {"seq_len", "seq_len"}, {"3*P + 2*P", "5*P"},
  };
  for (const auto &c : cases) {
    CAPTURE(c.text);
    std::optional<DimExpr> expr = DimExpr::parse(c.text);
    REQUIRE(expr);
    CHECK(expr->str() == c.canonical);
    CHECK(DimExpr::parse(expr->str()) == expr);
  }
}

TEST_CASE("what is no affine size is refused") {
  for (const char *text : {"", " ", "+", "S +", "+ S", "P*S", "S*2", "2*", "2 S", "S - 1", "S/2", "(S)", "S,", "_", "S + _", "?",
                           "1.5", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(DimExpr::parse(text));
  }
}

TEST_CASE("sizes add, subtract, multiply and divide as polynomials") {
  CHECK(of("P + S") - of("S") == of("P"));
  CHECK(of("P + S") + DimExpr(1) == of("P + S + 1"));
  CHECK(of("2*S + 4") == of("S + 2") * 2);
  CHECK(of("S") * 0 == DimExpr(0));
  CHECK((of("S") - of("S")).isStatic());
  CHECK(of("2*S + 4").dividedBy(2) == of("S + 2"));
  CHECK_FALSE(of("2*S + 3").dividedBy(2));
  CHECK_FALSE(of("S").dividedBy(0));
  CHECK(of("P") != of("S"));
}

TEST_CASE("symbols are replaced all at once") {
  CHECK(of("P + S").replaceSymbols({{"P", DimExpr(8) - of("S")}}) == DimExpr(8));
  // A swap: the S that takes the place of P is not replaced again.
  CHECK(of("P + 2*S").replaceSymbols({{"P", of("S")}, {"S", of("P")}}) == of("2*P + S"));
  CHECK(of("P + S").substitute({{"P", 5}}).str() == "S + 5");
  CHECK(of("P + S").evaluate({{"P", 5}, {"S", 2}}) == 7);
  CHECK_FALSE(of("P + S").evaluate({{"P", 5}}));
}

TEST_CASE("a size binds its one unknown symbol") {
  DimExpr::Bindings sizes{{"S", 3}};
  CHECK(of("P + S").bind(8, sizes));
  CHECK(sizes.at("P") == 5);
  CHECK(of("P + S").bind(8, sizes));
  CHECK_FALSE(of("P + S").bind(9, sizes));
  CHECK_FALSE(DimExpr(4).bind(5, sizes));
  // A negative size is a contradiction.
  CHECK_FALSE(of("B + S").bind(2, sizes));
  // Two unknowns: nothing is bound, another input decides.
  DimExpr::Bindings none;
  CHECK(of("P + S").bind(8, none));
  CHECK(none.empty());
}
