#include "tests/validators/Schema.h"

#include "llvm/ADT/STLExtras.h"

#include <regex>

namespace flagrelease::test {

namespace {
class Checker {
public:
  Checker(const json::Value &root, bool strict) : root(root), strict(strict) {}

  void check(const json::Value &schema, const json::Value &value, const std::string &path) {
    for (const json::Member &keyword : schema.object()) {
      const std::string &name = keyword.key;
      const json::Value &own = keyword.value;
      if (name == "$schema" || name == "title" || name == "description" || name == "$defs" || name == "then")
        continue;
      if (name == "type")
        type(own, value, path);
      else if (name == "const" || name == "enum")
        oneOf(own, value, path);
      else if (name == "required") {
        for (const json::Value &key : own.array())
          if (value.isObject() && !value.find(key.string()))
            problems.push_back(path + ": lacks " + key.string().str());
      } else if (name == "properties") {
        properties(schema, own, value, path);
      } else if (name == "additionalProperties") {
        if (value.isObject())
          for (const json::Member &member : value.object())
            if (!schema.find("properties") || !schema.find("properties")->find(member.key))
              check(own, member.value, path + "." + member.key);
      } else if (name == "items") {
        if (value.isArray())
          for (size_t i = 0; i < value.array().size(); ++i)
            check(own, value.array()[i], path + "[" + std::to_string(i) + "]");
      } else if (name == "minItems") {
        if (value.isArray() && static_cast<int64_t>(value.array().size()) < own.integer())
          problems.push_back(path + ": has too few items");
      } else if (name == "minimum") {
        if (value.isNumber() && value.number() < own.number())
          problems.push_back(path + ": is below the minimum");
      } else if (name == "pattern") {
        if (value.isString() && !std::regex_search(value.string().str(), std::regex(own.string().str())))
          problems.push_back(path + ": \"" + value.string().str() + "\" does not match " + own.string().str());
      } else if (name == "$ref") {
        const json::Value *found = root.find("$defs")->find(own.string().drop_front(StringRef("#/$defs/").size()));
        if (found)
          check(*found, value, path);
        else
          problems.push_back(path + ": the schema refers to nothing");
      } else if (name == "anyOf") {
        if (llvm::none_of(own.array(), [&](const json::Value &one) { return fits(one, value, path); }))
          problems.push_back(path + ": fits no alternative");
      } else if (name == "allOf") {
        for (const json::Value &one : own.array())
          check(one, value, path);
      } else if (name == "if") {
        if (fits(own, value, path, /*partly=*/true)) {
          const bool was = std::exchange(strict, false);
          check(*schema.find("then"), value, path);
          strict = was;
        }
      } else {
        problems.push_back(path + ": the schema's keyword " + name + " is not known here");
      }
    }
  }

  std::vector<std::string> problems;

private:
  bool fits(const json::Value &schema, const json::Value &value, const std::string &path, bool partly = false) {
    Checker own(root, strict && !partly);
    own.check(schema, value, path);
    return own.problems.empty();
  }

  void type(const json::Value &wanted, const json::Value &value, const std::string &path) {
    auto is = [&](StringRef name) {
      return name == "object"    ? value.isObject()
             : name == "array"   ? value.isArray()
             : name == "string"  ? value.isString()
             : name == "boolean" ? value.isBool()
             : name == "null"    ? value.isNull()
             : name == "integer" ? value.isInt()
                                 : value.isNumber();
    };
    const bool good = wanted.isString() ? is(wanted.string())
                                        : llvm::any_of(wanted.array(), [&](const json::Value &one) { return is(one.string()); });
    if (!good)
      problems.push_back(path + ": is a " + value.kindName().str() + ", not " + json::toText(wanted));
  }

  void oneOf(const json::Value &wanted, const json::Value &value, const std::string &path) {
    const bool good = wanted.isArray() ? llvm::is_contained(wanted.array(), value) : wanted == value;
    if (!good)
      problems.push_back(path + ": is " + json::toText(value) + ", not " + json::toText(wanted));
  }

  void properties(const json::Value &schema, const json::Value &own, const json::Value &value, const std::string &path) {
    if (!value.isObject())
      return;
    for (const json::Member &member : value.object()) {
      if (const json::Value *known = own.find(member.key))
        check(*known, member.value, path + "." + member.key);
      else if (strict && !schema.find("additionalProperties"))
        problems.push_back(path + "." + member.key + ": is not in the schema");
    }
  }

  const json::Value &root;
  bool strict;
};
} // namespace

std::vector<std::string> schemaProblems(const json::Value &schema, const json::Value &value, bool strict) {
  Checker checker(schema, strict);
  checker.check(schema, value, "$");
  return checker.problems;
}

} // namespace flagrelease::test
