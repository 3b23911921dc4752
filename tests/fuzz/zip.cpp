#include "weights/Zip.h"
#include "tests/fuzz/Fuzz.h"
#include "weights/PyTorchFile.h"

using namespace flagrelease;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  MemorySource source = fuzz::sourceOf(fuzz::textOf(data, size), "f.bin");
  Diagnostics archive, checkpoint;
  FailureOr<ZipDirectory> directory = readZipDirectory(source, archive);
  fuzz::requireAnswer(failed(directory), archive);
  if (succeeded(directory))
    for (const ZipMember &member : directory->members)
      fuzz::require(member.offset <= size && member.stored <= size - member.offset);
  FailureOr<PyTorchHeader> header = readPyTorchHeader(source, checkpoint);
  fuzz::requireAnswer(failed(header), checkpoint);
  if (succeeded(header))
    for (const TensorEntry &entry : header->tensors)
      fuzz::require(entry.offset <= size && entry.bytes <= size - entry.offset &&
                    entry.bytes == tensorBytes(entry.type, entry.shape));
  return 0;
}
