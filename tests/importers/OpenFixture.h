// A fixture as a checkpoint that is imported and open on the reference; for the tests of this folder.
#pragma once

#include "devices/reference/ReferenceModel.h"
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Import.h"
#include "tests/support/Fixture.h"

namespace flagrelease::test {

inline std::string problemsOf(const Diagnostics &diags) {
  std::string text;
  for (const Problem &problem : diags.errors())
    text += problem.where + ": " + problem.what + "\n  " + problem.remedy + "\n";
  return text;
}

struct Opened {
  std::unique_ptr<mlir::MLIRContext> context = std::make_unique<mlir::MLIRContext>();
  std::unique_ptr<Checkpoint> checkpoint; // its address stays when this moves
  Imported imported;
  std::unique_ptr<ReferenceModel> model;
};

/// Empty: the checkpoint says it.
inline std::string taskOf(const Golden &golden) { return golden.task == "text-ranking" ? "rerank" : ""; }

inline FailureOr<Opened> openFixture(const std::string &folder, const Golden &golden, ReferencePrecision precision,
                                     Diagnostics &diags) {
  Opened opened;
  FailureOr<RecipeSet> recipes = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder, diags);
  if (failed(recipes) || failed(checkpoint))
    return failure();
  opened.checkpoint = std::make_unique<Checkpoint>(std::move(*checkpoint));
  ImportOptions options;
  options.task = taskOf(golden);
  if (!options.task.empty())
    options.taskValues = {{"no_token", 11}, {"yes_token", 12}};
  FailureOr<Imported> imported = importHuggingFace(*opened.checkpoint, *recipes, options, *opened.context, diags);
  if (failed(imported))
    return failure();
  opened.imported = std::move(*imported);
  FailureOr<std::unique_ptr<ReferenceModel>> model =
      ReferenceModel::open(*opened.imported.module, *opened.checkpoint, precision, diags);
  if (failed(model))
    return failure();
  opened.model = std::move(*model);
  return opened;
}

} // namespace flagrelease::test
