// What decides the bytes of a migration, as named facts: when two runs agree on all of them they write the same bytes.
#pragma once

#include "text/Json.h"
#include "weights/Checkpoint.h"

#include <map>
#include <string>
#include <vector>

namespace flagrelease {

class Fingerprint {
public:
  /// Names are for people: "--scheme", "recipe qwen3", "tool". Values are short texts or digests.
  void add(StringRef name, StringRef value) { facts[name.str()] = value.str(); }
  /// "source model.safetensors" -> size, header digest, mtime.
  void add(const Checkpoint &checkpoint);

  std::string digest() const;
  /// "--scheme was fp16, is bf16", "recipe qwen3 is new", ...
  std::vector<std::string> differencesFrom(const Fingerprint &old) const;

  json::Value toJson() const;
  static Fingerprint fromJson(const json::Value &value);
  bool operator==(const Fingerprint &) const = default;

private:
  std::map<std::string, std::string> facts;
};

} // namespace flagrelease
