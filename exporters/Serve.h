// How an artefact is started on its chip: serve/serve.sh, serve/engine.json and, where the recipe has an image, a Containerfile.
// All of it is the chip recipe's `serve:` with its placeholders replaced; the same plan gives the same bytes.
#pragma once

#include "recipes/ChipRecipe.h"

#include <string>
#include <vector>

namespace flagrelease {

struct ServeRequest {
  const ChipRecipe &chip;
  const Toolchain &toolchain;
  std::string model; ///< name of the source; shown, and what clients call the model
  std::string task, scheme;
  std::string entry;   ///< what the engine loads, below model/; empty: the folder
  std::string dtype;   ///< {dtype}: "bfloat16", or "auto" where config.json decides
  int64_t context = 0; ///< {context}: the tokens that were planned with
};

struct ServeFile {
  std::string path; ///< relative to the output folder: "serve/serve.sh"
  std::string content;
};

/// Nothing if the recipe does not say how its engine is started.
std::vector<ServeFile> serveFiles(const ServeRequest &request);

} // namespace flagrelease
