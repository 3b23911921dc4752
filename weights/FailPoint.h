// Places where a test can make a run die, stop or fail: before and after everything that changes the output folder.
//
//   FLAGRELEASE_FAIL_POINT=name[@N][:kill|stop|error]
//
// The N-th time (default 1) that the run comes to `name` it kills itself (SIGKILL, the default), asks itself to stop (SIGTERM),
// or fails as if the disk were full. Always compiled in: without the variable a fail point is one load and one branch.
#pragma once

#include "text/Diagnostics.h"

#include "llvm/ADT/ArrayRef.h"

namespace flagrelease {

/// All names, for tests that go through every one.
llvm::ArrayRef<StringRef> failPointNames();

/// failure() only for `error`.
LogicalResult failPoint(StringRef name, Diagnostics &diags);

} // namespace flagrelease
