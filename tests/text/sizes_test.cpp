#include "text/Sizes.h"

#include <catch2/catch.hpp>

using namespace flagrelease;

TEST_CASE("sizes: what is a size", "[sizes]") {
  struct Row {
    const char *text;
    uint64_t bytes;
  };
  const Row rows[] = {{"0", 0},
                      {"1073741824", 1073741824},
                      {"512MiB", 536870912},
                      {"1.5 GiB", 1610612736},
                      {"2GB", 2000000000},
                      {"64k", 65536},
                      {" 8g ", 8589934592},
                      {"0.5K", 512},
                      {"1TiB", 1099511627776},
                      {"7b", 7},
                      {"1.500kb", 1500},
                      {"8388607TiB", 9223370937343148032u}};
  for (const Row &row : rows) {
    CAPTURE(row.text);
    Diagnostics diags;
    auto size = parseSize(row.text, "--memory", diags);
    REQUIRE(succeeded(size));
    CHECK(*size == row.bytes);
  }
}

TEST_CASE("sizes: what is none", "[sizes]") {
  for (StringRef text : {"", "MiB", "-1", "1.", "1.5", "0.3KiB", "1 XB", "1e9", "8388608TiB", "99999999999999999999", "1..5k",
                         "0.1234567890123456789k"}) {
    CAPTURE(text.str());
    Diagnostics diags;
    CHECK(failed(parseSize(text, "--memory", diags)));
    REQUIRE(diags.errors().size() == 1);
    CHECK(diags.errors()[0].where == "--memory");
    CHECK_FALSE(diags.errors()[0].remedy.empty());
  }
}

TEST_CASE("sizes: for people", "[sizes]") {
  CHECK(humanBytes(0) == "0 B");
  CHECK(humanBytes(1023) == "1023 B");
  CHECK(humanBytes(1536) == "1.5 KiB");
  CHECK(humanBytes(1048575) == "1.0 MiB"); // not 1024.0 KiB
  CHECK(humanBytes(uint64_t(2) << 30) == "2.0 GiB");
  CHECK(humanCount(912) == "912");
  CHECK(humanCount(5123456) == "5.1 M");
  CHECK(humanCount(7600000000) == "7.6 B");
}
