// Sizes in bytes as people write and read them.
#pragma once

#include "text/Diagnostics.h"

#include <cstdint>
#include <string>

namespace flagrelease {

/// "1073741824", "512MiB", "1.5 GiB", "2GB", "64k": K M G T alone and KiB… mean powers of 1024, KB… powers of 1000. Refuses
/// negatives, fractions of a byte, and more than 2^63-1. `where` names the option or key.
FailureOr<uint64_t> parseSize(StringRef text, const Twine &where, Diagnostics &diags);

/// "0 B", "1023 B", "1.5 KiB", "2.0 GiB".
std::string humanBytes(uint64_t bytes);
/// "912", "5.1 M", "7.6 B": how many parameters.
std::string humanCount(uint64_t count);

} // namespace flagrelease
