// Reads recipes and says what is wrong with them.
#include "cli/Knowledge.h"
#include "cli/Verbs.h"
#include "importers/huggingface/GraphBuilder.h"
#include "recipes/Gate.h"
#include "text/Escape.h"
#include "text/Json.h"

#include <filesystem>

using namespace flagrelease;

namespace {
int run(const Options &options, Console &console, Diagnostics &diags) {
  FailureOr<std::string> home = homeFolder(diags);
  if (failed(home))
    return exitCodeOf(diags);
  std::string folder = options.source.empty() ? *home + "/recipes" : options.source;
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    (void)diags.error(escape::terminal(folder), "no such folder", "name a folder laid out as recipes/");
    return exitCodeOf(diags);
  }
  int64_t models = 0;
  json::Array waiting;
  FailureOr<RecipeSet> recipes = RecipeSet::load(folder, options.recipes, importerGrammar(), diags);
  if (succeeded(recipes)) {
    diags.merge(recipes->problems());
    for (const RecipeHead &head : recipes->heads()) {
      if (!options.show.empty() && head.name != options.show)
        continue;
      FailureOr<ModelRecipe> recipe = recipes->read(head.name, diags);
      if (failed(recipe))
        continue;
      ++models;
      if (!recipe->notBuilt.empty()) {
        std::set<std::string> parts;
        json::Array names;
        for (const NotBuilt &part : recipe->notBuilt)
          if (parts.insert(part.what).second)
            names.emplace_back(part.what);
        waiting.push_back(json::Object{{"name", "models/" + head.name}, {"parts", std::move(names)}});
        if (!options.json)
          console.result("models/" + escape::terminal(head.name) +
                         ": parses; not built yet: " + escape::terminal(llvm::join(parts, ", ")));
      }
      if (head.name == options.show && !options.json)
        console.result(recipe->print());
    }
    if (!options.show.empty() && !recipes->find(options.show))
      (void)recipes->read(options.show, diags);
  }
  json::Object counts;
  if (options.show.empty()) {
    FailureOr<TargetRecipes> targets = TargetRecipes::load(folder, options.recipes, diags);
    if (succeeded(targets)) {
      FailureOr<std::vector<std::string>> gates = targets->gateNames(diags);
      if (succeeded(gates)) {
        for (const std::string &name : *gates)
          (void)targets->gate(name, diags);
        counts = json::Object{{"models", models},
                              {"chips", static_cast<int64_t>(targets->chips.all().size())},
                              {"tables", static_cast<int64_t>(targets->ops.all().size())},
                              {"schemes", static_cast<int64_t>(targets->schemes.all().size())},
                              {"gates", static_cast<int64_t>(gates->size())}};
        if (!diags.hasErrors() && !options.json)
          console.result(Twine(models) + " model recipes (" + Twine(waiting.size()) + " wait for blocks), " +
                         Twine(targets->chips.all().size()) + " chips, " + Twine(targets->ops.all().size()) +
                         " operator tables, " + Twine(targets->schemes.all().size()) + " schemes, " + Twine(gates->size()) +
                         " gates: no problem");
      }
    }
  }
  if (options.json) {
    json::Array problems;
    for (const Problem &problem : diags.errors())
      problems.push_back(json::Object{{"where", problem.where}, {"what", problem.what}, {"remedy", problem.remedy}});
    console.result(json::toText(json::Value(json::Object{
        {"folder", folder}, {"counts", std::move(counts)}, {"waiting", std::move(waiting)}, {"problems", std::move(problems)}})));
  }
  return exitCodeOf(diags);
}

void declare(CLI::App &app, Options &options) {
  app.add_option("folder", options.source, "default: the recipes that come with the program")->type_name("DIR");
  app.add_option("--show", options.show, "print one model recipe after like: and patch:")->type_name("NAME");
  declareCommon(app, options);
}
} // namespace

const Verb flagrelease::kCheck = {"check", "read recipes strictly and report every problem", declare, run};
