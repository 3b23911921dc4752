#include "cli/Tokens.h"

#include "text/Escape.h"
#include "text/Json.h"

#include <map>

using namespace flagrelease;

namespace {
/// The code point that stands for each byte: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in order.
std::map<uint32_t, unsigned char> alphabet() {
  std::map<uint32_t, unsigned char> out;
  uint32_t next = 256;
  for (int b = 0; b < 256; ++b) {
    bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
    out[itself ? static_cast<uint32_t>(b) : next++] = static_cast<unsigned char>(b);
  }
  return out;
}
} // namespace

FailureOr<TokenBytes> TokenBytes::read(const std::string &path, Diagnostics &diags) {
  FailureOr<json::Value> root = json::parseFile(path, diags);
  if (failed(root))
    return failure();
  const json::Value *model = root->find("model"), *vocabulary = model ? model->find("vocab") : nullptr;
  const json::Value *decoder = root->find("decoder");
  std::string kind =
      decoder && decoder->find("type") && decoder->find("type")->isString() ? decoder->find("type")->string().str() : "none";
  if (!vocabulary || !vocabulary->isObject() || kind != "ByteLevel")
    return diags.error(path, "its decoder is " + kind + ", not ByteLevel", "ids are shown instead of text");
  TokenBytes tokens;
  std::map<uint32_t, unsigned char> bytesOf = alphabet();
  auto put = [&](int64_t id, std::string text) {
    if (id < 0 || id > (1 << 24))
      return;
    if (static_cast<size_t>(id) >= tokens.bytes.size())
      tokens.bytes.resize(id + 1);
    tokens.bytes[id] = std::move(text);
  };
  for (const json::Member &member : vocabulary->object()) {
    if (!member.value.isInt())
      continue;
    std::string text;
    for (llvm::StringRef rest = member.key; !rest.empty();) {
      uint32_t point = 0;
      unsigned length = escape::decodeUtf8(rest, point);
      auto byte = bytesOf.find(point);
      if (!length || byte == bytesOf.end()) {
        text += rest.take_front(length ? length : 1);
      } else {
        text += static_cast<char>(byte->second);
      }
      rest = rest.drop_front(length ? length : 1);
    }
    put(member.value.integer(), std::move(text));
  }
  if (const json::Value *added = root->find("added_tokens"); added && added->isArray())
    for (const json::Value &token : added->array())
      if (const json::Value *id = token.find("id"), *content = token.find("content");
          id && id->isInt() && content && content->isString())
        put(id->integer(), content->string().str());
  return tokens;
}

std::string TokenBytes::decode(llvm::ArrayRef<int64_t> ids) const {
  std::string text;
  for (int64_t id : ids)
    if (id >= 0 && static_cast<size_t>(id) < bytes.size())
      text += bytes[id];
  return text;
}
