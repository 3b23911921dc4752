#include "weights/Fingerprint.h"

#include "weights/Digest.h"

namespace flagrelease {

void Fingerprint::add(const Checkpoint &checkpoint) {
  if (!checkpoint.index.empty())
    add("source index", checkpoint.index);
  for (const CheckpointFile &file : checkpoint.files)
    add("source " + file.name,
        std::to_string(file.bytes) + " bytes, header " + file.headerDigest + ", mtime " + std::to_string(file.mtimeNs));
}

std::string Fingerprint::digest() const { return sha256(json::toText(toJson())); }

std::vector<std::string> Fingerprint::differencesFrom(const Fingerprint &old) const {
  std::vector<std::string> lines;
  for (const auto &[name, value] : facts) {
    auto before = old.facts.find(name);
    if (before == old.facts.end())
      lines.push_back(name + " is new (" + value + ")");
    else if (before->second != value)
      lines.push_back(name + " was " + before->second + ", is " + value);
  }
  for (const auto &[name, value] : old.facts)
    if (!facts.count(name))
      lines.push_back(name + " is gone (was " + value + ")");
  return lines;
}

json::Value Fingerprint::toJson() const {
  json::Object object;
  for (const auto &[name, value] : facts)
    object.append(name, value);
  return object;
}

Fingerprint Fingerprint::fromJson(const json::Value &value) {
  Fingerprint result;
  if (value.isObject())
    for (const json::Member &member : value.object())
      if (member.value.isString())
        result.add(member.key, member.value.string());
  return result;
}

} // namespace flagrelease
