// The part of JSON Schema 2020-12 that docs/report.schema.json uses. A keyword it does not know fails the test: nothing is
// skipped.
#pragma once

#include "text/Json.h"

#include <string>
#include <vector>

namespace flagrelease::test {

/// "path: what" for everything that does not fit. `strict`: also keys that the schema does not name (in schemas that name any).
std::vector<std::string> schemaProblems(const json::Value &schema, const json::Value &value, bool strict = true);

} // namespace flagrelease::test
