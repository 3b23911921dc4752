// All recipes about targets, loaded and checked against each other: chips, operator tables, schemes, and the gates by name.
#pragma once

#include "recipes/ChipRecipe.h"
#include "recipes/Gate.h"
#include "recipes/OpTable.h"
#include "recipes/Scheme.h"
#include "text/Diagnostics.h"

namespace flagrelease {

class TargetRecipes {
public:
  /// Reads `folder`/chips, /ops and /schemes; `extra` (empty, or the folder of --recipes) adds files and replaces those of the
  /// same name. Toolchains must name tables that exist.
  static FailureOr<TargetRecipes> load(StringRef folder, StringRef extra, Diagnostics &diags);

  /// A gate by the name of a file of gates/, or by a path (anything with a `/`, or that ends in `.yaml`).
  FailureOr<Gate> gate(StringRef nameOrPath, Diagnostics &diags) const;
  /// Names of the gates that come with the program and with `extra`.
  FailureOr<std::vector<std::string>> gateNames(Diagnostics &diags) const;

  ChipSet chips;
  OpTables ops;
  Schemes schemes;

private:
  std::string folder, extra;
};

} // namespace flagrelease
