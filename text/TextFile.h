// Reads a small text file, bounded.
#pragma once

#include "text/Diagnostics.h"

#include <string>

namespace flagrelease {

/// The bytes of a regular file of at most `maxBytes`. A missing file, a folder, a pipe or a longer file is a problem at `path`.
FailureOr<std::string> readTextFile(StringRef path, size_t maxBytes, Diagnostics &diags);

} // namespace flagrelease
