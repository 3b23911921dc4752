#include "recipes/ModelReader.h"

#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Regex.h"

using namespace flagrelease;

static constexpr StringRef kSections[] = {"recipe", "like",   "match",  "prefix", "defaults", "configs", "let",   "sizes",
                                          "inputs", "graph",  "graphs", "tasks",  "hidden",   "rename",  "split", "stack",
                                          "derive", "ignore", "inert",  "host",   "gguf",     "patch"};

llvm::ArrayRef<StringRef> flagrelease::recipeSections() { return kSections; }

llvm::ArrayRef<StringRef> flagrelease::recipeHeadKeys() {
  static constexpr StringRef kHead[] = {"recipe", "like", "match"};
  return kHead;
}

bool ModelReader::fail(const Place &place, const Twine &what, const Twine &remedy) {
  (void)diags.error(place.str(), what, remedy);
  return false;
}

static bool readMatchEntry(const yaml::Node &node, MatchEntry &out, Diagnostics &diags) {
  out.place = node.place;
  if (!node.isMapping() || node.entries.empty())
    return succeeded(diags.error(node.place.str(), "an alternative of `match` is a mapping from config keys to values",
                                 "write {architectures: [Name]}"));
  for (const yaml::Entry &entry : node.entries) {
    std::vector<std::string> values;
    const std::vector<yaml::Node> &items = entry.value.isSequence() ? entry.value.items : std::vector<yaml::Node>{entry.value};
    for (const yaml::Node &item : items) {
      if (!item.isScalar())
        return succeeded(diags.error(item.place.str(), "expected a value of '" + escape::terminal(entry.key, 80) + "'"));
      values.push_back(item.text);
    }
    if (values.empty())
      return succeeded(diags.error(entry.value.place.str(), "an empty list matches nothing"));
    out.keys.push_back({entry.key, std::move(values)});
  }
  return true;
}

bool flagrelease::readMatch(const yaml::Node &node, std::vector<MatchEntry> &out, Diagnostics &diags) {
  bool good = true;
  if (node.isMapping()) {
    out.emplace_back();
    return readMatchEntry(node, out.back(), diags);
  }
  if (!node.isSequence())
    return succeeded(diags.error(node.place.str(), "`match` is a list of mappings, found a " + yaml::kindName(node.kind)));
  for (const yaml::Node &item : node.items) {
    out.emplace_back();
    good &= readMatchEntry(item, out.back(), diags);
  }
  return good;
}

bool ModelReader::read(const yaml::Node &root) {
  bool good = true;
  for (const yaml::Entry &entry : root.entries)
    good &= readSection(entry);
  for (StringRef needed : {"match", "graph"})
    if (!root.find(needed))
      good = fail(root.place, "the recipe lacks `" + needed + ":`");
  return good;
}

bool ModelReader::readSection(const yaml::Entry &entry) {
  const yaml::Node &node = entry.value;
  StringRef key = entry.key;
  if (key == "recipe" || key == "like" || key == "patch")
    return true; // flattening read them
  if (key == "match")
    return readMatch(node, recipe.match, diags);
  if (key == "prefix")
    return readPrefixes(node);
  if (key == "defaults")
    return readDefaults(node);
  if (key == "configs")
    return readConfigs(node);
  if (key == "let")
    return steps.readLets(node, recipe.let);
  if (key == "sizes")
    return steps.readLets(node, recipe.sizes);
  if (key == "inputs")
    return readInputs(node);
  if (key == "graph")
    return steps.readList(node, recipe.graph);
  if (key == "graphs")
    return readGraphs(node);
  if (key == "tasks")
    return readTasks(node);
  if (key == "hidden")
    return readHidden(node);
  if (key == "rename")
    return readRenames(node);
  if (key == "split")
    return readLogical(node, LogicalTensor::Kind::Split);
  if (key == "stack")
    return readLogical(node, LogicalTensor::Kind::Stack);
  if (key == "derive")
    return readLogical(node, LogicalTensor::Kind::Derive);
  if (key == "ignore")
    return readReasons(node, "ignore", recipe.ignored);
  if (key == "inert")
    return readReasons(node, "inert", recipe.inert);
  if (key == "host") {
    if (!node.isMapping())
      return fail(node.place, "`host` is a mapping");
    recipe.host = node;
    return true;
  }
  if (key == "gguf") {
    if (node.isNull())
      return true; // what the parent says does not hold here
    FailureOr<GgufSection> section = readGgufSection(node, diags);
    if (failed(section))
      return false;
    recipe.gguf = std::move(*section);
    return true;
  }
  return fail(entry.place, "unknown section '" + escape::terminal(key, 80) + "'" + nearestNote(key, kSections));
}

bool ModelReader::readWords(const yaml::Node &node, std::vector<std::string> &out, StringRef what) {
  if (node.isScalar() && !node.isNull()) {
    out.push_back(node.text);
    return true;
  }
  if (!node.isSequence())
    return fail(node.place, "`" + what + "` is a list of words, found a " + yaml::kindName(node.kind));
  bool good = true;
  for (const yaml::Node &item : node.items) {
    if (item.isScalar() && !item.isNull())
      out.push_back(item.text);
    else
      good = fail(item.place, "`" + what + "` holds words");
  }
  return good;
}

bool ModelReader::readPrefixes(const yaml::Node &node) {
  recipe.prefixes.clear();
  return readWords(node, recipe.prefixes, "prefix");
}

bool ModelReader::readDefaults(const yaml::Node &node) {
  if (node.isScalar() && !node.isNull()) {
    recipe.defaultsClass = node.text;
    return true;
  }
  if (!node.isMapping())
    return fail(node.place, "`defaults` is a class name, or {class, override}");
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    if (entry.key == "class" && entry.value.isScalar()) {
      recipe.defaultsClass = entry.value.text;
      continue;
    }
    if (entry.key != "override" || !entry.value.isMapping()) {
      good = fail(entry.place, "`defaults` has the keys class (a word) and override (a mapping)");
      continue;
    }
    for (const yaml::Entry &item : entry.value.entries) {
      const yaml::Node *value = item.value.find("value"), *reason = item.value.find("reason");
      if (!value || !reason || !reason->isScalar() || reason->isNull() || item.value.entries.size() != 2) {
        good = fail(item.value.place, "an override is {value: expression, reason: text}");
        continue;
      }
      FailureOr<Expr> expr = Expr::parse(*value, diags);
      FailureOr<json::Value> constant = failed(expr) ? FailureOr<json::Value>(failure()) : expr->eval(Scope(), diags);
      if (failed(constant))
        good = false;
      else
        recipe.defaultOverrides.push_back({item.key, *constant, reason->text, item.place});
    }
  }
  return good;
}

bool ModelReader::readConfigs(const yaml::Node &node) {
  if (!node.isMapping())
    return fail(node.place, "`configs` is a mapping from members of config.json to {defaults, flat}");
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    ConfigPart part;
    part.name = entry.key;
    part.place = entry.place;
    if (!entry.value.isMapping()) {
      good = fail(entry.value.place, "a member of config.json is {defaults: Class, flat: true}");
      continue;
    }
    for (const yaml::Entry &item : entry.value.entries) {
      std::optional<bool> flag = item.value.asBool();
      if (item.key == "defaults" && item.value.isScalar() && !item.value.isNull())
        part.defaultsClass = item.value.text;
      else if (item.key == "flat" && flag)
        part.flat = *flag;
      else
        good = fail(item.place, "a member of config.json has the keys defaults (a class name) and flat (true or false)");
    }
    recipe.configs.push_back(std::move(part));
  }
  return good;
}

bool ModelReader::readInputs(const yaml::Node &node) {
  if (!node.isMapping())
    return fail(node.place, "`inputs` is a mapping from names to {dtype, dims, when, range, example}");
  static constexpr StringRef kTypes[] = {"int64", "float32", "bool"};
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    GraphInput input;
    input.name = entry.key;
    input.place = entry.place;
    for (const yaml::Entry &key : entry.value.entries) {
      if (key.key == "dtype") {
        input.dtype = key.value.text;
        if (!llvm::is_contained(kTypes, StringRef(input.dtype)))
          good =
              fail(key.value.place, "'" + escape::terminal(input.dtype, 40) + "' is no type of an input", "int64, float32, bool");
      } else if (key.key == "dims") {
        good &= steps.readNames(key.value, /*indexed=*/false, input.dims);
      } else if (key.key == "when" || key.key == "range" || key.key == "example") {
        FailureOr<Expr> expr = Expr::parse(key.value, diags);
        good &= succeeded(expr);
        if (succeeded(expr))
          (key.key == "when" ? input.when : key.key == "range" ? input.range : input.example) = *expr;
      } else {
        good = fail(key.place, "an input has dtype, dims, when, range and example, not '" + escape::terminal(key.key, 80) + "'");
      }
    }
    if (input.dtype.empty() || !entry.value.find("dims"))
      good = fail(entry.place, "the input lacks dtype or dims");
    recipe.inputs.push_back(std::move(input));
  }
  return good;
}

bool ModelReader::readGraphs(const yaml::Node &node) {
  if (!node.isMapping())
    return fail(node.place, "`graphs` is a mapping from names to {in, out, let, do}");
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    NamedGraph graph;
    graph.name = entry.key;
    graph.place = entry.place;
    if (!entry.value.isMapping() || !entry.value.find("do"))
      good = fail(entry.place, "the graph '" + escape::terminal(entry.key, 80) + "' lacks `do:`");
    for (const yaml::Entry &key : entry.value.entries) {
      if (key.key == "in")
        good &= readWords(key.value, graph.in, "in");
      else if (key.key == "out")
        good &= readWords(key.value, graph.out, "out");
      else if (key.key == "let")
        good &= steps.readLets(key.value, graph.let);
      else if (key.key == "do")
        good &= steps.readList(key.value, graph.body);
      else
        good = fail(key.place, "a graph has in, out, let, do, not '" + escape::terminal(key.key, 80) + "'");
    }
    recipe.graphs.push_back(std::move(graph));
  }
  return good;
}

bool ModelReader::readHidden(const yaml::Node &node) {
  if (!node.isMapping()) {
    recipe.hidden.push_back({"hidden", {}});
    return readWords(node, recipe.hidden.back().steps, "hidden");
  }
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    recipe.hidden.push_back({entry.key, {}});
    good &= readWords(entry.value, recipe.hidden.back().steps, "hidden");
  }
  return good;
}

bool ModelReader::readRenames(const yaml::Node &node) {
  if (!node.isMapping())
    return fail(node.place, "`rename` is a mapping from regular expressions to names");
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    std::string error;
    if (!llvm::Regex(entry.key).isValid(error))
      good = fail(entry.place, "not a regular expression: " + error);
    else if (!entry.value.isScalar() || entry.value.isNull())
      good = fail(entry.value.place, "expected a name, with \\1 for groups");
    else
      recipe.renames.push_back({entry.key, entry.value.text, entry.place});
  }
  return good;
}

bool ModelReader::readReasons(const yaml::Node &node, StringRef section, std::vector<Ignored> &out) {
  if (!node.isMapping())
    return fail(node.place, "`" + section + "` is a mapping from names to reasons");
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    if (!entry.value.isScalar() || entry.value.isNull() || entry.value.text.empty())
      good = fail(entry.value.place, "why '" + escape::terminal(entry.key, 120) + "'?", "write a reason");
    else
      out.push_back({entry.key, entry.value.text, entry.place});
    if (section == "ignore" && StringRef(entry.key).contains('{')) {
      yaml::Node scalar = entry.value; // a key has no node of its own
      scalar.text = entry.key;
      scalar.place = entry.place;
      FailureOr<Template> name = Template::parse(scalar, diags);
      if (failed(name))
        good = false;
      else if (!out.empty())
        out.back().name = *name;
    }
  }
  return good;
}
