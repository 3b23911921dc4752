#include "text/Yaml.h"
#include "tests/fuzz/Fuzz.h"

using namespace flagrelease;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Diagnostics diags;
  yaml::Limits limits;
  limits.maxBytes = 64 << 10;
  FailureOr<yaml::Node> node = yaml::parse(fuzz::textOf(data, size), "f.yaml", diags, limits);
  fuzz::requireAnswer(failed(node), diags);
  if (failed(node))
    return 0;
  const std::string text = yaml::toText(*node);
  limits.maxBytes = size_t(16) << 20;
  FailureOr<yaml::Node> again = yaml::parse(text, "again.yaml", diags, limits);
  fuzz::require(succeeded(again) && yaml::toText(*again) == text);
  return 0;
}
