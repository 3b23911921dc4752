// All problems of one kind in one run, without 46,000 lines of the same: the first few of a kind, then how many more.
#pragma once

#include "text/Diagnostics.h"

#include <map>
#include <string>

namespace flagrelease {

class CappedErrors {
public:
  /// `where` stands before the "... more" lines.
  CappedErrors(Diagnostics &diags, std::string where, unsigned limit = 20)
      : diags(diags), summaryWhere(std::move(where)), limit(limit) {}
  ~CappedErrors() { finish(); }
  CappedErrors(const CappedErrors &) = delete;
  CappedErrors &operator=(const CappedErrors &) = delete;

  /// `kind` continues "and 17 more tensors " or the like in the last line: "that overlap".
  void error(const std::string &kind, const Twine &where, const Twine &what, const Twine &remedy, Cause cause = Cause::Input) {
    ++total;
    Count &count = counts[kind];
    count.cause = cause;
    if (++count.seen <= limit)
      (void)diags.error(where, what, remedy, cause);
  }
  bool any() const { return total != 0; }
  void finish() {
    for (auto &[kind, count] : counts)
      if (count.seen > limit)
        (void)diags.error(summaryWhere, "and " + Twine(count.seen - limit) + " more " + kind, "", count.cause);
    counts.clear();
  }

private:
  struct Count {
    size_t seen = 0;
    Cause cause = Cause::Input;
  };
  Diagnostics &diags;
  std::string summaryWhere;
  unsigned limit;
  size_t total = 0;
  std::map<std::string, Count> counts;
};

} // namespace flagrelease
