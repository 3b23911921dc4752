#include "importers/huggingface/Nearest.h"

#include "recipes/TensorPatterns.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Regex.h"

#include <algorithm>
#include <tuple>

using namespace flagrelease;

namespace {
/// Patterns of a file, as the recipe names them: renamed, and without the parts that modules have in common.
std::set<std::string> patternsOf(const Checkpoint &checkpoint, const ModelRecipe &recipe) {
  std::vector<llvm::Regex> regexes;
  for (const Rename &rename : recipe.renames)
    regexes.emplace_back(rename.pattern);
  std::set<std::string> patterns, seen;
  for (const CheckpointTensor &tensor : checkpoint.tensors) {
    if (!seen.insert(tensorPattern(tensor.name)).second)
      continue; // one of each kind is enough
    std::string name = tensor.name;
    for (auto [regex, rename] : llvm::zip_equal(regexes, recipe.renames))
      if (regex.match(name))
        name = regex.sub(rename.to, name);
    patterns.insert(tensorPattern(name));
  }
  return patterns;
}

/// Whether a name of the recipe stands for a pattern of the file: itself, or a module with a part behind it, and with a prefix
/// that the recipe allows.
bool standsFor(StringRef named, StringRef stored, const ModelRecipe &recipe) {
  auto same = [&](StringRef own) {
    StringRef rest = stored;
    return rest.consume_front(own) && (rest.empty() || rest == ".weight" || rest == ".bias" || rest.starts_with(".weight_") ||
                                       rest == ".qweight" || rest == ".qzeros" || rest == ".scales" || rest == ".g_idx");
  };
  if (same(named))
    return true;
  for (const std::string &prefix : recipe.prefixes) {
    StringRef shorter = named;
    if (prefix.empty())
      continue;
    if ((shorter.consume_front(prefix) && same(shorter)) || same(prefix + named.str()))
      return true;
  }
  return false;
}
} // namespace

std::vector<NearRecipe> flagrelease::nearestRecipes(const Checkpoint &checkpoint, const json::Object &config,
                                                    const RecipeSet &recipes, size_t count) {
  std::vector<NearRecipe> found;
  Diagnostics ignored;
  FailureOr<const InertKeys *> inert = recipes.inert(ignored);
  for (const RecipeHead &head : recipes.heads()) {
    FailureOr<ModelRecipe> recipe = recipes.read(head.name, ignored);
    if (failed(recipe))
      continue;
    NearRecipe near;
    near.name = head.name;
    const std::set<std::string> named = tensorPatterns(*recipe), stored = patternsOf(checkpoint, *recipe);
    std::set<std::string> met;
    for (const std::string &pattern : stored) {
      auto match = llvm::find_if(named, [&](const std::string &name) { return standsFor(name, pattern, *recipe); });
      if (match == named.end())
        near.unknown.push_back(pattern);
      else
        met.insert(*match), ++near.known;
    }
    near.all = stored.size();
    if (near.known == 0)
      continue;
    for (const std::string &name : named)
      if (!met.count(name))
        near.absent.push_back(name);
    std::set<std::string> keys;
    for (const std::string &key : recipe->configKeys())
      keys.insert(StringRef(key).split('.').first.str());
    for (const json::Member &member : config)
      if (!keys.count(member.key) && !member.value.isNull() && (failed(inert) || (*inert)->reason(member.key).empty()))
        near.unknownKeys.push_back(member.key);
    found.push_back(std::move(near));
  }
  llvm::sort(found, [](const NearRecipe &a, const NearRecipe &b) {
    return std::make_tuple(b.known, a.absent.size(), a.unknownKeys.size(), StringRef(a.name)) <
           std::make_tuple(a.known, b.absent.size(), b.unknownKeys.size(), StringRef(b.name));
  });
  if (found.size() > count)
    found.resize(count);
  return found;
}
