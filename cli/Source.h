// What SRC on a command line means.
#pragma once

#include "cli/Options.h"
#include "text/Diagnostics.h"

namespace flagrelease {

struct Source {
  std::string folder; ///< a local folder, or one weight file
  std::string name;   ///< for reports and manifests: never a path
};

/// A path that exists, or starts with '.' or '/', is local. hf://owner/name and ms://owner/name, and a bare owner/name that is
/// no path, are hub ids, which this version does not fetch.
FailureOr<Source> resolveSource(const Options &options, Diagnostics &diags);

/// True for a folder that a migration wrote (it has a manifest or a journal).
bool isArtefact(const std::string &folder);

} // namespace flagrelease
