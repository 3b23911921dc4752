#include "text/Yaml.h"

#include <catch2/catch.hpp>

using namespace flagrelease;

static yaml::Node good(StringRef text) {
  Diagnostics diags;
  auto node = yaml::parse(text, "r.yaml", diags);
  for (const Problem &problem : diags.errors())
    UNSCOPED_INFO(problem.where << ": " << problem.what);
  REQUIRE(succeeded(node));
  return *node;
}

static std::string problemOf(StringRef text, const yaml::Limits &limits = {}) {
  Diagnostics diags;
  CHECK(failed(yaml::parse(text, "r.yaml", diags, limits)));
  REQUIRE(diags.errors().size() == 1);
  return diags.errors()[0].where + ": " + diags.errors()[0].what;
}

TEST_CASE("yaml: kinds, order, quotes and places", "[yaml]") {
  yaml::Node root = good("# c\nb: 1\na: \"2\"\nlist:\n  - x\n  - {y: 'it''s', z: ~}\nempty:\ntext: |\n  one\n  two\n");
  REQUIRE(root.isMapping());
  REQUIRE(root.entries.size() == 5);
  CHECK(root.entries[0].key == "b");
  CHECK(root.entries[1].key == "a");
  CHECK(root.find("b")->asInt() == 1);
  CHECK_FALSE(root.find("a")->asInt()); // quoted: text
  CHECK(root.find("a")->quoted);
  const yaml::Node &list = *root.find("list");
  CHECK(list.items[0].place.str() == "r.yaml:5:5");
  CHECK(list.items[1].find("y")->text == "it's");
  CHECK(list.items[1].find("y")->place.str() == "r.yaml:6:9");
  CHECK(list.items[1].find("z")->isNull());
  CHECK(root.find("empty")->isNull());
  CHECK(root.find("text")->text == "one\ntwo\n");
  CHECK(root.entries[2].place.str() == "r.yaml:4:1");
  CHECK(root.find("a")->placeOf(0).str() == "r.yaml:3:5"); // past the quote
}

TEST_CASE("yaml: scalars read as values", "[yaml]") {
  yaml::Node root = good("[true, false, 'true', 12, -3, 1.5, 1e-5, .5, x, 0x10, null, \"null\", 1.2.3]");
  CHECK(root.items[0].asBool() == true);
  CHECK(root.items[1].asBool() == false);
  CHECK_FALSE(root.items[2].asBool());
  CHECK(root.items[3].asInt() == 12);
  CHECK(root.items[4].asInt() == -3);
  CHECK_FALSE(root.items[5].asInt());
  CHECK(root.items[5].asNumber() == 1.5);
  CHECK(root.items[6].asNumber() == 1e-5);
  CHECK(root.items[7].asNumber() == 0.5);
  CHECK_FALSE(root.items[8].asNumber());
  CHECK_FALSE(root.items[9].asNumber());
  CHECK(root.items[10].isNull());
  CHECK_FALSE(root.items[11].isNull());
  CHECK_FALSE(root.items[12].asNumber());
}

TEST_CASE("yaml: what is refused, and where", "[yaml]") {
  struct Row {
    std::string text, problem;
  };
  const Row rows[] = {
      {"", "r.yaml: holds no YAML document"},
      {"a: 1\nb: 2\na: 3\n", "r.yaml:3:1: duplicate key 'a'"},
      {std::string(241, 'k') + ": 1\n", "r.yaml:1:1: a key of 241 bytes; at most 240 are allowed"},
      {"x: {k: 1, k: 2}", "r.yaml:1:11: duplicate key 'k'"},
      {"a: yes", "r.yaml:1:4: 'yes' is a boolean in YAML 1.1 and text in YAML 1.2"},
      {"a: [1, Off]", "r.yaml:1:8: 'Off' is a boolean in YAML 1.1 and text in YAML 1.2"},
      {"on: 1", "r.yaml:1:1: 'on' is a boolean in YAML 1.1 and text in YAML 1.2"},
      {"a: True", "r.yaml:1:4: 'True' is a boolean in YAML 1.1 and text in YAML 1.2"},
      {"a: &x 1\nb: 2", "r.yaml:1:4: an anchor (&name) is not allowed"},
      {"a: &x [1]", "r.yaml:1:4: an anchor (&name) is not allowed"},
      {"a: !int 1", "r.yaml:1:4: a tag (!int) is not allowed"},
      {"a: !!str 1", "r.yaml:1:4: a tag (tag:yaml.org,2002:str) is not allowed"},
      {"a: !x {b: 1}", "r.yaml:1:4: a tag (!x) is not allowed"},
      {"a: ! 'x'", "r.yaml:1:4: a tag (!) is not allowed"},
      {"<<: {a: 1}", "r.yaml:1:1: a merge key (<<) is not allowed"},
      {"[a, b]: 1", "r.yaml:1:1: a key that is a sequence"},
      {"~: 1", "r.yaml:1:1: a null key"},
      {"a: 1\n---\nb: 2\n", "r.yaml:2:1: a second document"},
      {"a: [1, 2", "r.yaml:1:1: not YAML: end of sequence flow not found"},
      {"a: b: c", "r.yaml:1:5: not YAML: illegal map value"},
      {"a:\n\t- 1", "r.yaml:2:2: not YAML: illegal block entry"},
      {std::string("a: x\0y", 6), "r.yaml:1:5: a control character"},
      {"a: \xff", "r.yaml:1:4: not valid UTF-8"},
  };
  for (const Row &row : rows) {
    CAPTURE(row.text);
    CHECK(problemOf(row.text) == row.problem);
  }
}

TEST_CASE("yaml: limits end hostile texts", "[yaml]") {
  CHECK(problemOf(std::string(100, '[') + std::string(100, ']')) == "r.yaml:1:65: nested more than 64 deep");
  Diagnostics diags;
  CHECK(failed(yaml::parse(std::string(100000, '['), "r.yaml", diags)));
  CHECK(failed(yaml::parse(std::string(100000, '{'), "r.yaml", diags)));
  CHECK(failed(yaml::parse("a: " + std::string(100000, '"'), "r.yaml", diags)));
  std::string blocks;
  for (int i = 0; i < 2000; ++i)
    blocks += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  CHECK(problemOf(blocks).find("nested more than 64 deep") != std::string::npos);
  yaml::Limits few;
  few.maxNodes = 3;
  CHECK(problemOf("[1, 2, 3]", few) == "r.yaml:1:8: more than 3 nodes");
}

TEST_CASE("yaml: a head ends where it should, unread", "[yaml]") {
  yaml::Limits head;
  const StringRef keys[] = {"recipe", "match"};
  head.headKeys = keys;
  Diagnostics diags;
  auto node = yaml::parse("recipe: 1\nmatch: [a]\ngraph: [1\nrecipe: broken", "r.yaml", diags, head);
  REQUIRE(succeeded(node));
  CHECK(node->entries.size() == 2);
  CHECK(node->find("match")->items[0].text == "a");
  CHECK(succeeded(yaml::parse("recipe: 1", "r.yaml", diags, head)));
}

TEST_CASE("yaml: quoting survives", "[yaml]") {
  for (StringRef text : {"plain",
                         "two words",
                         "",
                         " lead",
                         "trail ",
                         "yes",
                         "null",
                         "12",
                         "-1",
                         "a: b",
                         "a,b",
                         "[x]",
                         "{i}",
                         "it's",
                         "say \"x\"",
                         "a\nb",
                         "tab\t",
                         "\x1b[31m",
                         "é",
                         "\xE2\x80\xAEx",
                         "back\\slash",
                         "# no",
                         "=act",
                         "@x",
                         "1e5",
                         ".5",
                         "model.layers.{i}"}) {
    CAPTURE(text.str());
    std::string quoted = yaml::quote(text);
    CHECK(quoted.find('\n') == std::string::npos);
    CHECK(quoted.find('\x1b') == std::string::npos);
    yaml::Node node = good("[" + quoted + "]");
    REQUIRE(node.items.size() == 1);
    CHECK(node.items[0].text == text);
    CHECK_FALSE(node.items[0].isNull());
    CHECK_FALSE(node.items[0].asNumber());
  }
}

static bool equal(const yaml::Node &a, const yaml::Node &b) {
  if (a.kind != b.kind || a.text != b.text || a.items.size() != b.items.size() || a.entries.size() != b.entries.size())
    return false;
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!equal(a.items[i], b.items[i]))
      return false;
  for (size_t i = 0; i < a.entries.size(); ++i)
    if (a.entries[i].key != b.entries[i].key || !equal(a.entries[i].value, b.entries[i].value))
      return false;
  return true;
}

TEST_CASE("yaml: printed text reads back equal", "[yaml]") {
  yaml::Node node = good(
      "a: {b: [1, 2, {c: d}], e: {}}\nlist:\n  - x: 1\n    y:\n      - - deep\n        - \"yes\"\n      - []\n  - text\n"
      "long: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, ccccccccccccccccccccccccccccc, ddddd]\n"
      "\"odd key\": ~\n");
  CHECK(equal(good(yaml::toText(node)), node));
}
