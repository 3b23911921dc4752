// The header of a GGUF file, and what a checkpoint makes of it. What is laid out again from what was read is read as the same.
#include "weights/Gguf.h"
#include "tests/fuzz/Fuzz.h"

#include <set>

using namespace flagrelease;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Diagnostics diags;
  FailureOr<GgufHeader> header = readGgufHeader(fuzz::sourceOf(fuzz::textOf(data, size), "f.gguf"), diags);
  fuzz::requireAnswer(failed(header), diags);
  if (failed(header))
    return 0;
  fuzz::require(header->alignment >= 1 && header->dataOffset % header->alignment == 0 && header->digest.size() == 64);
  std::set<std::string> names;
  uint64_t end = header->dataOffset;
  for (const GgufTensor &tensor : header->tensors) {
    fuzz::require(!tensor.name.empty() && tensor.name.size() <= kGgufMaxName && names.insert(tensor.name).second);
    fuzz::require(!tensor.shape.empty() && tensor.shape.size() <= kGgufMaxRank);
    fuzz::require(tensor.bytes == ggufTensorBytes(tensor.type, tensor.block, tensor.shape));
    fuzz::require(tensor.offset >= end && tensor.offset % header->alignment == 0 && tensor.bytes <= size - tensor.offset);
    end = tensor.offset + tensor.bytes;
  }
  // Written again, at an alignment that a writer may use: keys and tensors are the same.
  if (header->alignment < 8 || header->alignment > 4096)
    return 0;
  std::vector<GgufTensor> tensors = header->tensors;
  GgufKeyValues values; // the alignment is a key that layOutGguf adds itself
  for (const auto &[key, value] : header->values.all())
    if (key != kGgufAlignmentKey)
      values.add(key, value);
  uint64_t bytes = 0;
  std::string head = layOutGguf(values, tensors, header->alignment, bytes);
  fuzz::require(head.size() <= bytes && bytes < head.size() + size + 4096 * (tensors.size() + 1));
  head.resize(bytes);
  Diagnostics again;
  FailureOr<GgufHeader> second = readGgufHeader(fuzz::sourceOf(head, "again.gguf"), again);
  fuzz::require(succeeded(second) && second->tensors.size() == tensors.size());
  for (const auto &[key, value] : values.all())
    fuzz::require(second->values.find(key) && *second->values.find(key) == value);
  for (size_t i = 0; i < tensors.size(); ++i)
    fuzz::require(second->tensors[i].name == tensors[i].name && second->tensors[i].shape == tensors[i].shape &&
                  second->tensors[i].bytes == tensors[i].bytes && second->tensors[i].offset == tensors[i].offset);
  return 0;
}
