// Checks on --out before the first byte is written.
#pragma once

#include "text/Diagnostics.h"

#include <cstdint>
#include <string>
#include <vector>

namespace flagrelease {

/// Refuses an output folder that is a source, lies in one, or lies in a cache that a hub client owns (models--*/…,
/// .cache/huggingface, .cache/modelscope, HF_HOME, HF_HUB_CACHE, MODELSCOPE_CACHE); and a source that lies in what the output
/// folder will hold. Links are resolved first; neither needs to exist.
LogicalResult checkOutputPlace(const std::string &out, const std::vector<std::string> &sources, Diagnostics &diags);

/// Fails (Cause::Environment) if the file system that will hold `out` has less than `bytes` free for this user.
LogicalResult checkDiskSpace(const std::string &out, uint64_t bytes, Diagnostics &diags);

/// True for what a migration puts directly into its output folder: model, serve, manifest.json, ...
bool isOutputName(StringRef topLevelName);

} // namespace flagrelease
