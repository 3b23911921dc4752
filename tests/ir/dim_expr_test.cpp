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
      {"7", "7"},
      {"S", "S"},
      {"S+P", "P + S"},
      {" P + S ", "P + S"},
      {"2*S + 1", "2*S + 1"},
      {"1 + S", "S + 1"},
      {"S + S", "2*S"},
      {"2*S + -2*S", "0"},
      {"S + -1", "S + -1"},
      {"-1*S + 8", "-1*S + 8"},
      {"0", "0"},
      {"0*S + B", "B"},
      {"seq_len", "seq_len"},
      {"3*P + 2*P", "5*P"},
      {"S*B", "B*S"},
      {"2*S * B", "2*B*S"},
      {"B*S + -1*S*B", "0"},
      {"H*H", "H*H"},
      {"floor((L + 1) / 2)", "floor((L + 1) / 2)"},
      {"2*floor((3*L) / 2)*B", "2*B*floor((3*L) / 2)"},
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
  for (const char *text : {"",
                           " ",
                           "+",
                           "S +",
                           "+ S",
                           "S*2",
                           "2*",
                           "2 S",
                           "S - 1",
                           "S/2",
                           "(S)",
                           "S,",
                           "_",
                           "S + _",
                           "?",
                           "1.5",
                           "floor((S) / 1)",
                           "floor(S / 2)",
                           "floor((7) / 2)",
                           "floor((S / 2)",
                           "99999999999999999999"}) {
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

TEST_CASE("products and floors") {
  CHECK(of("B + 1") * of("S + 2") == of("B*S + 2*B + S + 2"));
  CHECK(of("6*B*S").dividedBy(of("2*S")) == of("3*B"));
  CHECK(of("B*S + B").dividedBy(of("S + 1")) == of("B"));
  CHECK(of("64*H*W").dividedBy(of("64*H*W")) == DimExpr(1));
  CHECK_FALSE(of("B*S").dividedBy(of("H")));
  CHECK_FALSE(of("B + S").dividedBy(of("B")));
  CHECK(flagrelease::productOf({of("B"), DimExpr(3), of("P + S")}) == of("3*B*P + 3*B*S"));
  // What the divisor divides comes out: the length behind a convolution of stride 2.
  CHECK(of("8*H + -1").floorDividedBy(2) == of("4*H + -1"));
  CHECK(of("3*L + 5").floorDividedBy(2).str() == "L + floor((L + 1) / 2) + 2");
  CHECK(of("floor((L + 1) / 2)").evaluate({{"L", 8}}) == 4);
  CHECK(of("B*floor((L + 1) / 2)").evaluate({{"B", 3}, {"L", 9}}) == 15);
  CHECK(of("floor((P + S) / 2)").symbols() == std::set<std::string>{"P", "S"});
  CHECK(of("floor((P + S) / 2)").replaceSymbols({{"P", of("S")}}) == of("S"));
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
  // A multiple binds too, if it divides.
  DimExpr::Bindings pixels;
  CHECK(of("8*H").bind(64, pixels));
  CHECK(pixels.at("H") == 8);
  CHECK_FALSE(of("8*W").bind(65, pixels));
  CHECK(of("W*W").bind(9, pixels)); // no single symbol: another input decides
  // Two unknowns: nothing is bound, another input decides.
  DimExpr::Bindings none;
  CHECK(of("P + S").bind(8, none));
  CHECK(none.empty());
}
