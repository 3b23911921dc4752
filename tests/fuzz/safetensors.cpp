#include "weights/Safetensors.h"
#include "tests/fuzz/Fuzz.h"

using namespace flagrelease;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Diagnostics diags;
  MemorySource source = fuzz::sourceOf(fuzz::textOf(data, size), "f.safetensors");
  FailureOr<SafetensorsHeader> header = readSafetensorsHeader(source, diags);
  fuzz::requireAnswer(failed(header), diags);
  if (failed(header))
    return 0;
  uint64_t end = header->dataOffset;
  for (const SafetensorsEntry &entry : header->tensors) {
    fuzz::require(entry.offset == end && entry.bytes == tensorBytes(entry.type, entry.shape));
    end += entry.bytes;
  }
  fuzz::require(end == size);
  return 0;
}
