#include "text/Escape.h"

#include <catch2/catch.hpp>

using namespace flagrelease;

TEST_CASE("escape: nothing of a file takes effect where it is shown", "[escape]") {
  CHECK(escape::terminal("model.layers.0") == "model.layers.0");
  CHECK(escape::terminal("\x1b[2J\r\n\t\x7f") == "\\x1b[2J\\r\\n\\t\\x7f");
  CHECK(escape::terminal("é模型") == "é模型");
  CHECK(escape::terminal("a\xff\xC0\x80z") == "a\\xff\\xc0\\x80z"); // invalid and overlong bytes
  CHECK(escape::terminal("a\xE2\x80\xAE"
                         "b") == "a\\u{202e}b");                // right-to-left override
  CHECK(escape::terminal("\xED\xA0\x80") == "\\xed\\xa0\\x80"); // a surrogate
  CHECK(escape::terminal("\xC2\x9B") == "\\u{9b}");             // C1 control: CSI
  CHECK(escape::terminal("ééé", 3) == "é…");                    // never half a character
  CHECK(escape::html("<a href='x'>&\"") == "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
  CHECK(escape::markdown("a*b_[x](y)\n# z|`") == "a\\*b\\_\\[x\\]\\(y\\) \\# z\\|\\`");
  CHECK(escape::shell("out/model-1.0") == "out/model-1.0");
  CHECK(escape::shell("") == "''");
  CHECK(escape::shell("a b$(c)\\") == "'a b$(c)\\'");
  CHECK(escape::shell("it's") == "'it'\\''s'");
  CHECK(escape::shell("\x1b[31m'\xE2\x80\xAE\\") == "$'\\x1b[31m\\'\\xe2\\x80\\xae\\\\'");
  CHECK(escape::yaml("a: b") == "\"a: b\"");
}
