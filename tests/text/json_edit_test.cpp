// Edits of JSON texts: what is not edited keeps its bytes.
#include "text/JsonEdit.h"

#include <catch2/catch.hpp>

using namespace flagrelease;

namespace {
std::string after(llvm::StringRef text, std::vector<json::Edit> edits) {
  Diagnostics diags;
  FailureOr<std::string> out = json::edited(text, "config.json", edits, diags);
  if (succeeded(out)) {
    // Whatever was done, it is JSON still.
    Diagnostics again;
    CHECK(succeeded(json::parse(*out, "edited", again)));
    return *out;
  }
  return diags.errors().front().where + ": " + diags.errors().front().what;
}
} // namespace

TEST_CASE("JSON edits", "[json]") {
  const json::Value half("float16"), one(int64_t(1));
  struct Row {
    const char *what, *text;
    std::vector<json::Edit> edits;
    const char *expected;
  };
  const json::Value nested(json::Object{{"bits", 4}, {"ignore", json::Array{json::Value("lm_head")}}});
  const Row rows[] = {
      {"no edit", "{\"a\" : 1e-06 }", {}, "{\"a\" : 1e-06 }"},
      {"a value",
       "{\n  \"a\": 1e-06,\n  \"dtype\":\"bfloat16\"\n}\n",
       {{{"dtype"}, half}},
       "{\n  \"a\": 1e-06,\n  \"dtype\":\"float16\"\n}\n"},
      {"a number before the brace", "{\"a\":12}", {{{"a"}, one}}, "{\"a\":1}"},
      {"a word before a comma", "{\"a\":null ,\"b\":[1,{\"a\":2}]}", {{{"a"}, one}}, "{\"a\":1 ,\"b\":[1,{\"a\":2}]}"},
      {"strings that look like syntax",
       "{\"x\":\"}{\\\"a\\\": \\\\\",\"a\":0}",
       {{{"a"}, one}},
       "{\"x\":\"}{\\\"a\\\": \\\\\",\"a\":1}"},
      {"an escaped key", "{\"\\u0061\":0}", {{{"a"}, one}}, "{\"\\u0061\":1}"},
      {"a nested value", "{\"a\":{\"a\":0,\"b\":0},\"b\":0}", {{{"a", "b"}, one}}, "{\"a\":{\"a\":0,\"b\":1},\"b\":0}"},
      {"a first member goes", "{\n  \"a\": {\"b\": [1]},\n  \"c\": 2\n}", {{{"a"}, std::nullopt}}, "{\n  \"c\": 2\n}"},
      {"a last member goes", "{\n  \"a\": 1,\n  \"c\": \"x,y\"\n}", {{{"c"}, std::nullopt}}, "{\n  \"a\": 1\n}"},
      {"the only member goes", "{ \"a\": 1 }", {{{"a"}, std::nullopt}}, "{}"},
      {"an absent one goes",
       "{\"a\":1}",
       {{{"b"}, std::nullopt}, {{"a", "b"}, std::nullopt}, {{"c", "b"}, std::nullopt}},
       "{\"a\":1}"},
      {"a new member", "{\n    \"a\": 1\n}\n", {{{"b"}, one}}, "{\n    \"a\": 1,\n    \"b\": 1\n}\n"},
      {"a new member on one line", "{\"a\":1}", {{{"b"}, one}}, "{\"a\":1, \"b\": 1}"},
      {"a new member of an empty object", "{}", {{{"b"}, one}}, "{\n  \"b\": 1\n}"},
      {"a mapping",
       "{\n  \"a\": 1\n}",
       {{{"q"}, nested}},
       "{\n  \"a\": 1,\n  \"q\": {\n    \"bits\": 4,\n    \"ignore\": [\n      \"lm_head\"\n    ]\n  }\n}"},
      {"a byte order mark", "\xef\xbb\xbf{\"a\":0}", {{{"a"}, one}}, "\xef\xbb\xbf{\"a\":1}"},
      {"two edits", "{\"a\":0,\"b\":0}", {{{"a"}, std::nullopt}, {{"b"}, one}}, "{\"b\":1}"},
      {"no object", "[1]", {{{"a"}, one}}, "config.json: is a list, not a mapping"},
      {"no JSON", "{\"a\":", {}, "config.json:1:6: "},
      {"a path through a number", "{\"a\":1}", {{{"a", "b"}, one}}, "config.json: a.b: 'a' is no object of this file"},
  };
  for (const Row &row : rows) {
    INFO(row.what);
    CHECK_THAT(after(row.text, row.edits), Catch::StartsWith(row.expected));
  }
}
