// The input is data.pkl of an archive that is otherwise good: mutations need not get past the archive.
#include "tests/fuzz/Fuzz.h"
#include "tests/support/TorchFile.h"
#include "weights/PyTorchFile.h"

using namespace flagrelease;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::vector<std::string> storages = {std::string(24, 1), std::string(48, 2), std::string(12, 3),
                                                    std::string(6, 4)};
  const std::string file = test::torchFile(fuzz::textOf(data, size).str(), storages);
  Diagnostics diags;
  FailureOr<PyTorchHeader> header = readPyTorchHeader(fuzz::sourceOf(file, "f.bin"), diags);
  fuzz::requireAnswer(failed(header), diags);
  if (succeeded(header))
    for (const TensorEntry &entry : header->tensors)
      fuzz::require(!entry.name.empty() && entry.bytes <= 48 && entry.offset <= file.size() - entry.bytes &&
                    entry.bytes == tensorBytes(entry.type, entry.shape));
  return 0;
}
