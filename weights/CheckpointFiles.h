// Which files of a folder are the checkpoint: the rules at the top of weights/Checkpoint.h, from file names alone.
#pragma once

#include "text/Diagnostics.h"

#include <string>
#include <vector>

namespace flagrelease {

struct CheckpointChoice {
  std::string folder;
  std::string index;               ///< file name of the index, or empty
  std::vector<std::string> files;  ///< ordered; empty when there is an index (it names them)
  bool gguf = false;               ///< the files are GGUF
  std::vector<std::string> beside; ///< with an index: .safetensors files in the folder, which it should name
};

FailureOr<CheckpointChoice> chooseCheckpointFiles(const std::string &folderOrFile, Diagnostics &diags);

} // namespace flagrelease
