#include "recipes/RecipeSet.h"

#include "recipes/ModelReader.h"
#include "recipes/RecipeFiles.h"
#include "text/Escape.h"
#include "text/Nearest.h"
#include "text/TextFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/GlobPattern.h"

using namespace flagrelease;

static std::string modelsOf(StringRef dir) { return dir.empty() ? std::string() : (dir + "/models").str(); }

FailureOr<RecipeSet> RecipeSet::load(StringRef dir, StringRef extra, const StepGrammar &grammar, Diagnostics &diags) {
  FailureOr<std::vector<RecipePath>> paths = recipeFilesIn(modelsOf(dir), modelsOf(extra), diags);
  if (failed(paths))
    return failure();
  RecipeSet set;
  set.dir = dir.str();
  set.extra = extra.str();
  set.grammar = grammar;
  for (const RecipePath &path : *paths) {
    std::string stem = recipeStem(path.path);
    if (StringRef(stem).starts_with("_"))
      continue;
    RecipeHead head;
    head.name = stem;
    head.file = path.path;
    head.shipped = path.shipped;
    yaml::Limits limits;
    limits.headKeys = recipeHeadKeys();
    FailureOr<std::string> text = readTextFile(path.path, limits.maxBytes, set.headProblems);
    FailureOr<yaml::Node> root =
        failed(text) ? FailureOr<yaml::Node>(failure()) : yaml::parse(*text, path.path, set.headProblems, limits);
    if (succeeded(root)) {
      if (const yaml::Node *like = root->find("like"))
        head.like = like->text;
      if (const yaml::Node *match = root->find("match"))
        (void)readMatch(*match, head.match, set.headProblems);
    }
    set.all.push_back(std::move(head));
  }
  return set;
}

const RecipeHead *RecipeSet::find(StringRef name) const {
  for (const RecipeHead &head : all)
    if (head.name == name)
      return &head;
  return nullptr;
}

std::vector<std::string> RecipeSet::architectures() const {
  std::set<std::string> names;
  for (const RecipeHead &head : all)
    for (const MatchEntry &entry : head.match)
      for (const auto &[key, values] : entry.keys)
        if (key == "architectures" || key == "_class_name")
          names.insert(values.begin(), values.end());
  return {names.begin(), names.end()};
}

FailureOr<const RecipeHead *> RecipeSet::match(const json::Object &config, StringRef where, Diagnostics &diags) const {
  // Recipes of the user win over shipped ones, then more keys win over fewer.
  const RecipeHead *best = nullptr, *second = nullptr;
  std::pair<bool, size_t> bestScore{false, 0};
  for (const RecipeHead &head : all) {
    size_t keys = 0;
    for (const MatchEntry &entry : head.match)
      if (matches(entry, config))
        keys = std::max(keys, entry.keys.size());
    if (keys == 0)
      continue;
    std::pair<bool, size_t> score{!head.shipped, keys};
    if (!best || score > bestScore)
      best = &head, bestScore = score, second = nullptr;
    else if (score == bestScore)
      second = &head;
  }
  if (second)
    return diags.error(where,
                       "two recipes fit equally: '" + best->name + "' (" + best->file + ") and '" + second->name + "' (" +
                           second->file + ")",
                       "make one `match` more specific");
  if (best)
    return best;

  std::vector<std::string> names;
  if (const json::Value *value = config.find("architectures"); value && value->isArray())
    for (const json::Value &item : value->array())
      if (item.isString())
        names.push_back(item.string().str());
  if (const json::Value *value = config.find("_class_name"); value && value->isString())
    names.push_back(value->string().str());
  if (names.empty()) {
    const json::Value *type = config.find("model_type");
    std::string shown = type && type->isString() ? " (model_type '" + escape::terminal(type->string(), 80) + "')" : "";
    return diags.error(where, "names no architecture" + shown + ", and no recipe fits its other keys",
                       "add \"architectures\": [\"…\"] to the config; `flagrelease list models` shows what is known");
  }
  return diags.error(where + ": architectures",
                     "unknown architecture '" + escape::terminal(names.front(), 120) + "'" +
                         nearestNote(names.front(), architectures()),
                     "`flagrelease list models` shows what is known; a recipe of your own is read with --recipes");
}

FailureOr<yaml::Node> RecipeSet::loadNode(StringRef name, const Place &from, std::vector<RecipeText> &texts,
                                          Diagnostics &diags) const {
  const RecipeHead *head = find(name);
  if (!head) {
    std::vector<std::string> names;
    for (const RecipeHead &each : all)
      names.push_back(each.name);
    return diags.error(from.file ? from.str() : "recipes",
                       "no model recipe '" + escape::terminal(name, 80) + "'" + nearestNote(name, names));
  }
  FailureOr<std::string> text = readTextFile(head->file, yaml::Limits().maxBytes, diags);
  if (failed(text))
    return failure();
  FailureOr<yaml::Node> root = yaml::parse(*text, head->file, diags);
  texts.push_back({head->file, head->shipped, std::move(*text)});
  return root;
}

FailureOr<ModelRecipe> RecipeSet::read(StringRef name, Diagnostics &diags) const {
  std::vector<RecipeText> texts;
  FailureOr<yaml::Node> root = loadNode(name, Place(), texts, diags);
  if (failed(root))
    return failure();
  FailureOr<ModelRecipe> recipe = readModelRecipe(
      name, *root, grammar, [&](StringRef like, const Place &from, Diagnostics &d) { return loadNode(like, from, texts, d); },
      diags);
  if (failed(recipe))
    return failure();
  StringRef first = StringRef(texts.front().bytes).split('\n').first;
  if (first.consume_front("#"))
    recipe->title = first.trim().str();
  for (const RecipeText &each : texts)
    recipe->files.push_back(each.path);
  recipe->texts = std::move(texts);
  return recipe;
}

//===-- class defaults and inert keys
//----------------------------------------------------------------------------------------===//

/// The file in the user's folder if it is there, else in the shipped one.
static std::string fileOf(StringRef dir, StringRef extra, StringRef name) {
  std::string own = modelsOf(extra) + "/" + name.str();
  return !extra.empty() && llvm::sys::fs::exists(own) ? own : modelsOf(dir) + "/" + name.str();
}

FailureOr<const ClassDefaults *> RecipeSet::defaultsOf(StringRef className, const Place &from, Diagnostics &diags) const {
  if (auto found = classes.find(className); found != classes.end())
    return &found->second;
  if (!defaultsFile) {
    FailureOr<json::Value> root = json::parseFile(fileOf(dir, extra, "_defaults.json"), diags);
    if (failed(root))
      return failure();
    defaultsFile = std::make_shared<const json::Value>(std::move(*root));
  }
  const json::Value *entry = defaultsFile->find(className);
  if (!entry || !entry->isObject()) {
    std::vector<std::string> names;
    if (defaultsFile->isObject())
      for (const json::Member &member : defaultsFile->object())
        names.push_back(member.key);
    return diags.error(from.str(),
                       "_defaults.json has no class '" + escape::terminal(className, 120) + "'" + nearestNote(className, names),
                       "run tools/gen_defaults.py");
  }
  ClassDefaults out;
  if (const json::Value *values = entry->find("defaults"); values && values->isObject())
    out.values = values->object();
  if (const json::Value *theta = entry->find("default_theta"))
    out.defaultTheta = theta->asNumber();
  if (const json::Value *map = entry->find("attribute_map"); map && map->isObject())
    for (const json::Member &member : map->object())
      if (member.value.isString())
        out.attributeMap.push_back({member.key, member.value.string().str()});
  return &classes.emplace(className.str(), std::move(out)).first->second;
}

FailureOr<const InertKeys *> RecipeSet::inert(Diagnostics &diags) const {
  if (inertKeys)
    return inertKeys.get();
  FailureOr<yaml::Node> root = yaml::parseFile(fileOf(dir, extra, "_inert.yaml"), diags);
  if (failed(root))
    return failure();
  auto out = std::make_shared<InertKeys>();
  for (const yaml::Entry &group : root->entries) {
    if (group.key == "recipe")
      continue;
    const yaml::Node *reason = group.value.find("reason"), *keys = group.value.find("keys");
    if (!reason || !reason->isScalar() || !keys || !keys->isSequence())
      return diags.error(group.place.str(), "a group of inert keys is {reason: text, keys: [key, …]}");
    InertKeys::Group one;
    one.reason = reason->text;
    for (const yaml::Node &key : keys->items)
      (StringRef(key.text).contains('*') ? one.patterns : one.keys).push_back(key.text);
    out->groups.push_back(std::move(one));
  }
  inertKeys = std::move(out);
  return inertKeys.get();
}

StringRef InertKeys::reason(StringRef key) const {
  for (const Group &group : groups) {
    if (llvm::is_contained(group.keys, key))
      return group.reason;
    for (const std::string &pattern : group.patterns) {
      auto glob = llvm::GlobPattern::create(pattern);
      if (!glob)
        llvm::consumeError(glob.takeError());
      else if (glob->match(key))
        return group.reason;
    }
  }
  return "";
}
