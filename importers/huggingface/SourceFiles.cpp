#include "importers/huggingface/SourceFiles.h"

#include "text/Json.h"

#include "llvm/Support/FileSystem.h"

#include <algorithm>

using namespace flagrelease;

FailureOr<std::optional<int64_t>> flagrelease::tokenId(const std::string &folder, StringRef token, Diagnostics &diags) {
  std::string path = folder + "/tokenizer.json";
  if (!llvm::sys::fs::exists(path))
    return std::optional<int64_t>();
  FailureOr<json::Value> root = json::parseFile(path, diags);
  if (failed(root))
    return failure();
  if (const json::Value *added = root->find("added_tokens"); added && added->isArray())
    for (const json::Value &entry : added->array()) {
      const json::Value *content = entry.find("content"), *id = entry.find("id");
      if (content && content->isString() && content->string() == token && id && id->isInt())
        return std::optional(id->integer());
    }
  const json::Value *model = root->find("model"), *vocabulary = model ? model->find("vocab") : nullptr;
  const json::Value *id = vocabulary && vocabulary->isObject() ? vocabulary->find(token) : nullptr;
  return id && id->isInt() ? std::optional(id->integer()) : std::nullopt;
}

FailureOr<std::optional<std::string>> flagrelease::sentencePooling(const std::string &folder, Diagnostics &diags) {
  std::string path = folder + "/1_Pooling/config.json";
  if (!llvm::sys::fs::exists(path))
    return std::optional<std::string>();
  FailureOr<json::Value> root = json::parseFile(path, diags);
  if (failed(root))
    return failure();
  static constexpr std::pair<StringRef, StringRef> kModes[] = {
      {"pooling_mode_lasttoken", "last_token"}, {"pooling_mode_cls_token", "first_token"}, {"pooling_mode_mean_tokens", "mean"}};
  std::optional<std::string> chosen;
  if (root->isObject())
    for (const json::Member &member : root->object()) {
      if (!StringRef(member.key).starts_with("pooling_mode_") || !member.value.isBool() || !member.value.boolean())
        continue;
      const auto *mode = std::find_if(std::begin(kModes), std::end(kModes), [&](const auto &m) { return m.first == member.key; });
      if (mode == std::end(kModes) || chosen)
        return diags.error("1_Pooling/config.json: " + member.key, "this pooling, or more than one at a time, is not built yet",
                           "known are pooling_mode_lasttoken, pooling_mode_cls_token and pooling_mode_mean_tokens, one of them");
      chosen = mode->second.str();
    }
  return chosen;
}

FailureOr<bool> flagrelease::sameBytes(const Checkpoint &checkpoint, const CheckpointTensor &a, const CheckpointTensor &b,
                                       Diagnostics &diags) {
  if (a.bytes != b.bytes || a.type != b.type)
    return false;
  FailureOr<std::vector<std::shared_ptr<FileSource>>> sources = openSources(checkpoint, diags);
  if (failed(sources))
    return failure();
  constexpr uint64_t kPiece = uint64_t(4) << 20;
  std::vector<std::byte> left(std::min(kPiece, a.bytes)), right(left.size());
  for (uint64_t at = 0; at < a.bytes; at += kPiece) {
    uint64_t count = std::min(kPiece, a.bytes - at);
    llvm::MutableArrayRef<std::byte> l(left.data(), count), r(right.data(), count);
    if (failed((*sources)[a.file]->read(a.offset + at, l, diags)) || failed((*sources)[b.file]->read(b.offset + at, r, diags)))
      return failure();
    if (!std::equal(l.begin(), l.end(), r.begin()))
      return false;
  }
  return true;
}
