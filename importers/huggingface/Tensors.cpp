#include "importers/huggingface/Tensors.h"

#include "text/Nearest.h"

#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/Regex.h"

#include <deque>
#include <map>

using namespace flagrelease;

TensorTable::TensorTable(const Checkpoint &checkpoint, const ModelRecipe &recipe, DerivedTensors given)
    : checkpoint(checkpoint), recipe(recipe), derived(std::move(given)) {
  for (const DerivedTensor &tensor : derived.tensors) {
    CheckpointTensor standIn;
    standIn.name = tensor.name;
    standIn.shape = tensor.shape;
    standIns.push_back(std::move(standIn));
  }
  std::vector<llvm::Regex> patterns;
  for (const Rename &rename : recipe.renames)
    patterns.emplace_back(rename.pattern);
  auto add = [&](const CheckpointTensor &tensor) {
    std::string name = tensor.name;
    for (auto [pattern, rename] : llvm::zip(patterns, recipe.renames))
      if (pattern.match(name))
        name = pattern.sub(rename.to, name);
    byLogical.try_emplace(name, &tensor);
  };
  // A derived tensor may have the name of one of its parts, which is not what the graph means.
  for (const CheckpointTensor &tensor : standIns)
    add(tensor);
  for (const CheckpointTensor &tensor : checkpoint.tensors)
    add(tensor);
}

const DerivedTensor *TensorTable::derivedOf(const CheckpointTensor &tensor) const {
  const size_t index = &tensor - standIns.data();
  return !standIns.empty() && &tensor >= standIns.data() && index < standIns.size() ? &derived.tensors[index] : nullptr;
}

std::string TensorTable::paramOf(const CheckpointTensor &tensor) const {
  const DerivedTensor *made = derivedOf(tensor);
  return made ? made->param : tensor.name;
}

void TensorTable::consume(const CheckpointTensor &tensor) {
  if (const DerivedTensor *made = derivedOf(tensor))
    consumed.insert(made->sources.begin(), made->sources.end());
  else
    consumed.insert(tensor.name);
}

const CheckpointTensor *TensorTable::find(StringRef logical) const {
  auto look = [&](const llvm::Twine &name) -> const CheckpointTensor * {
    auto it = byLogical.find(name.str());
    return it == byLogical.end() ? nullptr : it->second;
  };
  if (const CheckpointTensor *tensor = look(logical))
    return tensor;
  for (const std::string &prefix : recipe.prefixes) {
    if (prefix.empty())
      continue;
    StringRef shorter = logical;
    if (shorter.consume_front(prefix))
      if (const CheckpointTensor *tensor = look(shorter))
        return tensor;
    if (const CheckpointTensor *tensor = look(prefix + logical))
      return tensor;
  }
  return nullptr;
}

json::Array TensorTable::names() const {
  std::set<std::string> all;
  for (const auto &entry : byLogical) {
    StringRef name = entry.getKey();
    all.insert(name.str());
    for (const std::string &prefix : recipe.prefixes) {
      StringRef shorter = name;
      all.insert(shorter.consume_front(prefix) ? shorter.str() : prefix + name.str());
    }
  }
  json::Array out;
  for (const std::string &name : all)
    out.emplace_back(name);
  return out;
}

FailureOr<std::vector<TensorTable::Ignored>> TensorTable::account(const Scope &scope, Diagnostics &diags) const {
  std::vector<Ignored> ignored;
  std::vector<std::string> left;
  std::vector<std::pair<llvm::GlobPattern, std::string>> globs;
  std::deque<std::string> patterns; // a glob refers to its text
  for (const flagrelease::Ignored &entry : recipe.ignored) {
    std::string &pattern = patterns.emplace_back(entry.pattern);
    if (entry.name) {
      FailureOr<std::string> text = entry.name->eval(scope, diags);
      if (failed(text))
        return failure();
      pattern = *text;
    }
    llvm::Expected<llvm::GlobPattern> glob = llvm::GlobPattern::create(pattern);
    if (glob)
      globs.emplace_back(std::move(*glob), entry.reason);
    else
      llvm::consumeError(glob.takeError()); // the recipe reader has refused it
  }
  const std::map<std::string, std::string> parts(derived.ignored.begin(), derived.ignored.end());
  for (const CheckpointTensor &tensor : checkpoint.tensors) {
    if (consumed.count(tensor.name))
      continue;
    auto part = parts.find(tensor.name);
    if (part != parts.end()) {
      ignored.push_back({tensor.name, part->second});
      continue;
    }
    auto match = llvm::find_if(globs, [&](const auto &glob) { return glob.first.match(tensor.name); });
    if (match != globs.end())
      ignored.push_back({tensor.name, match->second});
    else
      left.push_back(tensor.name);
  }
  if (!missingNames.empty()) {
    std::vector<std::string> names(missingNames.begin(), missingNames.end());
    std::vector<std::string> all;
    for (const CheckpointTensor &tensor : checkpoint.tensors)
      if (!consumed.count(tensor.name))
        all.push_back(tensor.name);
    (void)diags.error(names.front(),
                      llvm::Twine(names.size()) + (names.size() == 1 ? " tensor is" : " tensors are") +
                          " missing: " + listed(names) + nearestNote(names.front(), llvm::ArrayRef<std::string>(all)),
                      "complete the download, or correct config.json");
  }
  if (!left.empty())
    (void)diags.error(left.front(),
                      llvm::Twine(left.size()) + (left.size() == 1 ? " tensor is" : " tensors are") + " left over: recipe " +
                          recipe.name + " uses none of " + listed(left),
                      "the checkpoint is another kind of model than config.json says, or the recipe must learn these tensors");
  return ignored;
}
