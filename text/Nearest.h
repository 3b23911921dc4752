// "Did you mean": the known names nearest to an unknown one.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace flagrelease {

/// At most `max` candidates by edit distance without case (at most 2, or 40 % of the longer name, and less than all of it),
/// nearest first, equal distances in the order given. A candidate that contains the word, or is contained in it, counts as near.
std::vector<std::string> nearest(llvm::StringRef word, llvm::ArrayRef<llvm::StringRef> candidates, size_t max = 3);
std::vector<std::string> nearest(llvm::StringRef word, llvm::ArrayRef<std::string> candidates, size_t max = 3);

/// ", nearest known: a, b" to append to a message; empty when nothing is near.
std::string nearestNote(llvm::StringRef word, llvm::ArrayRef<llvm::StringRef> candidates, size_t max = 3);
std::string nearestNote(llvm::StringRef word, llvm::ArrayRef<std::string> candidates, size_t max = 3);

/// "a, b, c" or, past `max`, "a, b and 7 more".
std::string listed(llvm::ArrayRef<std::string> names, size_t max = 12);
std::string listed(llvm::ArrayRef<llvm::StringRef> names, size_t max = 12);

} // namespace flagrelease
