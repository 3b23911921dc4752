// Changes single values of a JSON text and leaves every other byte as its author wrote it: key order, spacing, number spelling.
#pragma once

#include "text/Json.h"

#include <optional>
#include <string>
#include <vector>

namespace flagrelease::json {

struct Edit {
  std::vector<std::string> path; ///< keys from the outermost object; all but the last must lead to an object that is there
  std::optional<Value> value;    ///< nothing: the member goes away, with its comma
};

/// Applies the edits in order. A key that is absent is appended to its object, indented as the members before it; removing an
/// absent one changes nothing. `text` must be JSON whose top is an object: anything else is an error at `fileName`.
FailureOr<std::string> edited(StringRef text, StringRef fileName, llvm::ArrayRef<Edit> edits, Diagnostics &diags);

} // namespace flagrelease::json
