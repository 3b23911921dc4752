#include "weights/GgufValue.h"

#include "text/Escape.h"

#include <cassert>
#include <cstring>
#include <limits>

namespace flagrelease {

static constexpr struct {
  GgufType type;
  StringRef name;
  unsigned width;
} kTypes[] = {
    {GgufType::U8, "u8", 1},         {GgufType::I8, "i8", 1},       {GgufType::U16, "u16", 2}, {GgufType::I16, "i16", 2},
    {GgufType::U32, "u32", 4},       {GgufType::I32, "i32", 4},     {GgufType::F32, "f32", 4}, {GgufType::Bool, "bool", 1},
    {GgufType::String, "string", 0}, {GgufType::Array, "array", 0}, {GgufType::U64, "u64", 8}, {GgufType::I64, "i64", 8},
    {GgufType::F64, "f64", 8},
};

StringRef ggufTypeName(GgufType type) { return kTypes[static_cast<uint32_t>(type)].name; }
unsigned ggufTypeWidth(GgufType type) { return kTypes[static_cast<uint32_t>(type)].width; }

std::optional<GgufType> parseGgufType(StringRef name) {
  for (const auto &entry : kTypes)
    if (entry.name == name && entry.type != GgufType::Array)
      return entry.type;
  return std::nullopt;
}

template <typename T> static void append(std::string &out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T)); // little endian machines only, as everywhere in weights/
  out.append(bytes, sizeof(T));
}

template <typename T> static T elementAt(const std::string &data, size_t i) {
  T value;
  std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
  return value;
}

GgufValue GgufValue::f32(float v) {
  std::string bytes;
  append(bytes, v);
  return raw(GgufType::F32, false, std::move(bytes));
}

GgufValue GgufValue::text(std::string v) { return {GgufType::String, false, {}, {std::move(v)}}; }

GgufValue GgufValue::integer(GgufType type, int64_t v) {
  std::string bytes;
  append(bytes, v);
  bytes.resize(ggufTypeWidth(type)); // the low bytes
  return raw(type, false, std::move(bytes));
}

GgufValue GgufValue::texts(std::vector<std::string> v) { return {GgufType::String, true, {}, std::move(v)}; }

GgufValue GgufValue::i32s(const std::vector<int32_t> &v) {
  std::string bytes;
  for (int32_t one : v)
    append(bytes, one);
  return raw(GgufType::I32, true, std::move(bytes));
}

GgufValue GgufValue::f32s(const std::vector<float> &v) {
  std::string bytes;
  for (float one : v)
    append(bytes, one);
  return raw(GgufType::F32, true, std::move(bytes));
}

size_t GgufValue::size() const { return kind == GgufType::String ? words.size() : data.size() / ggufTypeWidth(kind); }

std::optional<int64_t> GgufValue::asInt(size_t i) const {
  assert(i < size() && "past the end");
  switch (kind) {
  case GgufType::U8:
    return elementAt<uint8_t>(data, i);
  case GgufType::I8:
    return elementAt<int8_t>(data, i);
  case GgufType::U16:
    return elementAt<uint16_t>(data, i);
  case GgufType::I16:
    return elementAt<int16_t>(data, i);
  case GgufType::U32:
    return elementAt<uint32_t>(data, i);
  case GgufType::I32:
    return elementAt<int32_t>(data, i);
  case GgufType::I64:
    return elementAt<int64_t>(data, i);
  case GgufType::U64: {
    uint64_t value = elementAt<uint64_t>(data, i);
    return value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ? std::optional<int64_t>(value) : std::nullopt;
  }
  default:
    return std::nullopt;
  }
}

std::optional<double> GgufValue::asNumber(size_t i) const {
  if (kind == GgufType::F32)
    return elementAt<float>(data, i);
  if (kind == GgufType::F64)
    return elementAt<double>(data, i);
  std::optional<int64_t> value = asInt(i);
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

std::optional<bool> GgufValue::asBool(size_t i) const {
  return kind == GgufType::Bool ? std::optional(data[i] != 0) : std::nullopt;
}

std::optional<StringRef> GgufValue::asText(size_t i) const {
  return kind == GgufType::String ? std::optional<StringRef>(words[i]) : std::nullopt;
}

std::string GgufValue::str() const {
  auto one = [&](size_t i) -> std::string {
    if (std::optional<StringRef> word = asText(i))
      return "'" + escape::terminal(*word, 60) + "'";
    if (std::optional<bool> flag = asBool(i))
      return *flag ? "true" : "false";
    if (std::optional<int64_t> number = asInt(i))
      return std::to_string(*number);
    if (kind == GgufType::U64)
      return std::to_string(elementAt<uint64_t>(data, i));
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", *asNumber(i));
    return text;
  };
  if (!list)
    return one(0);
  std::string text = "[";
  for (size_t i = 0; i < size() && i < 4; ++i)
    text += (i ? ", " : "") + one(i);
  return text + (size() > 4 ? ", ...] (" + std::to_string(size()) + ")" : "]");
}

const GgufValue *GgufKeyValues::find(StringRef key) const {
  for (const auto &[name, value] : entries)
    if (name == key)
      return &value;
  return nullptr;
}

void GgufKeyValues::add(StringRef key, GgufValue value) {
  assert(!find(key) && "a key that is there already");
  entries.emplace_back(key.str(), std::move(value));
}

std::optional<int64_t> GgufKeyValues::integer(StringRef key) const {
  const GgufValue *value = find(key);
  return value && !value->isList() ? value->asInt() : std::nullopt;
}

std::optional<StringRef> GgufKeyValues::text(StringRef key) const {
  const GgufValue *value = find(key);
  return value && !value->isList() ? value->asText() : std::nullopt;
}

} // namespace flagrelease
