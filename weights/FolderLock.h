// One run at a time on one output folder.
#pragma once

#include "weights/Files.h"
#include "weights/Work.h"

#include <chrono>
#include <string>

namespace flagrelease {

class FolderLock {
public:
  /// Takes the lock of `path` (made if absent) or fails with Cause::Later naming the holder. The kernel drops the lock with the
  /// process, however it ends. Nothing is written into the file.
  LogicalResult take(const std::string &path, std::chrono::milliseconds wait, const StopFlag *stop, Diagnostics &diags);
  /// Writes this process's id, for the message of the next one.
  void sign() const;

private:
  FileHandle handle;
};

} // namespace flagrelease
