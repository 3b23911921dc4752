#include "text/Nearest.h"

#include "text/Escape.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

#include <algorithm>
#include <tuple>

using namespace flagrelease;
using llvm::ArrayRef;
using llvm::StringRef;

/// Longer words are no typing mistakes, and the distance is quadratic.
static constexpr size_t kMaxWord = 256;

std::vector<std::string> flagrelease::nearest(StringRef word, ArrayRef<StringRef> candidates, size_t max) {
  struct Scored {
    unsigned distance;
    size_t order;
    StringRef name;
  };
  std::vector<Scored> near;
  if (word.empty() || word.size() > kMaxWord)
    return {};
  for (StringRef candidate : candidates) {
    if (candidate.empty() || candidate.size() > kMaxWord)
      continue;
    // Less than the whole word: of two words of one letter, none is near the other.
    size_t longer = std::max(word.size(), candidate.size());
    unsigned limit = std::min<size_t>(std::max<size_t>(2, longer * 2 / 5), longer - 1);
    unsigned distance = word.edit_distance_insensitive(candidate, /*AllowReplacements=*/true, limit);
    bool contains = std::min(word.size(), candidate.size()) >= 3 &&
                    (candidate.contains_insensitive(word) || word.contains_insensitive(candidate));
    if (distance > limit && !contains)
      continue;
    near.push_back({distance, near.size(), candidate});
  }
  llvm::sort(near,
             [](const Scored &a, const Scored &b) { return std::tie(a.distance, a.order) < std::tie(b.distance, b.order); });
  std::vector<std::string> names;
  for (const Scored &scored : near) {
    if (names.size() == max)
      break;
    if (!llvm::is_contained(names, scored.name))
      names.push_back(scored.name.str());
  }
  return names;
}

static std::vector<StringRef> refs(ArrayRef<std::string> names) { return {names.begin(), names.end()}; }

std::vector<std::string> flagrelease::nearest(StringRef word, ArrayRef<std::string> candidates, size_t max) {
  return nearest(word, ArrayRef<StringRef>(refs(candidates)), max);
}

std::string flagrelease::nearestNote(StringRef word, ArrayRef<StringRef> candidates, size_t max) {
  std::vector<std::string> names = nearest(word, candidates, max);
  if (names.empty())
    return {};
  return ", nearest known: " + listed(ArrayRef<std::string>(names), names.size());
}

std::string flagrelease::nearestNote(StringRef word, ArrayRef<std::string> candidates, size_t max) {
  return nearestNote(word, ArrayRef<StringRef>(refs(candidates)), max);
}

std::string flagrelease::listed(ArrayRef<StringRef> names, size_t max) {
  std::string out;
  size_t shown = names.size() > max ? max : names.size();
  for (size_t i = 0; i < shown; ++i) {
    if (i)
      out += ", ";
    out += escape::terminal(names[i], 200);
  }
  if (shown < names.size())
    out += (shown ? " and " : "") + std::to_string(names.size() - shown) + " more";
  return out;
}

std::string flagrelease::listed(ArrayRef<std::string> names, size_t max) { return listed(ArrayRef<StringRef>(refs(names)), max); }
