// The recipes about targets together, and the generated page about chips.
#include "recipes/TargetRecipes.h"
#include "tests/recipes/chips_support.h"
#include "text/TextFile.h"

#include <cstdlib>

using namespace flagrelease;
using namespace flagrelease::test;

static const std::string kShipped = FLAGRELEASE_SOURCE_DIR "/recipes";

static FailureOr<TargetRecipes> load(StringRef extra, Diagnostics &diags) { return TargetRecipes::load(kShipped, extra, diags); }

TEST_CASE("all target recipes load together, gates by name and by path") {
  Diagnostics diags;
  FailureOr<TargetRecipes> all = load("", diags);
  INFO(said(diags));
  REQUIRE(succeeded(all));
  CHECK(all->chips.find("x86-64"));
  CHECK(all->ops.find("ort_cpu"));
  CHECK(all->schemes.find("source"));
  CHECK(*all->gateNames(diags) == std::vector<std::string>{"default", "logprobs"});
  FailureOr<Gate> byName = all->gate("default", diags), byPath = all->gate(kShipped + "/gates/default.yaml", diags);
  REQUIRE((succeeded(byName) && succeeded(byPath)));
  CHECK(byName->file.bytes == byPath->file.bytes);
  CHECK(failed(all->gate("defautl", diags)));
  CHECK(said(diags) == "--gate: unknown gate 'defautl', nearest known: default\n");
}

TEST_CASE("problems of chips, tables and schemes come in one run") {
  RecipeFolder mine;
  for (StringRef folder : {"chips", "ops", "schemes"}) {
    REQUIRE(!llvm::sys::fs::create_directory(mine.root + "/" + folder.str()));
    mine.write((folder + "/bad.yaml").str(), "recipe: 3\n");
  }
  Diagnostics diags;
  CHECK(failed(load(mine.root, diags)));
  for (StringRef what : {"a chip lacks", "an operator table lacks", "a scheme lacks"})
    CHECK(StringRef(said(diags)).contains(what));
}

TEST_CASE("docs/chips.md is what the recipes give") {
  Diagnostics diags;
  FailureOr<TargetRecipes> all = load("", diags);
  REQUIRE(succeeded(all));
  const std::string path = FLAGRELEASE_SOURCE_DIR "/docs/chips.md";
  const std::string page =
      "# Chips\n\nGenerated from `recipes/chips/`; `FLAGRELEASE_UPDATE=1 ctest -R chips_test` writes it again.\n\n" +
      chipsMarkdown(all->chips);
  if (std::getenv("FLAGRELEASE_UPDATE")) {
    std::error_code error;
    llvm::raw_fd_ostream(path, error) << page;
    REQUIRE(!error);
  }
  FailureOr<std::string> committed = readTextFile(path, 1 << 20, diags);
  INFO(said(diags));
  REQUIRE(succeeded(committed));
  CHECK(*committed == page);
}
