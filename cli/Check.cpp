// Reads recipes and says what is wrong with them.
#include "cli/Knowledge.h"
#include "cli/Verbs.h"
#include "importers/huggingface/GraphBuilder.h"
#include "recipes/Gate.h"
#include "text/Escape.h"

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
  int64_t models = 0, later = 0;
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
        ++later;
        std::set<std::string> parts;
        for (const NotBuilt &part : recipe->notBuilt)
          parts.insert(part.what);
        console.result("models/" + head.name + ": parses; not built yet: " + llvm::join(parts, ", "));
      }
      if (head.name == options.show)
        console.result(recipe->print());
    }
    if (!options.show.empty() && !recipes->find(options.show))
      (void)recipes->read(options.show, diags);
  }
  if (options.show.empty()) {
    FailureOr<TargetRecipes> targets = TargetRecipes::load(folder, options.recipes, diags);
    if (succeeded(targets)) {
      FailureOr<std::vector<std::string>> gates = targets->gateNames(diags);
      if (succeeded(gates)) {
        for (const std::string &name : *gates)
          (void)targets->gate(name, diags);
        if (!diags.hasErrors())
          console.result(Twine(models) + " model recipes (" + Twine(later) + " wait for blocks), " +
                         Twine(targets->chips.all().size()) + " chips, " + Twine(targets->ops.all().size()) +
                         " operator tables, " + Twine(targets->schemes.all().size()) + " schemes, " + Twine(gates->size()) +
                         " gates: no problem");
      }
    }
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
