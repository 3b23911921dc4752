#include "recipes/ModelRecipe.h"

#include "recipes/ModelPatch.h"
#include "recipes/ModelReader.h"
#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/GlobPattern.h"

using namespace flagrelease;

static constexpr unsigned kMaxLike = 4;

//===-- match
//----------------------------------------------------------------------------------------------------------------===//

/// The value of a key, or of a dotted path through nested mappings.
static const json::Value *findKey(const json::Object &config, StringRef key) {
  if (const json::Value *value = config.find(key))
    return value;
  auto [head, rest] = key.split('.');
  const json::Value *inner = rest.empty() ? nullptr : config.find(head);
  return inner && inner->isObject() ? findKey(inner->object(), rest) : nullptr;
}

static bool matchesValue(const json::Value &value, StringRef wanted, bool globs) {
  if (value.isArray())
    return llvm::any_of(value.array(),
                        [&](const json::Value &item) { return !item.isArray() && matchesValue(item, wanted, globs); });
  if (value.isObject() || value.isNull())
    return false;
  std::string text = value.isString() ? value.string().str() : json::toText(value);
  if (!globs || !wanted.contains('*'))
    return wanted == text;
  auto glob = llvm::GlobPattern::create(wanted);
  if (!glob) {
    llvm::consumeError(glob.takeError());
    return false;
  }
  return glob->match(text);
}

bool flagrelease::matches(const MatchEntry &entry, const json::Object &config, bool globs) {
  return llvm::all_of(entry.keys, [&](const auto &key) {
    const json::Value *value = findKey(config, key.first);
    return value && llvm::any_of(key.second, [&](StringRef wanted) { return matchesValue(*value, wanted, globs); });
  });
}

//===-- flattening
//-----------------------------------------------------------------------------------------------------------===//

static LogicalResult checkHead(const yaml::Node &root, Diagnostics &diags) {
  if (!root.isMapping())
    return diags.error(root.place.str(), "a recipe is a mapping, found a " + yaml::kindName(root.kind));
  const yaml::Node *version = root.find("recipe");
  if (!version || root.entries.front().key != "recipe")
    return diags.error(root.place.str(), "a recipe starts with `recipe: 1`");
  if (version->asInt() != 1)
    return diags.error(version->place.str(),
                       "grammar version '" + escape::terminal(version->text, 40) + "'; this program reads 1");
  bool head = true;
  for (const yaml::Entry &entry : root.entries) {
    bool isHead = llvm::is_contained(recipeHeadKeys(), StringRef(entry.key));
    if (isHead && !head)
      return diags.error(entry.place.str(), "`" + entry.key + "` stands behind other sections",
                         "put recipe, like and match first: they are read alone when a recipe is looked for");
    head &= isHead;
  }
  return success();
}

static FailureOr<yaml::Node> flatten(StringRef name, const yaml::Node &root, RecipeLoader load, std::vector<std::string> &chain,
                                     Diagnostics &diags) {
  if (failed(checkHead(root, diags)))
    return failure();
  chain.push_back(name.str());
  yaml::Node flat = root;
  if (const yaml::Node *like = root.find("like")) {
    if (!like->isScalar() || like->isNull())
      return diags.error(like->place.str(), "`like` names one recipe");
    if (llvm::is_contained(chain, like->text)) {
      std::string way;
      for (const std::string &each : chain)
        way += escape::terminal(each, 80) + " -> ";
      return diags.error(like->place.str(), "`like` runs in a circle: " + way + escape::terminal(like->text, 80));
    }
    if (chain.size() > kMaxLike)
      return diags.error(like->place.str(), "`like` chains more than " + Twine(kMaxLike) + " deep",
                         "let this recipe be like '" + escape::terminal(chain[1], 80) + "' less, or write it in full");
    FailureOr<yaml::Node> parent = load(like->text, like->place, diags);
    if (failed(parent))
      return failure();
    FailureOr<yaml::Node> flatParent = flatten(like->text, *parent, load, chain, diags);
    if (failed(flatParent))
      return failure();
    flat = mergeRecipes(root, *flatParent);
  }
  if (const yaml::Node *patch = root.find("patch")) {
    yaml::Node copy = *patch;
    llvm::erase_if(flat.entries, [](const yaml::Entry &e) { return e.key == "patch"; });
    if (failed(applyPatches(flat, copy, diags)))
      return failure();
  }
  return flat;
}

/// The order in which a recipe is written; unknown sections go last, and are refused later.
static void sortSections(yaml::Node &recipe) {
  std::vector<yaml::Entry> sorted;
  for (StringRef section : recipeSections())
    for (const yaml::Entry &entry : recipe.entries)
      if (entry.key == section)
        sorted.push_back(entry);
  for (const yaml::Entry &entry : recipe.entries)
    if (!llvm::is_contained(recipeSections(), StringRef(entry.key)))
      sorted.push_back(entry);
  recipe.entries = std::move(sorted);
}

FailureOr<ModelRecipe> flagrelease::readModelRecipe(StringRef name, const yaml::Node &root, const StepGrammar &grammar,
                                                    RecipeLoader load, Diagnostics &diags) {
  std::vector<std::string> chain;
  FailureOr<yaml::Node> flat = flatten(name, root, load, chain, diags);
  if (failed(flat))
    return failure();
  ModelRecipe recipe;
  recipe.name = name.str();
  recipe.host.kind = yaml::Kind::Mapping;
  recipe.flattened = *flat;
  sortSections(recipe.flattened);
  if (!ModelReader(recipe, grammar, diags).read(recipe.flattened) || !checkModelRecipe(recipe, diags))
    return failure();
  return recipe;
}

//===-- lookups
//--------------------------------------------------------------------------------------------------------------===//

const NamedGraph *ModelRecipe::findGraph(StringRef graphName) const {
  for (const NamedGraph &named : graphs)
    if (named.name == graphName)
      return &named;
  return nullptr;
}

const Task *ModelRecipe::findTask(StringRef taskName) const {
  for (const Task &task : tasks)
    if (task.name == taskName)
      return &task;
  return nullptr;
}

std::string ModelRecipe::print() const {
  std::string out = "# " + (title.empty() ? name : title) + "\n";
  for (const std::string &file : files)
    out += "# from " + escape::terminal(file, 400) + "\n";
  return out + yaml::toText(flattened);
}

namespace {

/// Collects the free names of all expressions that nothing around them binds.
class KeyCollector {
public:
  std::set<std::string> keys;

  void lets(llvm::ArrayRef<Let> bindings) {
    // The own name of a let, in its own expression, means what is further out: leave it unbound while its expression is read.
    for (const Let &let : bindings) {
      for (const Let &other : bindings)
        if (&other != &let)
          bound.push_back(other.name);
      add(let.value);
      bound.resize(bound.size() - (bindings.size() - 1));
    }
    for (const Let &let : bindings)
      bound.push_back(let.name);
  }
  size_t depth() const { return bound.size(); }
  void bind(StringRef name) { bound.push_back(name.str()); }
  void unbind(size_t depth) { bound.resize(depth); }

  void add(const Expr &expr) {
    std::set<std::string> names;
    expr.freeNames(names);
    addNames(names);
  }
  void add(const Template &text) {
    std::set<std::string> names;
    text.freeNames(names);
    addNames(names);
  }
  void add(const Param &param) {
    if (param.expr)
      add(*param.expr);
    if (param.nameTemplate)
      add(*param.nameTemplate);
    for (const Param &inner : param.nested)
      add(inner);
  }
  void add(const StepList &steps) {
    for (const Step &step : steps)
      add(step);
  }
  void add(const Step &step) {
    size_t outer = depth();
    for (const Param &param : step.params)
      add(param);
    for (const Template &name : step.in)
      add(name);
    for (const Template &name : step.out)
      add(name);
    if (!step.index.empty())
      bind(step.index);
    if (step.kind == "call") {
      for (const Let &argument : step.let)
        add(argument.value);
    } else {
      lets(step.let);
    }
    if (step.when)
      add(*step.when);
    if (step.at)
      add(*step.at);
    add(step.body);
    for (const StepList &branch : step.branches)
      add(branch);
    for (const Case &one : step.cases)
      add(one.body);
    unbind(outer);
  }

private:
  void addNames(const std::set<std::string> &names) {
    for (const std::string &name : names)
      if (!llvm::is_contained(bound, StringRef(name).split('.').first))
        keys.insert(name);
  }
  std::vector<std::string> bound;
};

/// Adds the names that calls of a graph give it.
void bindArguments(const StepList &steps, StringRef graph, KeyCollector &into) {
  for (const Step &step : steps) {
    const Param *called = step.kind == "call" ? step.find("graph") : nullptr;
    if (called && called->literal == graph)
      for (const Let &argument : step.let)
        into.bind(argument.name);
    bindArguments(step.body, graph, into);
    for (const StepList &branch : step.branches)
      bindArguments(branch, graph, into);
    for (const Case &one : step.cases)
      bindArguments(one.body, graph, into);
  }
}

} // namespace

std::set<std::string> ModelRecipe::configKeys() const {
  KeyCollector collector;
  collector.lets(let);
  collector.bind("e"); // the number of an expert in a name of tensors
  size_t top = collector.depth();
  collector.add(graph);
  for (const Let &size : sizes)
    collector.add(size.value);
  for (const GraphInput &input : inputs) {
    for (const Template &dim : input.dims)
      collector.add(dim);
    for (const std::optional<Expr> *expr : {&input.when, &input.range, &input.example})
      if (*expr)
        collector.add(**expr);
  }
  for (const NamedGraph &named : graphs) {
    bindArguments(graph, named.name, collector);
    for (const NamedGraph &other : graphs)
      bindArguments(other.body, named.name, collector);
    collector.lets(named.let);
    collector.add(named.body);
    collector.unbind(top);
  }
  for (const Task &task : tasks) {
    for (const TaskOption &option : task.options) {
      if (option.otherwise)
        collector.add(*option.otherwise);
      collector.bind(option.name);
    }
    collector.lets(task.let);
    collector.add(task.body);
    collector.unbind(top);
  }
  for (const LogicalTensor &one : logical) {
    for (const Let &size : one.sizes)
      collector.add(size.value);
    if (one.times)
      collector.add(*one.times);
    collector.add(one.body);
  }
  for (const Ignored &key : inert)
    collector.keys.insert(key.pattern);
  return collector.keys;
}
