#include "text/Json.h"
#include "tests/fuzz/Fuzz.h"

using namespace flagrelease;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Diagnostics diags;
  FailureOr<json::Value> value = json::parse(fuzz::textOf(data, size), "f.json", diags);
  fuzz::requireAnswer(failed(value), diags);
  if (failed(value))
    return 0;
  // What is written is read back as the same (NaN and infinity are written as null, once).
  const std::string compact = json::toText(*value), pretty = json::toText(*value, json::Writer::Style::Pretty);
  for (const std::string &text : {compact, pretty}) {
    FailureOr<json::Value> again = json::parse(text, "again.json", diags);
    fuzz::require(succeeded(again) && json::toText(*again) == compact);
  }
  return 0;
}
