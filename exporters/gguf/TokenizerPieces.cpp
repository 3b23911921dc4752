// SentencePiece: pieces with scores, from tokenizer.model or from a tokenizer.json that was made of one.
#include "exporters/gguf/SentencePiece.h"
#include "exporters/gguf/Tokenizer.h"

#include "text/Escape.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

using namespace flagrelease;
using json::Value;

namespace {
constexpr StringRef kSpace = "\xe2\x96\x81"; // U+2581, which stands for a space

StringRef textOf(const Value &value, StringRef key) {
  const Value *found = value.find(key);
  return found && found->isString() ? found->string() : StringRef();
}
bool flag(const Value &value, StringRef key, bool otherwise) {
  const Value *found = value.find(key);
  return found && found->isBool() ? found->boolean() : otherwise;
}

/// "<0x0A>"
bool isByteToken(StringRef text) {
  return text.size() == 6 && text.starts_with("<0x") && text.back() == '>' && llvm::all_of(text.substr(3, 2), llvm::isHexDigit);
}

/// Whether a space is put before a text, as tokenizer.json says it: by its normaliser, or by its pre-tokenizer. Nothing when it
/// says something that this kind of tokenizer has no word for.
std::optional<bool> spacePrefix(const Value &tokenizer) {
  const Value *normalizer = tokenizer.find("normalizer"), *pre = tokenizer.find("pre_tokenizer");
  bool prefix = false;
  if (normalizer && !normalizer->isNull()) {
    json::Array parts = {*normalizer};
    if (textOf(*normalizer, "type") == "Sequence")
      if (const Value *list = normalizer->find("normalizers"); list && list->isArray())
        parts = list->array();
    for (const Value &part : parts) {
      const Value *pattern = part.find("pattern");
      if (textOf(part, "type") == "Prepend" && textOf(part, "prepend") == kSpace)
        prefix = true;
      else if (!(textOf(part, "type") == "Replace" && pattern && textOf(*pattern, "String") == " " &&
                 textOf(part, "content") == kSpace))
        return std::nullopt;
    }
  }
  if (!pre || pre->isNull())
    return prefix;
  if (textOf(*pre, "type") != "Metaspace" || textOf(*pre, "replacement") != kSpace || flag(*pre, "split", true))
    return std::nullopt;
  StringRef scheme = textOf(*pre, "prepend_scheme");
  return prefix || (scheme.empty() ? flag(*pre, "add_prefix_space", true) : scheme != "never");
}

/// A BPE of pieces merges what makes the piece of the best score, whatever its halves. tokenizer.json says the same by rank of
/// pairs: only if every pair of tokens that makes a token is a merge, and the pairs of a token stand together.
LogicalResult scoresOfMerges(const Value &merges, GgufVocabulary &out, Diagnostics &diags) {
  auto differs = [&](const Twine &how) {
    return diags.error(
        "tokenizer.json: model.merges", "are not those of a SentencePiece model: " + how,
        "GGUF holds this kind of tokenizer by the scores of its pieces: put its tokenizer.model beside it, or migrate to "
        "another format");
  };
  llvm::StringMap<size_t> ids;
  for (auto [i, token] : llvm::enumerate(out.tokens))
    ids.try_emplace(token, i);
  llvm::StringMap<char> pairs;
  std::vector<char> scored(out.tokens.size());
  std::string last;
  float rank = 0;
  for (const Value &item : merges.array()) {
    std::string left, right;
    if (item.isString()) {
      auto [a, b] = item.string().split(' ');
      left = a.str(), right = b.str();
    } else if (item.isArray() && item.array().size() == 2 && item.array()[0].isString() && item.array()[1].isString()) {
      left = item.array()[0].string().str(), right = item.array()[1].string().str();
    }
    std::string whole = left + right;
    auto id = ids.find(whole);
    if (left.empty() || right.empty() || id == ids.end())
      return differs("'" + escape::terminal(json::toText(item), 80) + "' makes no token");
    pairs.try_emplace(left + std::string(1, '\0') + right, 0);
    if (whole == last)
      continue;
    if (scored[id->second])
      return differs("'" + escape::terminal(whole, 80) + "' is made at two ranks");
    scored[id->second] = 1;
    out.scores[id->second] = rank;
    rank -= 1;
    last = whole;
  }
  for (auto [i, token] : llvm::enumerate(out.tokens)) {
    if (out.types[i] != GgufTokenType::Normal)
      continue;
    if (!scored[i])
      out.scores[i] = rank;
    for (size_t cut = 1; cut < token.size(); ++cut) {
      if ((token[cut] & 0xc0) == 0x80)
        continue;
      StringRef left = StringRef(token).take_front(cut), right = StringRef(token).drop_front(cut);
      auto a = ids.find(left), b = ids.find(right);
      if (a == ids.end() || b == ids.end() || out.types[a->second] != GgufTokenType::Normal ||
          out.types[b->second] != GgufTokenType::Normal)
        continue;
      if (!pairs.contains((left + std::string(1, '\0') + right).str()))
        return differs("'" + escape::terminal(left, 40) + "' and '" + escape::terminal(right, 40) +
                       "' make a token and are no merge");
    }
  }
  return success();
}
} // namespace

LogicalResult flagrelease::readSentencePiece(StringRef bytes, StringRef path, const TokenizerFiles &files,
                                             const TokenizerTable &table, GgufVocabulary &out, Diagnostics &diags) {
  FailureOr<SentencePieceModel> model = readSentencePieceModel(bytes, path, diags);
  if (failed(model))
    return failure();
  bool unigram = model->kind == SentencePieceModel::Kind::Unigram;
  auto refuse = [&](const Twine &what) { return diags.error(path, what, "migrate to another format"); };
  if (model->kind == SentencePieceModel::Kind::Word || model->kind == SentencePieceModel::Kind::Char)
    return refuse("is a model of words or characters, which GGUF does not have");
  if (!model->escapeSpaces || model->whitespaceAsSuffix)
    return refuse("treats spaces in a way that GGUF does not have");
  if (unigram && model->byteFallback)
    return refuse("is a unigram model with bytes for what it does not know; llama.cpp has no bytes for unigrams");
  if (!unigram && (!model->charsmap.empty() || model->removeExtraSpaces))
    return refuse("normalises text ('" + escape::terminal(model->normalizer, 40) +
                  "'), and llama.cpp does not for this kind of model");
  out.model = unigram ? table.unigrams : table.characters;
  out.charsmap = unigram ? model->charsmap : "";
  if (unigram)
    out.removeExtraSpaces = model->removeExtraSpaces;
  for (const SentencePieceModel::Piece &piece : model->pieces) {
    out.tokens.push_back(piece.text);
    out.scores.push_back(piece.score);
    out.types.push_back(static_cast<GgufTokenType>(piece.type));
  }
  const std::pair<const char *, int64_t> ids[] = {
      {"unk", model->unk}, {"bos", model->bos}, {"eos", model->eos}, {"pad", model->pad}};
  for (auto [name, id] : ids)
    if (id >= 0 && id < static_cast<int64_t>(out.tokens.size()))
      out.ids[name] = id;
  out.addSpacePrefix = model->addDummyPrefix;
  if (const Value *given = files.config.find("add_prefix_space"); given && given->isBool())
    out.addSpacePrefix = given->boolean();
  if (files.tokenizer.isObject()) {
    std::optional<bool> prefix = spacePrefix(files.tokenizer);
    if (prefix)
      out.addSpacePrefix = prefix;
  } else { // what the class of such a file does where nothing else is said
    out.addBos = !unigram;
    out.addEos = unigram;
  }
  return success();
}

LogicalResult flagrelease::readPiecesJson(const TokenizerFiles &files, const TokenizerTable &table, GgufVocabulary &out,
                                          Diagnostics &diags) {
  const char *const kWhere = "tokenizer.json";
  const Value *model = files.tokenizer.find("model");
  StringRef type = model ? textOf(*model, "type") : StringRef();
  const Value *vocabulary = model ? model->find("vocab") : nullptr;
  const Value *merges = model ? model->find("merges") : nullptr;
  if (!model || type != "BPE" || !flag(*model, "byte_fallback", false) || !vocabulary || !vocabulary->isObject() || !merges ||
      !merges->isArray() || flag(*model, "ignore_merges", false))
    return diags.error(kWhere,
                       "is a " + (type.empty() ? StringRef("tokenizer without type") : type) +
                           " tokenizer that is neither byte-level nor made of a SentencePiece model",
                       "put its tokenizer.model beside it, or migrate to another format");
  out.addSpacePrefix = spacePrefix(files.tokenizer);
  if (!out.addSpacePrefix) {
    const Value *normalizer = files.tokenizer.find("normalizer"), *pre = files.tokenizer.find("pre_tokenizer");
    return diags.error(kWhere,
                       "prepares text in a way that GGUF has no name for: normalizer " +
                           escape::terminal(normalizer ? json::toText(*normalizer) : "null", 400) + ", pre_tokenizer " +
                           escape::terminal(pre ? json::toText(*pre) : "null", 400),
                       "put its tokenizer.model beside it, or migrate to another format");
  }
  out.model = table.characters;
  for (const json::Member &member : vocabulary->object()) {
    if (!member.value.isInt() || member.value.integer() < 0 ||
        member.value.integer() > 2 * static_cast<int64_t>(vocabulary->object().size()) + 100'000)
      return diags.error("tokenizer.json: model.vocab",
                         "'" + escape::terminal(member.key, 80) + "' has no id, or one out of range",
                         "restore the tokenizer's files");
    size_t id = static_cast<size_t>(member.value.integer());
    if (id >= out.tokens.size()) {
      out.tokens.resize(id + 1);
      out.types.resize(id + 1, GgufTokenType::Unused);
    }
    out.tokens[id] = member.key;
    out.types[id] = isByteToken(member.key)                     ? GgufTokenType::Byte
                    : member.key == textOf(*model, "unk_token") ? GgufTokenType::Unknown
                                                                : GgufTokenType::Normal;
  }
  out.scores.resize(out.tokens.size());
  if (const Value *added = files.tokenizer.find("added_tokens"); added && added->isArray())
    for (const Value &item : added->array())
      if (const Value *id = item.find("id");
          id && id->isInt() && id->integer() >= 0 && id->integer() < static_cast<int64_t>(out.types.size()))
        if (GgufTokenType &kind = out.types[id->integer()]; kind == GgufTokenType::Normal)
          kind = GgufTokenType::Control; // addAddedTokens says which
  return scoresOfMerges(*merges, out, diags);
}
