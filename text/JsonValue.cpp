#include "text/Json.h"

#include "llvm/ADT/Hashing.h"

#include <cassert>
#include <cmath>

using namespace flagrelease;
using namespace flagrelease::json;

StringRef json::kindName(Kind kind) {
  switch (kind) {
  case Kind::Null:
    return "null";
  case Kind::Bool:
    return "bool";
  case Kind::Int:
    return "int";
  case Kind::Double:
    return "double";
  case Kind::String:
    return "string";
  case Kind::Array:
    return "list";
  case Kind::Object:
    return "mapping";
  }
  return "";
}

Value::Value(std::string value) : k(Kind::String), shared(std::make_shared<const std::string>(std::move(value))) {}
Value::Value(Array value) : k(Kind::Array), shared(std::make_shared<const Array>(std::move(value))) {}
Value::Value(Object value) : k(Kind::Object), shared(std::make_shared<const Object>(std::move(value))) {}

bool Value::boolean() const {
  assert(isBool());
  return scalar.b;
}
int64_t Value::integer() const {
  assert(isInt());
  return scalar.i;
}
double Value::number() const {
  assert(isNumber());
  return isInt() ? static_cast<double>(scalar.i) : scalar.d;
}
StringRef Value::string() const {
  assert(isString());
  return *static_cast<const std::string *>(shared.get());
}
const Array &Value::array() const {
  assert(isArray());
  return *static_cast<const Array *>(shared.get());
}
const Object &Value::object() const {
  assert(isObject());
  return *static_cast<const Object *>(shared.get());
}

const Value *Value::find(StringRef key) const { return isObject() ? object().find(key) : nullptr; }

bool json::operator==(const Value &a, const Value &b) {
  if (a.k != b.k)
    return false;
  switch (a.k) {
  case Kind::Null:
    return true;
  case Kind::Bool:
    return a.scalar.b == b.scalar.b;
  case Kind::Int:
    return a.scalar.i == b.scalar.i;
  case Kind::Double:
    return a.scalar.d == b.scalar.d || (std::isnan(a.scalar.d) && std::isnan(b.scalar.d));
  case Kind::String:
    return a.string() == b.string();
  case Kind::Array:
    return a.array() == b.array();
  case Kind::Object: {
    if (a.shared == b.shared)
      return true;
    if (a.object().size() != b.object().size())
      return false;
    for (const Member &member : a.object()) {
      const Value *other = b.object().find(member.key);
      if (!other || *other != member.value)
        return false;
    }
    return true;
  }
  }
  return false;
}

/// Up to here a linear search is faster than hashing the key.
static constexpr size_t kLinear = 12;

Object::Object() = default;
Object::Object(std::initializer_list<Member> list) {
  for (const Member &member : list)
    set(member.key, member.value);
}
Object::Object(const Object &) = default;
Object::Object(Object &&) noexcept = default;
Object &Object::operator=(const Object &) = default;
Object &Object::operator=(Object &&) noexcept = default;
Object::~Object() = default;

void Object::hashAll() {
  slots.clear();
  if (members.size() <= kLinear)
    return;
  size_t size = 32;
  while (size < members.size() * 2)
    size *= 2;
  slots.assign(size, 0);
  for (size_t i = 0; i < members.size(); ++i) {
    size_t slot = llvm::hash_value(StringRef(members[i].key)) & (size - 1);
    while (slots[slot] != 0)
      slot = (slot + 1) & (size - 1);
    slots[slot] = static_cast<uint32_t>(i + 1);
  }
}

static constexpr size_t kAbsent = static_cast<size_t>(-1);

size_t Object::indexOf(StringRef key) const {
  if (slots.empty()) {
    for (size_t i = 0; i < members.size(); ++i)
      if (members[i].key == key)
        return i;
    return kAbsent;
  }
  size_t mask = slots.size() - 1;
  for (size_t slot = llvm::hash_value(key) & mask; slots[slot] != 0; slot = (slot + 1) & mask)
    if (members[slots[slot] - 1].key == key)
      return slots[slot] - 1;
  return kAbsent;
}

const Value *Object::find(StringRef key) const {
  size_t i = indexOf(key);
  return i == kAbsent ? nullptr : &members[i].value;
}

void Object::set(StringRef key, Value value) {
  size_t i = indexOf(key);
  if (i == kAbsent)
    append(key.str(), std::move(value));
  else
    members[i].value = std::move(value);
}

void Object::append(std::string key, Value value) {
  members.push_back({std::move(key), std::move(value)});
  if (members.size() <= kLinear)
    return;
  if (members.size() * 2 > slots.size())
    return hashAll();
  size_t mask = slots.size() - 1;
  size_t slot = llvm::hash_value(StringRef(members.back().key)) & mask;
  while (slots[slot] != 0)
    slot = (slot + 1) & mask;
  slots[slot] = static_cast<uint32_t>(members.size());
}

bool Object::erase(StringRef key) {
  size_t i = indexOf(key);
  if (i == kAbsent)
    return false;
  members.erase(members.begin() + static_cast<std::ptrdiff_t>(i));
  hashAll();
  return true;
}
