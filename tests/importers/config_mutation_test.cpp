// Every key of every fixture's config: another value changes the module, is refused, or the key is inert and says why. What a
// config says must not be ignored silently.
#include "importers/huggingface/Config.h"
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Import.h"
#include "tests/support/Fixture.h"
#include "tests/support/TempFolder.h"

#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/raw_ostream.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {
/// Keys that say what the checkpoint is, not what it computes: read before any recipe.
const llvm::StringLiteral kIdentity[] = {"architectures", "model_type",          "_class_name",       "dtype",
                                         "torch_dtype",   "quantization_config", "compression_config"};

/// Another value of the same kind; nothing for null and for what has no other.
std::optional<json::Value> mutated(const json::Value &value) {
  switch (value.kind()) {
  case json::Kind::Bool:
    return json::Value(!value.boolean());
  case json::Kind::Int:
    return json::Value(value.integer() + 1);
  case json::Kind::Double:
    return json::Value(value.number() * 1.5 + 0.25);
  case json::Kind::String:
    return json::Value(std::string("another"));
  case json::Kind::Array: {
    json::Array list = value.array();
    if (list.empty())
      return std::nullopt;
    std::optional<json::Value> first = mutated(list.front());
    if (!first)
      return std::nullopt;
    list.front() = *first;
    return json::Value(list);
  }
  default:
    return std::nullopt;
  }
}

struct Key {
  std::vector<std::string> path;
  json::Value value;
};
/// Leaves of the top and of the mappings in it.
void collect(const json::Object &mapping, std::vector<std::string> path, std::vector<Key> &keys) {
  for (const json::Member &member : mapping) {
    std::vector<std::string> here = path;
    here.push_back(member.key);
    if (path.empty() && llvm::is_contained(kIdentity, StringRef(member.key)))
      continue;
    if (member.value.isObject())
      collect(member.value.object(), here, keys);
    else if (std::optional<json::Value> other = mutated(member.value))
      keys.push_back({here, *other});
  }
}

json::Object changed(const json::Object &mapping, llvm::ArrayRef<std::string> path, const json::Value &value) {
  json::Object out = mapping;
  if (path.size() == 1)
    out.set(path.front(), value);
  else
    out.set(path.front(), json::Value(changed(out.find(path.front())->object(), path.drop_front(), value)));
  return out;
}

/// What an import makes: the module and what stands beside it; nothing when it is refused.
std::optional<std::string> imported(const Checkpoint &checkpoint, const RecipeSet &recipes, const ImportOptions &options,
                                    std::shared_ptr<const ModelRecipe> *family = nullptr) {
  mlir::MLIRContext context;
  Diagnostics diags;
  FailureOr<Imported> result = importHuggingFace(checkpoint, recipes, options, context, diags);
  if (failed(result))
    return std::nullopt;
  std::string text;
  llvm::raw_string_ostream out(text);
  result->module->print(out);
  out << result->task << result->maxLength << result->lengthDependent;
  for (const auto &[name, tap] : result->hidden)
    out << name << tap;
  for (const TensorTable::Ignored &ignored : result->ignored)
    out << ignored.name;
  if (family)
    *family = result->family;
  return text;
}

std::string joined(llvm::ArrayRef<std::string> path) {
  std::string text;
  for (const std::string &part : path)
    text += (text.empty() ? "" : ".") + part;
  return text;
}
} // namespace

/// tests/importers/keys_without_effect.txt.
struct Known {
  std::string fixture, key;
  bool met = false;
};
std::vector<Known> knownWithoutEffect() {
  std::vector<Known> out;
  std::ifstream file(FLAGRELEASE_SOURCE_DIR "/tests/importers/keys_without_effect.txt");
  for (std::string line; std::getline(file, line);) {
    auto [fixture, rest] = StringRef(line).split(' ');
    auto [key, reason] = rest.split(' ');
    if (!line.empty() && line[0] != '#' && !reason.empty())
      out.push_back({fixture.str(), key.str()});
  }
  return out;
}

TEST_CASE("no key of a config is ignored silently") {
  Diagnostics diags;
  FailureOr<RecipeSet> recipes = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  REQUIRE(succeeded(recipes));
  FailureOr<const InertKeys *> inert = recipes->inert(diags);
  REQUIRE(succeeded(inert));
  const char *only = std::getenv("FLAGRELEASE_FIXTURE"), *part = std::getenv("FLAGRELEASE_PART");
  size_t index = 0, of = 1;
  if (part) {
    auto [i, n] = StringRef(part).split('/');
    REQUIRE((!i.getAsInteger(10, index) && !n.getAsInteger(10, of) && index < of));
  }
  std::vector<Known> known = knownWithoutEffect();
  REQUIRE(known.size() > 10);
  int tried = 0, changes = 0, refused = 0;
  for (auto [number, name] : llvm::enumerate(fixtureNames())) {
    if (only ? name != only : number % of != index)
      continue;
    INFO(name);
    TempFolder folder;
    REQUIRE(succeeded(materialise(fixturePath(name), folder.path, diags)));
    FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
    FailureOr<json::Object> config = readConfig(folder.path, diags);
    REQUIRE((succeeded(golden) && succeeded(config)));
    ImportOptions options;
    if (golden->task == "text-ranking") {
      options.task = "rerank";
      options.taskValues = {{"no_token", 11}, {"yes_token", 12}};
    }
    FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path, diags);
    REQUIRE(succeeded(checkpoint));
    std::shared_ptr<const ModelRecipe> family;
    std::optional<std::string> before = imported(*checkpoint, *recipes, options, &family);
    REQUIRE(before);
    auto isInert = [&](llvm::ArrayRef<std::string> path) {
      const std::string whole = joined(path);
      auto reason = [&](StringRef key) {
        return !(*inert)->reason(key).empty() ||
               llvm::any_of(family->inert, [&](const Ignored &one) { return one.pattern == key; });
      };
      if (reason(whole) || llvm::any_of(path, reason))
        return true;
      for (size_t i = 1; i < path.size(); ++i) // of a member of a member, as the recipe names it
        if (reason(joined(path.drop_front(i))))
          return true;
      return false;
    };
    std::vector<Key> keys;
    collect(*config, {}, keys);
    for (const Key &key : keys) {
      const std::string shown = joined(key.path);
      if (isInert(key.path))
        continue;
      std::ofstream(folder / "config.json") << json::toText(json::Value(changed(*config, key.path, key.value)));
      std::optional<std::string> after = imported(*checkpoint, *recipes, options);
      ++tried;
      refused += !after;
      changes += after && *after != *before;
      bool isKnown = false;
      if (after && *after == *before)
        for (Known &one : known) {
          llvm::Expected<llvm::GlobPattern> glob = llvm::GlobPattern::create(one.fixture);
          REQUIRE(!!glob);
          llvm::Expected<llvm::GlobPattern> keyGlob = llvm::GlobPattern::create(one.key);
          REQUIRE(!!keyGlob);
          if (keyGlob->match(shown) && glob->match(name))
            one.met = isKnown = true;
        }
      if (after && *after == *before && !isKnown)
        FAIL_CHECK(name << ": " << shown << " = " << json::toText(key.value) << " changes nothing");
    }
  }
  if (!only && !part)
    for (const Known &one : known) {
      INFO(one.fixture << " " << one.key << " has an effect: remove the line");
      CHECK(one.met);
    }
  CHECK(tried > 0);
  CHECK(changes > 0);
  CHECK(refused > 0);
}
