#include "text/Json.h"

#include "llvm/ADT/STLExtras.h"

#include <catch2/catch.hpp>

#include <cmath>
#include <fstream>
#include <limits>

using namespace flagrelease;
using json::Value;

static std::string problemOf(StringRef text, const json::Limits &limits = {}) {
  Diagnostics diags;
  auto value = json::parse(text, "config.json", diags, limits);
  CHECK(failed(value));
  REQUIRE(diags.errors().size() == 1);
  return diags.errors()[0].where + ": " + diags.errors()[0].what;
}

static Value good(StringRef text) {
  Diagnostics diags;
  auto value = json::parse(text, "config.json", diags);
  for (const Problem &problem : diags.errors())
    UNSCOPED_INFO(problem.where << ": " << problem.what);
  REQUIRE(succeeded(value));
  return *value;
}

TEST_CASE("json: kinds stay apart", "[json]") {
  CHECK(good("null").isNull());
  CHECK(good("true").boolean());
  CHECK(good("1").isInt());
  CHECK(good("1.0").isDouble());
  CHECK(good("-9223372036854775808").integer() == std::numeric_limits<int64_t>::min());
  CHECK(good("9223372036854775808").isDouble()); // outside int64
  CHECK(good("1e6").isDouble());
  CHECK(good("\"a\\u00e9\\n\"").string() == "a\xC3\xA9\n");
  CHECK(good("\xEF\xBB\xBF{}").isObject()); // byte order mark
  CHECK(std::isinf(good("[0.0, Infinity]").array()[1].number()));
  CHECK(good("-Infinity").number() < 0);
  CHECK(std::isnan(good("NaN").number()));
}

TEST_CASE("json: members keep their order and offsets", "[json]") {
  StringRef text = "{ \"b\" : [1, {\"x\": \"y\"}],\n  \"a\": -2.5 }";
  Value value = good(text);
  REQUIRE(value.object().size() == 2);
  CHECK(value.object().begin()->key == "b");
  CHECK(value.offset() == 0);
  const Value &list = *value.find("b");
  CHECK(text.substr(list.offset()).starts_with("[1"));
  CHECK(text.substr(list.array()[0].offset()).starts_with("1,"));
  CHECK(text.substr(list.array()[1].offset()).starts_with("{\"x\""));
  CHECK(text.substr(list.array()[1].find("x")->offset()).starts_with("\"y\""));
  const Value &a = *value.find("a");
  CHECK(text.substr(a.offset()).starts_with("-2.5"));
  LineCol at = lineColOf(text, a.offset());
  CHECK(at.line == 2);
  CHECK(at.col == 8);
  CHECK(value.find("c") == nullptr);
}

TEST_CASE("json: what is refused, and where", "[json]") {
  struct Row {
    std::string text, problem;
  };
  const Row rows[] = {
      {"", "config.json:1:1: not JSON: the document is empty"},
      {"{\"a\": 1,\n \"b\": 2,\n \"a\": 3}", "config.json:3:2: duplicate key \"a\""},
      {"{\"a\": {\"b\": 1, \"b\": 1}}", "config.json:1:16: duplicate key \"b\""},
      {"{\"a\": }", "config.json:1:7: not JSON: invalid value"},
      {"{\"a\": 1", "config.json:1:8: not JSON: missing a comma or '}' after an object member (the text ends here)"},
      {"{} {}", "config.json:1:4: not JSON: the document root must not be followed by other values"},
      {"[1,]", "config.json:1:4: not JSON: invalid value"},
      {"{a: 1}", "config.json:1:2: not JSON: missing a name for object member"},
      {"// no\n1", "config.json:1:1: not JSON: invalid value"},
      {"[NaNE3]", "config.json:1:7: not JSON: invalid value"},
      {"-InfinityE-3", "config.json:1:13: not JSON: invalid value"},
      {"[1, \"x\\ude00\"]", "config.json:1:5: half of a surrogate pair in a text"},
      {"{\"\\udc00\": 1}", "config.json:1:2: half of a surrogate pair in a text"},
      {"\"\\ud800\"", "config.json:1:2: not JSON: the surrogate pair in string is invalid"},
      {"\"\xff\"", "config.json:1:2: not JSON: invalid encoding in string"},
      {std::string("1\0 2", 4), "config.json:1:2: not JSON: a NUL byte after the value"},
      {"1e999", "config.json:1:1: not JSON: number too big to be stored in double"},
  };
  for (const Row &row : rows) {
    CAPTURE(row.text);
    CHECK(problemOf(row.text) == row.problem);
  }
}

TEST_CASE("json: limits end hostile texts", "[json]") {
  std::string deep(100000, '[');
  CHECK(problemOf(deep) == "config.json:1:129: nested more than 128 deep");
  json::Limits few;
  few.maxValues = 3;
  CHECK(problemOf("[1,2,3,4]", few) == "config.json:1:8: more than 3 values");
  few.maxBytes = 4;
  CHECK(problemOf("[1,2,3]", few) == "config.json: JSON text of 7 bytes, the limit is 4");
}

TEST_CASE("json: big objects are found by a hash", "[json]") {
  std::string text = "{";
  for (int i = 0; i < 46000; ++i)
    text += (i ? "," : "") + ("\"t." + std::to_string(i)) + "\":{\"dtype\":\"BF16\",\"shape\":[4,4],\"data_offsets\":[0,32]}";
  Value value = good(text + "}");
  CHECK(value.object().size() == 46000);
  CHECK(value.find("t.45999")->find("shape")->array()[1].integer() == 4);
  CHECK(value.find("t.46000") == nullptr);
  json::Object copy = value.object();
  copy.set("t.1", Value(7));
  copy.set("new", Value(8));
  CHECK(copy.erase("t.0"));
  CHECK_FALSE(copy.erase("t.0"));
  CHECK(copy.find("t.1")->integer() == 7);
  CHECK(copy.find("new")->integer() == 8);
  CHECK(copy.size() == 46000);
  CHECK(value.find("t.1")->isObject()); // the original is untouched
}

TEST_CASE("json: equality", "[json]") {
  CHECK(good("{\"a\":1,\"b\":[true,null]}") == good("{\"b\":[true,null],\"a\":1}"));
  CHECK(good("1") != good("1.0"));
  CHECK(good("NaN") == good("NaN"));
  CHECK(good("[1]") != good("[1,1]"));
}

TEST_CASE("json: the writer's text reads back equal", "[json]") {
  Value value =
      good(R"({"s":"a\"\\\n\u0001é","i":-5,"d":0.1,"e":1e300,"one":1.0,"l":[],"o":{},"n":null,"t":[true,{"x":[1,2]}]})");
  for (auto style : {json::Writer::Style::Pretty, json::Writer::Style::Compact})
    CHECK(good(json::toText(value, style)) == value);
  CHECK(json::toText(Value(1.0)) == "1.0");
  CHECK(json::toText(Value(0.1)) == "0.1");
  CHECK(json::toText(Value(1e-7)) == "1e-07");
  CHECK(json::toText(Value("\x7f\xff\xE2\x80\xA8")) == "\"\\u007f\\ufffd\\u2028\"");
  CHECK(json::toText(good(R"({"a":[1,{}],"b":{"c":2}})"), json::Writer::Style::Pretty) ==
        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": 2\n  }\n}\n");
  std::string out;
  json::Writer writer(out, json::Writer::Style::Compact);
  writer.beginArray();
  writer.value(std::nan(""));
  writer.value(uint64_t(18446744073709551615u));
  writer.endArray();
  CHECK(out == "[null,18446744073709551615]");
  CHECK(writer.nonFinite() == 1);
}

TEST_CASE("json: files", "[json]") {
  Diagnostics diags;
  CHECK(failed(json::parseFile("no/such/file.json", diags)));
  CHECK(diags.errors()[0].where == "no/such/file.json");
  CHECK(failed(json::parseFile("/dev/zero", diags)));
  CHECK(diags.errors()[1].what == "is not a regular file");
}
