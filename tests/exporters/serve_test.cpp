// How an artefact is started: the words of the recipe with their placeholders replaced, in a script that a shell reads as meant.
#include "exporters/Serve.h"

#include <catch2/catch.hpp>

using namespace flagrelease;

namespace {
std::string textOf(const std::vector<ServeFile> &files, llvm::StringRef path) {
  for (const ServeFile &file : files)
    if (file.path == path)
      return file.content;
  return "";
}
} // namespace

TEST_CASE("serve: script, container file and arguments", "[serve]") {
  ChipRecipe chip;
  chip.name = "acme-1";
  Toolchain toolchain;
  toolchain.format = "hf";
  toolchain.engine = "engine";
  ServeRequest request{chip, toolchain, "a model's\nname", "causal_lm", "bf16", "", "bfloat16", 512};
  CHECK(serveFiles(request).empty());

  toolchain.visibleEnv = "ACME_DEVICES";
  toolchain.serve.argv = {"engine", "serve", "{model}", "--name", "{name}", "--dtype={dtype}", "--len", "{context}", "a b'c"};
  std::vector<ServeFile> files = serveFiles(request);
  REQUIRE(files.size() == 2);
  std::string script = textOf(files, "serve/serve.sh");
  CHECK(script == "#!/bin/sh\n"
                  "# Starts a model's\\nname (task causal_lm, scheme bf16) on acme-1 with engine. More arguments are passed on.\n"
                  "# No version of the engine is pinned: no source for one is known.\n"
                  "set -eu\n"
                  "root=$(CDPATH= cd -- \"$(dirname -- \"$0\")/..\" && pwd)\n"
                  "export ACME_DEVICES=\"${ACME_DEVICES:-0}\"\n"
                  "exec engine serve \"$root/model\" --name a-model-s-name --dtype=bfloat16 --len 512 'a b'\\''c' \"$@\"\n");
  CHECK_THAT(textOf(files, "serve/engine.json"), Catch::Contains("\"image\": null") && Catch::Contains("\"model\"") &&
                                                     Catch::Contains("\"a-model-s-name\"") && Catch::Contains("ACME_DEVICES"));

  // A file in the folder, an image, packages.
  request.entry = "model.gguf";
  toolchain.serve.argv = {"engine", "--model={model}"};
  toolchain.serve.image = "registry/engine:v1";
  toolchain.serve.imageArguments = {"--host", "0.0.0.0"};
  toolchain.serve.packages = {"engine[serving]==1.2"};
  files = serveFiles(request);
  REQUIRE(files.size() == 3);
  script = textOf(files, "serve/serve.sh");
  CHECK_THAT(script, Catch::Contains("exec engine --model=\"$root/model\"/model.gguf \"$@\"\n"));
  CHECK_THAT(script, Catch::Contains("# Needs: python3 -m pip install 'engine[serving]==1.2'\n# Image: registry/engine:v1"));
  CHECK_THAT(textOf(files, "serve/Containerfile"), Catch::Contains("FROM registry/engine:v1\nCOPY model /release/model\n"));
  CHECK_THAT(textOf(files, "serve/Containerfile"),
             Catch::EndsWith("ENTRYPOINT [\"sh\",\"/release/serve/serve.sh\",\"--host\",\"0.0.0.0\"]\n"));
  CHECK_THAT(textOf(files, "serve/engine.json"), Catch::Contains("\"--model=model/model.gguf\""));
}
