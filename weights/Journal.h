// An append-only file of facts, each on a line of its own with a checksum: `<16 hex digits of sha256> <compact JSON>\n`.
//
// A line that was torn by a crash is the last one, and is cut off when the journal is opened to write. A damaged line before the
// last means that somebody else wrote: that is an error. An append is on the disk when it returns.
#pragma once

#include "text/Diagnostics.h"
#include "text/Json.h"
#include "weights/Files.h"

#include <mutex>
#include <string>
#include <vector>

namespace flagrelease {

/// What to do about a damaged line that is not the last one.
enum class OnDamage { Refuse, CutOff };

/// Facts in the order they were written; empty if there is no file.
FailureOr<std::vector<json::Value>> readJournal(const std::string &path, OnDamage onDamage, Diagnostics &diags);

class Journal {
public:
  /// Opens to append after the last whole line; makes the file if it is not there.
  LogicalResult open(const std::string &path, OnDamage onDamage, Diagnostics &diags);
  /// Thread safe.
  LogicalResult append(const json::Value &fact, Diagnostics &diags);

private:
  std::string path;
  FileHandle handle;
  uint64_t end = 0;
  std::mutex mutex;
};

} // namespace flagrelease
