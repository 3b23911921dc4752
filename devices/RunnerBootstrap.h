// How a runner script gets into a Python that may be on another machine: through its stdin, nothing is installed there.
#pragma once

#include "text/Diagnostics.h"

#include <map>
#include <string>
#include <vector>

namespace flagrelease {

/// The words behind the interpreter. Plain words only: ssh hands them to a shell, docker does not, and both must see the same. So
/// no -c; `-i` makes Python execute stdin line by line instead of waiting for its end.
std::vector<std::string> runnerInterpreterArguments();

/// One line for that interpreter. It holds fr_runner.py and the script, keeps them in an anonymous file, sets `env` and
/// executes the interpreter again, which then reads no more from stdin than frames. The caller sends nothing else before the
/// runner's hello: what came with the line would be lost in the first interpreter's buffer.
FailureOr<std::string> runnerBootstrap(const std::string &helperPath, const std::string &scriptPath,
                                       const std::map<std::string, std::string> &env, Diagnostics &diags);

} // namespace flagrelease
