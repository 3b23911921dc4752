// The other way round: what the bytes of a GGUF header are.
#include "weights/Gguf.h"

#include "llvm/Support/Endian.h"

#include <cassert>
#include <limits>

namespace flagrelease {

namespace {

constexpr std::pair<DType, uint32_t> kPlain[] = {{DType::F32, 0},  {DType::F16, 1},  {DType::I8, 24},  {DType::I16, 25},
                                                 {DType::I32, 26}, {DType::I64, 27}, {DType::F64, 28}, {DType::BF16, 30}};

template <typename T> void put(std::string &out, T value) {
  char bytes[sizeof(T)];
  llvm::support::endian::write<T, llvm::endianness::little>(bytes, value);
  out.append(bytes, sizeof(T));
}

void putText(std::string &out, StringRef text) {
  put<uint64_t>(out, text.size());
  out += text;
}

void putKeyValue(std::string &out, StringRef key, const GgufValue &value) {
  putText(out, key);
  if (value.isList()) {
    put(out, static_cast<uint32_t>(GgufType::Array));
    put(out, static_cast<uint32_t>(value.type()));
    put<uint64_t>(out, value.size());
  } else
    put(out, static_cast<uint32_t>(value.type()));
  if (value.type() == GgufType::String)
    for (const std::string &word : value.strings())
      putText(out, word);
  else
    out += value.bytes();
}

} // namespace

std::vector<int64_t> GgufTensor::storedShape() const {
  std::vector<int64_t> stored = shape;
  if (block)
    stored.back() = stored.back() / blockInfo(*block).elements * blockInfo(*block).bytes;
  return stored;
}

std::optional<uint64_t> ggufTensorBytes(DType type, std::optional<BlockFormat> block, const std::vector<int64_t> &shape) {
  uint64_t bytes = block ? blockInfo(*block).bytes : byteWidth(type);
  assert(!shape.empty() && "GGUF has no scalars");
  for (size_t d = 0; d < shape.size(); ++d) {
    uint64_t size = static_cast<uint64_t>(shape[d]);
    if (shape[d] < 1)
      return std::nullopt;
    if (block && d + 1 == shape.size()) {
      if (size % blockInfo(*block).elements)
        return std::nullopt;
      size /= blockInfo(*block).elements;
    }
    if (__builtin_mul_overflow(bytes, size, &bytes) || bytes > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return std::nullopt;
  }
  return bytes;
}

std::optional<uint32_t> ggmlTypeOf(DType type, std::optional<BlockFormat> block) {
  if (block)
    return blockInfo(*block).ggmlType;
  for (const auto &[plain, number] : kPlain)
    if (plain == type)
      return number;
  return std::nullopt;
}

std::string ggmlTypeName(DType type, std::optional<BlockFormat> block) {
  return block ? StringRef(blockInfo(*block).name).upper() : dtypeName(type).str();
}

std::optional<DType> plainTypeOfGgml(uint32_t type) {
  for (const auto &[plain, number] : kPlain)
    if (number == type)
      return plain;
  return std::nullopt;
}

std::string layOutGguf(const GgufKeyValues &values, std::vector<GgufTensor> &tensors, uint64_t alignment, uint64_t &end) {
  assert(alignment >= 8 && (alignment & (alignment - 1)) == 0 && "a power of two");
  auto up = [&](uint64_t n) { return (n + alignment - 1) / alignment * alignment; };
  bool says = alignment != kGgufAlignment;
  assert(!values.find(kGgufAlignmentKey) && "added here");
  std::string out = "GGUF";
  put<uint32_t>(out, 3);
  put<uint64_t>(out, tensors.size());
  put<uint64_t>(out, values.all().size() + says);
  for (const auto &[key, value] : values.all())
    putKeyValue(out, key, value);
  if (says)
    putKeyValue(out, kGgufAlignmentKey, GgufValue::u32(static_cast<uint32_t>(alignment)));
  uint64_t offset = 0;
  for (GgufTensor &tensor : tensors) {
    std::optional<uint32_t> type = ggmlTypeOf(tensor.type, tensor.block);
    std::optional<uint64_t> bytes = ggufTensorBytes(tensor.type, tensor.block, tensor.shape);
    assert(type && bytes && tensor.name.size() <= kGgufMaxName && tensor.shape.size() <= kGgufMaxRank &&
           "a tensor that GGUF cannot hold");
    tensor.bytes = *bytes;
    putText(out, tensor.name);
    put<uint32_t>(out, static_cast<uint32_t>(tensor.shape.size()));
    for (auto it = tensor.shape.rbegin(); it != tensor.shape.rend(); ++it)
      put<uint64_t>(out, static_cast<uint64_t>(*it));
    put<uint32_t>(out, *type);
    put<uint64_t>(out, offset);
    tensor.offset = offset;
    offset = up(offset + tensor.bytes);
  }
  out.resize(up(out.size()), '\0');
  for (GgufTensor &tensor : tensors)
    tensor.offset += out.size();
  end = out.size() + offset;
  return out;
}

} // namespace flagrelease
