// Schemes (recipes/schemes/*.yaml): how the numbers of a migrated model are stored.
//
// A scheme states the storage of weights and what to do where that storage cannot hold a value. It changes floating-point tensors
// only; integers and booleans stay as they are.
#pragma once

#include "ir/DType.h"
#include "recipes/RecipeFiles.h"
#include "text/Diagnostics.h"

#include <map>
#include <optional>

namespace flagrelease {

/// What happens when a finite value becomes another kind of value by being stored.
enum class OnLoss : uint8_t {
  Refuse, ///< the migration is infeasible: the tensor, the value and the limit are named
  Report, ///< counted and reported per tensor
  Allow,
};
StringRef onLossName(OnLoss rule);

struct Scheme {
  std::string name;
  std::string summary;
  std::optional<DType> dtype;        ///< of stored weights; nothing: as the source stores them
  OnLoss overflow = OnLoss::Refuse;  ///< finite becomes infinite
  OnLoss underflow = OnLoss::Report; ///< not zero becomes zero
  RecipeFile file;

  /// The dtype in which a weight of the source is stored.
  DType storedAs(DType source) const { return dtype && isFloatingPoint(source) ? *dtype : source; }

private:
  static bool isFloatingPoint(DType type) { return type <= DType::F8E8M0; }
};

class Schemes {
public:
  /// Reads every scheme of a folder (recipes/schemes); `extra` as recipeFilesIn has it.
  static FailureOr<Schemes> load(StringRef folder, StringRef extra, Diagnostics &diags);

  const Scheme *find(StringRef name) const;
  /// As find; an unknown name is a problem at `where` that names the nearest.
  FailureOr<const Scheme *> get(StringRef name, StringRef where, Diagnostics &diags) const;
  std::vector<std::string> names() const;
  const std::map<std::string, Scheme> &all() const { return schemes; }

private:
  std::map<std::string, Scheme> schemes;
};

} // namespace flagrelease
