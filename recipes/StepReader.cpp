#include "recipes/StepReader.h"

#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace flagrelease;
using llvm::ArrayRef;

static constexpr StringRef kCommonKeys[] = {"id", "in", "out", "at", "when"};

bool flagrelease::isIdentifier(StringRef text, bool dashes) {
  if (text.empty() || text.size() > 80 || !(llvm::isAlpha(text[0]) || text[0] == '_'))
    return false;
  return llvm::all_of(text, [&](char c) { return llvm::isAlnum(c) || c == '_' || (dashes && c == '-'); });
}

bool flagrelease::usesCommonKey(ArrayRef<StepSchema> schemas) {
  return llvm::any_of(schemas, [](const StepSchema &schema) {
    return llvm::any_of(schema.params, [](const ParamSchema &param) { return llvm::is_contained(kCommonKeys, param.name); });
  });
}

static const StepSchema *findKind(ArrayRef<StepSchema> schemas, StringRef kind) {
  for (const StepSchema &schema : schemas)
    if (schema.kind == kind)
      return &schema;
  return nullptr;
}

static const ParamSchema *findParam(ArrayRef<ParamSchema> params, StringRef name) {
  for (const ParamSchema &param : params)
    if (param.name == name)
      return &param;
  return nullptr;
}

static bool isCombinator(StringRef kind) { return findKind(combinators(), kind) != nullptr; }

/// Keys that the reader itself knows for a combinator.
static ArrayRef<StringRef> combinatorKeys(StringRef kind) {
  static constexpr StringRef kParallel[] = {"branches"}, kRepeat[] = {"index", "let"}, kChoose[] = {"cases"}, kScope[] = {"let"},
                             kCall[] = {"with"};
  if (kind == "parallel")
    return kParallel;
  if (kind == "repeat")
    return kRepeat;
  if (kind == "choose")
    return kChoose;
  if (kind == "scope")
    return kScope;
  if (kind == "call")
    return kCall;
  return {};
}

bool StepReader::fail(const Place &place, const Twine &what, const Twine &remedy) {
  (void)diags.error(place.str(), what, remedy);
  return false;
}

bool StepReader::readList(const yaml::Node &node, StepList &out) {
  if (!node.isSequence())
    return fail(node.place, "expected a list of steps, found a " + yaml::kindName(node.kind), "write `- kind: {…}` lines");
  bool good = true;
  std::vector<bool> given;
  for (const yaml::Node &item : node.items) {
    Step step;
    if (!readStep(item, step)) {
      good = false;
      continue;
    }
    given.push_back(!step.id.empty());
    out.push_back(std::move(step));
  }
  return giveIds(out, given) && good;
}

bool StepReader::giveIds(StepList &steps, const std::vector<bool> &given) {
  bool good = true;
  llvm::StringMap<unsigned> kinds;
  llvm::StringSet<> ids;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!given[i])
      ++kinds[steps[i].kind];
    else if (!ids.insert(steps[i].id).second)
      good = fail(steps[i].place, "a second step with id '" + steps[i].id + "' in this list", "give each its own id");
  }
  for (size_t i = 0; i < steps.size(); ++i)
    if (!given[i] && kinds[steps[i].kind] == 1 && !ids.contains(steps[i].kind))
      steps[i].id = steps[i].kind;
  return good;
}

bool StepReader::readStep(const yaml::Node &node, Step &step) {
  step.place = node.place;
  if (!node.isMapping())
    return fail(node.place, "a step is a mapping with one kind, found a " + yaml::kindName(node.kind), "write `kind: {…}`");
  const yaml::Entry *kind = nullptr, *body = nullptr;
  for (const yaml::Entry &entry : node.entries) {
    if (entry.key == "do")
      body = &entry;
    else if (!kind)
      kind = &entry;
    else
      return fail(entry.place, "a step has one kind, found '" + kind->key + "' and '" + escape::terminal(entry.key, 80) + "'",
                  "start another step with '-', or indent the key under '" + kind->key + "'");
  }
  if (!kind)
    return fail(node.place, "a step without a kind");
  step.kind = kind->key;
  step.place = kind->place;

  const StepSchema *combinator = findKind(combinators(), step.kind);
  const StepSchema *built = combinator ? combinator : findKind(grammar.steps, step.kind);
  const StepSchema *later = combinator ? nullptr : findKind(grammar.later, step.kind);
  if (!built && !later) {
    std::vector<StringRef> known;
    for (ArrayRef<StepSchema> table : {combinators(), grammar.steps, grammar.later})
      for (const StepSchema &schema : table)
        known.push_back(schema.kind);
    return fail(kind->place, "unknown kind of step '" + escape::terminal(step.kind, 80) + "'" + nearestNote(step.kind, known));
  }
  step.schema = built ? built : later;
  if (!built) {
    step.built = false;
    notBuilt.push_back({"block '" + step.kind + "'", kind->place});
  }

  bool good = true;
  if (kind->value.isMapping()) {
    for (const yaml::Entry &entry : kind->value.entries)
      good &= readKey(entry, step, built, later);
  } else if (!kind->value.isNull()) {
    good = fail(kind->value.place, "the parameters of a step are a mapping, found a " + yaml::kindName(kind->value.kind),
                "write `" + step.kind + ": {…}`");
  }
  // A step that uses what is not built yet follows the schema it will have.
  const StepSchema &required = !step.built && later ? *later : *step.schema;
  for (const ParamSchema &param : required.params)
    if (param.required && !step.has(param.name) && !(kind->value.isMapping() && kind->value.find(param.name)))
      good = fail(kind->place, "'" + step.kind + "' lacks '" + param.name + "'");

  if (body && !step.schema->hasBody)
    good = fail(body->place, "'" + step.kind + "' takes no `do:`");
  else if (!body && step.schema->hasBody)
    good = fail(kind->place, "'" + step.kind + "' lacks its steps", "add `do:` beside `" + step.kind + ":`");
  else if (body)
    good &= readList(body->value, step.body);
  return good && finish(step);
}

bool StepReader::finish(Step &step) {
  if (step.kind == "repeat") {
    if (step.has("times") == step.has("over"))
      return fail(step.place, "'repeat' takes one of `times` and `over`");
  } else if (step.kind == "parallel" && step.branches.size() < 2) {
    return fail(step.place, "'parallel' lacks `branches`: two lists of steps or more");
  } else if (step.kind == "choose" && step.cases.empty()) {
    return fail(step.place, "'choose' lacks `cases`");
  }
  return true;
}

bool StepReader::readKey(const yaml::Entry &entry, Step &step, const StepSchema *built, const StepSchema *later) {
  bool known = false;
  bool good = readCommon(entry, step, known);
  if (!known && isCombinator(step.kind))
    good = readCombinatorKey(entry, step, known);
  if (known)
    return good;

  const ParamSchema *schema = built ? findParam(built->params, entry.key) : nullptr;
  bool isBuilt = schema || !built; // of a kind that is not built at all, the kind is reported
  if (!schema && later)
    schema = findParam(later->params, entry.key);
  if (!schema) {
    std::vector<StringRef> names(std::begin(kCommonKeys), std::end(kCommonKeys));
    llvm::append_range(names, combinatorKeys(step.kind));
    for (const StepSchema *table : {built, later})
      if (table)
        for (const ParamSchema &param : table->params)
          names.push_back(param.name);
    return fail(entry.place,
                "'" + step.kind + "' has no parameter '" + escape::terminal(entry.key, 80) + "'" + nearestNote(entry.key, names));
  }
  if (!isBuilt) {
    step.built = false;
    notBuilt.push_back({"parameter '" + step.kind + "." + entry.key + "'", entry.place});
  }
  Param param;
  param.built = isBuilt;
  const ParamSchema *future = later ? findParam(later->params, entry.key) : nullptr;
  size_t missing = notBuilt.size();
  if (!readParam(entry.value, *schema, isBuilt ? future : nullptr, step.kind + "." + entry.key, param))
    return false;
  step.built &= notBuilt.size() == missing;
  step.params.push_back(std::move(param));
  return true;
}

bool StepReader::readCommon(const yaml::Entry &entry, Step &step, bool &known) {
  known = true;
  if (entry.key == "id") {
    if (!entry.value.isScalar() || !isIdentifier(entry.value.text, /*dashes=*/true) || entry.value.text == "stream")
      return fail(entry.value.place, "an id is a word of letters, digits, '_' and '-', and not 'stream'");
    step.id = entry.value.text;
    return true;
  }
  if (entry.key == "in")
    return readNames(entry.value, /*indexed=*/true, step.in);
  if (entry.key == "out")
    return readNames(entry.value, /*indexed=*/true, step.out);
  if (entry.key == "at") {
    FailureOr<Template> at = Template::parse(entry.value, diags);
    if (succeeded(at))
      step.at = *at;
    return succeeded(at);
  }
  if (entry.key == "when") {
    FailureOr<Expr> when = Expr::parse(entry.value, diags);
    if (succeeded(when))
      step.when = *when;
    return succeeded(when);
  }
  known = false;
  return true;
}

bool StepReader::readCombinatorKey(const yaml::Entry &entry, Step &step, bool &known) {
  known = llvm::is_contained(combinatorKeys(step.kind), StringRef(entry.key));
  if (!known)
    return true;
  if (entry.key == "let" || entry.key == "with")
    return readLets(entry.value, step.let);
  if (entry.key == "index") {
    if (!entry.value.isScalar() || !isIdentifier(entry.value.text, /*dashes=*/false))
      return fail(entry.value.place, "an index is a name of letters, digits and '_'");
    step.index = entry.value.text;
    return true;
  }
  if (entry.key == "cases")
    return readCases(entry.value, step);
  // branches
  if (!entry.value.isSequence())
    return fail(entry.value.place, "`branches` is a list of lists of steps");
  bool good = true;
  for (const yaml::Node &branch : entry.value.items) {
    step.branches.emplace_back();
    good &= readList(branch, step.branches.back());
  }
  return good;
}

bool StepReader::readCases(const yaml::Node &node, Step &step) {
  if (!node.isMapping() || node.entries.empty())
    return fail(node.place, "`cases` is a mapping from a value to a list of steps");
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    Case one;
    one.label = entry.key;
    one.place = entry.place;
    good &= readList(entry.value, one.body);
    step.cases.push_back(std::move(one));
  }
  return good;
}

bool StepReader::readLets(const yaml::Node &node, std::vector<Let> &out) {
  if (node.isNull())
    return true;
  if (!node.isMapping())
    return fail(node.place, "expected names with expressions, found a " + yaml::kindName(node.kind));
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    if (!isIdentifier(entry.key, /*dashes=*/false)) {
      good = fail(entry.place, "'" + escape::terminal(entry.key, 80) + "' cannot be a name in expressions",
                  "use letters, digits and '_'");
      continue;
    }
    FailureOr<Expr> expr = Expr::parse(entry.value, diags);
    if (failed(expr))
      good = false;
    else
      out.push_back({entry.key, *expr, entry.place});
  }
  return good;
}

bool StepReader::readNames(const yaml::Node &node, bool indexed, std::vector<Template> &out) {
  if (node.isSequence()) {
    bool good = true;
    for (const yaml::Node &item : node.items)
      good &= item.isScalar() ? readNames(item, indexed, out) : fail(item.place, "expected a name");
    return good;
  }
  FailureOr<Template> name = Template::parse(node, diags, indexed);
  if (failed(name))
    return false;
  out.push_back(*name);
  return true;
}

bool StepReader::readParam(const yaml::Node &node, const ParamSchema &schema, const ParamSchema *later, StringRef path,
                           Param &out) {
  out.name = schema.name.str();
  out.type = schema.type;
  out.schema = &schema;
  out.place = node.place;
  switch (schema.type) {
  case ParamType::Tensor:
  case ParamType::Value:
  case ParamType::Bind:
  case ParamType::Size: {
    bool indexed = schema.type == ParamType::Value || schema.type == ParamType::Bind;
    FailureOr<Template> name = Template::parse(node, diags, indexed);
    if (succeeded(name))
      out.nameTemplate = *name;
    return succeeded(name);
  }
  case ParamType::Enum:
  case ParamType::String:
    if (!node.isScalar() || node.isNull())
      return fail(node.place, "'" + schema.name + "' is a word, or an expression after '='");
    if (StringRef(node.text).starts_with("="))
      return readExpression(node, 1, out);
    if (schema.type == ParamType::Enum && !llvm::is_contained(schema.values, StringRef(node.text)))
      return fail(node.place,
                  "'" + schema.name + "' is one of " + listed(schema.values, 24) + "; got '" + escape::terminal(node.text, 80) +
                      "'" + nearestNote(node.text, schema.values),
                  "write =expression to compute it");
    out.literal = node.text;
    return true;
  case ParamType::Flag:
    if (!node.asBool())
      return fail(node.place, "'" + schema.name + "' is true or false");
    return readExpression(node, 0, out);
  case ParamType::Expr:
  case ParamType::Int:
  case ParamType::Number:
  case ParamType::Bool:
    if (node.isMapping() && !schema.nested.empty())
      return readMapping(node, schema, later, path, out);
    return readExpression(node, 0, out);
  case ParamType::List:
    return node.isSequence() ? readSequence(node, schema, path, out) : readExpression(node, 0, out);
  case ParamType::Mapping:
    return readMapping(node, schema, later, path, out);
  }
  return false;
}

bool StepReader::readExpression(const yaml::Node &node, size_t skip, Param &out) {
  FailureOr<Expr> expr = Expr::parse(node, diags, skip);
  if (succeeded(expr))
    out.expr = *expr;
  return succeeded(expr);
}

bool StepReader::readMapping(const yaml::Node &node, const ParamSchema &schema, const ParamSchema *later, StringRef path,
                             Param &out) {
  if (!node.isMapping())
    return fail(node.place, "'" + schema.name + "' is a mapping, found a " + yaml::kindName(node.kind));
  out.isMapping = true;
  bool good = true;
  const ParamSchema *any = findParam(schema.nested, "*");
  for (const yaml::Entry &entry : node.entries) {
    const ParamSchema *key = findParam(schema.nested, entry.key);
    if (!key)
      key = any;
    std::string inner = (path + "." + entry.key).str();
    const ParamSchema *future = later ? findParam(later->nested, entry.key) : nullptr;
    bool isBuilt = key != nullptr;
    if (!key && future) {
      key = future;
      notBuilt.push_back({"parameter '" + inner + "'", entry.place});
    }
    if (!key) {
      std::vector<StringRef> names;
      for (const ParamSchema *table : {&schema, later})
        if (table)
          for (const ParamSchema &param : table->nested)
            names.push_back(param.name);
      good = fail(entry.place,
                  "'" + schema.name + "' has no key '" + escape::terminal(entry.key, 80) + "'" + nearestNote(entry.key, names));
      continue;
    }
    Param param;
    param.built = isBuilt;
    if (!readParam(entry.value, *key, future, inner, param)) {
      good = false;
      continue;
    }
    param.name = entry.key;
    out.nested.push_back(std::move(param));
  }
  for (const ParamSchema &key : schema.nested)
    if (key.required && !node.find(key.name))
      good = fail(node.place, "'" + schema.name + "' lacks '" + key.name + "'");
  return good;
}

bool StepReader::readSequence(const yaml::Node &node, const ParamSchema &schema, StringRef path, Param &out) {
  static const ParamSchema kAnyItem[] = {{"item", ParamType::Expr}};
  const ParamSchema &item = schema.nested.empty() ? kAnyItem[0] : schema.nested[0];
  bool good = true;
  for (const yaml::Node &each : node.items) {
    Param param;
    if (!readParam(each, item, nullptr, path, param)) {
      good = false;
      continue;
    }
    param.name = std::to_string(out.nested.size());
    out.nested.push_back(std::move(param));
  }
  return good;
}
