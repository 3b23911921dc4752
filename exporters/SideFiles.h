// The small files of a source that go along with the weights: config, tokenizer, chat template, preprocessor, licence.
//
// They are chosen by a list of names, never by what is there: no code, no pickle, nothing executable, no link out of the source.
// Whatever else the source holds is named with the reason why it stays behind. `auto_map` of config files names code, and goes
// with it.
#pragma once

#include "text/Diagnostics.h"
#include "weights/Checkpoint.h"

#include <string>
#include <vector>

namespace flagrelease {

struct SideFile {
  std::string name; ///< relative to the source, '/' between parts
  std::string content;
  bool licence = false;
};

/// Something of the source that the artefact does not hold.
struct LeftOut {
  std::string name;
  std::string reason;
};

struct SideFiles {
  std::vector<SideFile> files;  ///< by name
  std::vector<LeftOut> leftOut; ///< by name; at most 1000, then how many more

  const SideFile *find(StringRef name) const;
  /// sha256 over names and contents.
  std::string digest() const;
};

/// Reads them. Names that start with '.' are not looked at. `folderGiven`: the source is a folder, not a file in one, and all of
/// it is accounted for.
FailureOr<SideFiles> readSideFiles(const Checkpoint &checkpoint, bool folderGiven, Diagnostics &diags);

} // namespace flagrelease
