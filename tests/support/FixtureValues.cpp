#include "tests/support/FixtureValues.h"

#include "ir/HostTensor.h"

#include <cassert>

namespace flagrelease::test {
namespace {

uint64_t fnv1a(StringRef text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : text)
    hash = (hash ^ c) * 0x100000001b3;
  return hash;
}

/// Draws the 64 bits of element `k` of the tensor with this seed.
uint64_t draw(uint64_t seed, uint64_t k) {
  uint64_t z = seed + (k + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

template <typename T> void put(std::byte *at, T value) { std::memcpy(at, &value, sizeof value); }

/// Rounds once to a floating-point type of 16 bits or more.
void putFloat(std::byte *at, DType type, double value) {
  switch (type) {
  case DType::F64:
    return put(at, value);
  case DType::F32:
    return put(at, static_cast<float>(value));
  case DType::F16:
    return put(at, f64ToF16(value));
  case DType::BF16:
    return put(at, f64ToBf16(value));
  default:
    assert(false && "not a type of 16 bits or more");
  }
}

bool isWideFloat(DType type) { return isFloat(type) && byteWidth(type) >= 2; }

/// The low bytes of an integer: two's complement is the same for every width.
void putInteger(std::byte *at, DType type, uint64_t value) { std::memcpy(at, &value, byteWidth(type)); }

/// Listed numbers, lists of lists flattened.
void flatten(const json::Value &value, std::vector<const json::Value *> &out) {
  if (!value.isArray()) {
    out.push_back(&value);
    return;
  }
  for (const json::Value &element : value.array())
    flatten(element, out);
}

/// The low bits of the draw. A byte of F8_E4M3 that would be a NaN has its last bit flipped.
uint64_t rawBits(DType type, uint64_t z) { return type == DType::F8E4M3 && (z & 0x7f) == 0x7f ? z ^ 1 : z; }

} // namespace

FailureOr<FixtureTensor> makeTensor(const json::Value &entry, Diagnostics &diags) {
  const json::Value *name = entry.find("name"), *dtype = entry.find("dtype"), *shape = entry.find("shape");
  if (!name || !name->isString() || !dtype || !dtype->isString() || !shape || !shape->isArray())
    return diags.error("tensors.json", "an entry lacks name, dtype or shape");
  FixtureTensor tensor;
  tensor.name = name->string().str();
  std::optional<DType> type = parseDType(dtype->string());
  if (!type)
    return diags.error(tensor.name, "unknown dtype " + dtype->string());
  tensor.type = *type;
  uint64_t count = 1;
  for (const json::Value &size : shape->array()) {
    tensor.shape.push_back(size.integer());
    count *= static_cast<uint64_t>(size.integer());
  }
  const unsigned width = byteWidth(tensor.type);
  tensor.bytes.resize(count * width);
  auto at = [&](uint64_t k) { return tensor.bytes.data() + k * width; };
  const uint64_t seed = fnv1a(tensor.name);

  if (const json::Value *values = entry.find("values")) {
    std::vector<const json::Value *> listed;
    flatten(*values, listed);
    if (listed.size() != count)
      return diags.error(tensor.name, "lists " + Twine(listed.size()) + " values for " + Twine(count) + " elements");
    for (uint64_t k = 0; k < count; ++k)
      if (isWideFloat(tensor.type))
        putFloat(at(k), tensor.type, listed[k]->number());
      else
        putInteger(at(k), tensor.type, static_cast<uint64_t>(listed[k]->integer()));
    return tensor;
  }
  if (const json::Value *low = entry.find("lo")) {
    const uint64_t span = static_cast<uint64_t>(entry.find("hi")->integer() - low->integer()) + 1;
    for (uint64_t k = 0; k < count; ++k)
      putInteger(at(k), tensor.type, static_cast<uint64_t>(low->integer()) + (draw(seed, k) >> 40) % span);
    return tensor;
  }
  if (const json::Value *offset = entry.find("offset")) {
    if (!isWideFloat(tensor.type))
      return diags.error(tensor.name, "offset and scale need a floating-point dtype, not " + dtype->string());
    const double base = offset->number(), scale = entry.find("scale")->number();
    for (uint64_t k = 0; k < count; ++k) {
      const double unit = static_cast<double>(draw(seed, k) >> 40) * 0x1p-24;
      putFloat(at(k), tensor.type, base + scale * (2.0 * unit - 1.0));
    }
    return tensor;
  }
  for (uint64_t k = 0; k < count; ++k)
    putInteger(at(k), tensor.type, rawBits(tensor.type, draw(seed, k)));
  return tensor;
}

void storeAs(FixtureTensor &tensor, DType type) {
  assert(isWideFloat(type));
  if (!isWideFloat(tensor.type))
    return;
  HostTensor stored(tensor.type, tensor.shape);
  stored.bytes = tensor.bytes;
  tensor.type = type;
  tensor.bytes.resize(static_cast<size_t>(stored.elements()) * byteWidth(type));
  for (int64_t k = 0; k < stored.elements(); ++k)
    putFloat(tensor.bytes.data() + static_cast<size_t>(k) * byteWidth(type), type, stored.at(k));
}

} // namespace flagrelease::test
