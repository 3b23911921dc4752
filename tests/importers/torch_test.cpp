// The same weights as safetensors and as torch.save writes them are the same model: module, numbers, artefact.
#include "devices/reference/ReferenceModel.h"
#include "importers/huggingface/GraphBuilder.h"
#include "importers/huggingface/Import.h"
#include "tests/support/Fixture.h"
#include "tests/support/TempFolder.h"

#include "llvm/Support/raw_ostream.h"

#include <catch2/catch.hpp>

using namespace flagrelease;
using namespace flagrelease::test;

namespace {

struct Opened {
  std::unique_ptr<mlir::MLIRContext> context = std::make_unique<mlir::MLIRContext>();
  std::unique_ptr<Checkpoint> checkpoint; // its address stays when this moves
  Imported imported;
  std::string module;
  NamedTensors outputs;
};

Opened runFixture(const std::string &name, const Golden &golden, const MaterialiseOptions &options) {
  Diagnostics diags;
  Opened opened;
  TempFolder folder;
  REQUIRE(succeeded(materialise(fixturePath(name), folder.path, diags, options)));
  FailureOr<RecipeSet> recipes = RecipeSet::load(FLAGRELEASE_SOURCE_DIR "/recipes", "", importerGrammar(), diags);
  FailureOr<Checkpoint> checkpoint = openCheckpoint(folder.path, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(recipes));
  REQUIRE(succeeded(checkpoint));
  opened.checkpoint = std::make_unique<Checkpoint>(std::move(*checkpoint));
  FailureOr<Imported> imported = importHuggingFace(*opened.checkpoint, *recipes, {}, *opened.context, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(imported));
  opened.imported = std::move(*imported);
  llvm::raw_string_ostream stream(opened.module);
  opened.imported.module->print(stream);
  FailureOr<std::unique_ptr<ReferenceModel>> model =
      ReferenceModel::open(*opened.imported.module, *opened.checkpoint, ReferencePrecision::F32, diags);
  REQUIRE(succeeded(model));
  NamedTensors inputs;
  for (const std::string &input : golden.inputs)
    inputs[input] = golden.tensors.at(input);
  FailureOr<NamedTensors> outputs = (*model)->run(inputs, {.taps = false, .keepState = false, .stop = {}}, diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(outputs));
  opened.outputs = std::move(*outputs);
  return opened;
}

} // namespace

TEST_CASE("safetensors and torch.save: one module, the same numbers") {
  for (const char *name : {"llama-llama-7b", "qwen3-qwen3-0.6b"}) {
    Diagnostics diags;
    FailureOr<Golden> golden = readGolden(fixturePath(name), diags);
    REQUIRE(succeeded(golden));
    Opened plain = runFixture(name, *golden, {});
    for (unsigned shards : {1u, 3u}) {
      MaterialiseOptions options;
      options.torch = true;
      options.shards = shards;
      Opened torch = runFixture(name, *golden, options);
      INFO(name << ", " << shards << " shards");
      CHECK(torch.checkpoint->files.size() == shards);
      CHECK(torch.checkpoint->files[0].format == FileFormat::PyTorch);
      // Tensors are declared in the order of the file, which is the same here.
      CHECK(torch.module == plain.module);
      REQUIRE(torch.outputs.count("logits"));
      CHECK(torch.outputs.at("logits").bytes == plain.outputs.at("logits").bytes);
      CHECK(nmse(torch.outputs.at("logits"), golden->tensors.at("logits")) <= golden->tolerance("logits"));
    }
  }
}
