#include "weights/FailPoint.h"

#include "llvm/ADT/STLExtras.h"

#include <atomic>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

namespace flagrelease {

namespace {

constexpr StringRef kNames[] = {
    "journal-before-append", "journal-torn-append", "journal-after-append",   "file-after-begin",      "file-during-bytes",
    "file-before-sync",      "file-after-sync",     "file-before-rename",     "file-after-rename",     "file-after-done",
    "stream-tile",           "stream-tensors-done", "manifest-before-rename", "manifest-after-rename", "finish-before",
    "finish-after",          "force-during-remove",
};

enum class Action { Kill, Stop, Error };

struct Wanted {
  std::string name;
  Action action = Action::Kill;
  std::atomic<long> countdown{1};

  Wanted() {
    const char *text = std::getenv("FLAGRELEASE_FAIL_POINT");
    if (!text)
      return;
    auto [point, what] = StringRef(text).split(':');
    auto [stem, count] = point.split('@');
    name = stem.str();
    long n = 1;
    if (!count.empty() && !count.getAsInteger(10, n) && n > 0)
      countdown = n;
    action = what == "stop" ? Action::Stop : what == "error" ? Action::Error : Action::Kill;
  }
};

Wanted &wanted() {
  static Wanted instance;
  return instance;
}

} // namespace

llvm::ArrayRef<StringRef> failPointNames() { return kNames; }

LogicalResult failPoint(StringRef name, Diagnostics &diags) {
  assert(llvm::is_contained(kNames, name) && "not in the table above");
  Wanted &want = wanted();
  if (want.name.empty() || want.name != name || want.countdown.fetch_sub(1) != 1)
    return success();
  switch (want.action) {
  case Action::Kill:
    std::raise(SIGKILL);
    return success();
  case Action::Stop:
    std::raise(SIGTERM);
    return success();
  case Action::Error:
    return diags.error(name, "fails because FLAGRELEASE_FAIL_POINT says so", "unset FLAGRELEASE_FAIL_POINT", Cause::Environment);
  }
  return success();
}

} // namespace flagrelease
