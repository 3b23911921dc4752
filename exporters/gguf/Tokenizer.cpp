#include "exporters/gguf/Tokenizer.h"

#include "text/Escape.h"
#include "text/TextFile.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FileSystem.h"

using namespace flagrelease;
using json::Value;

namespace {
constexpr size_t kMaxFile = size_t(64) << 20;
constexpr int64_t kMaxTokens = 4'000'000;

/// A name in tokenizer_config.json ("bos_token") and the key of its id in a file.
constexpr struct {
  StringRef name, key;
} kSpecials[] = {{"bos", "bos_token_id"},       {"eos", "eos_token_id"},     {"unk", "unknown_token_id"},
                 {"sep", "seperator_token_id"}, {"pad", "padding_token_id"}, {"cls", "cls_token_id"},
                 {"mask", "mask_token_id"},     {"eot", "eot_token_id"},     {"eom", "eom_token_id"}};

/// "text", or {"content": "text", …}; nothing for null.
std::optional<StringRef> contentOf(const Value *value) {
  if (value && value->isObject())
    value = value->find("content");
  return value ? value->asString() : std::nullopt;
}

FailureOr<Value> readJson(const std::string &path, Diagnostics &diags) {
  if (!llvm::sys::fs::exists(path))
    return Value();
  json::Limits limits;
  limits.maxBytes = kMaxFile;
  return json::parseFile(path, diags, limits);
}

/// Which special tokens the tokenizer puts around a text: from the template of tokenizer.json, and tokenizer_config.json above
/// it.
void readFrame(const TokenizerFiles &files, GgufVocabulary &out) {
  auto textOf = [&](StringRef name) -> StringRef {
    auto id = out.ids.find(name.str());
    return id == out.ids.end() ? StringRef() : StringRef(out.tokens[id->second]);
  };
  auto special = [](const Value &item) -> std::optional<StringRef> {
    const Value *token = item.find("SpecialToken");
    const Value *id = token ? token->find("id") : nullptr;
    return id ? id->asString() : std::nullopt;
  };
  auto look = [&](const Value &processor) {
    const Value *type = processor.find("type"), *single = processor.find("single");
    if (!type || type->asString() != StringRef("TemplateProcessing") || !single || !single->isArray() || single->array().empty())
      return;
    std::optional<StringRef> first = special(single->array().front()), last = special(single->array().back());
    out.addBos = first && *first == textOf("bos");
    out.addEos = last && *last == textOf("eos") && single->array().size() > 1;
  };
  if (const Value *post = files.tokenizer.find("post_processor")) {
    look(*post);
    if (const Value *list = post->find("processors"); list && list->isArray())
      for (const Value &processor : list->array())
        look(processor);
  }
  if (const Value *given = files.config.find("add_bos_token"); given && given->isBool())
    out.addBos = given->boolean();
  if (const Value *given = files.config.find("add_eos_token"); given && given->isBool())
    out.addEos = given->boolean();
}

LogicalResult readSpecials(const TokenizerFiles &files, const json::Object *config, GgufVocabulary &out, Diagnostics &diags) {
  llvm::StringMap<int64_t> ids;
  for (auto [i, token] : llvm::enumerate(out.tokens))
    ids.try_emplace(token, static_cast<int64_t>(i));
  for (const auto &special : kSpecials) {
    std::string key = (special.name + "_token").str();
    std::optional<StringRef> text = contentOf(files.config.find(key));
    if (!text)
      text = contentOf(files.specialMap.find(key));
    if (text) {
      auto found = ids.find(*text);
      if (found == ids.end())
        return diags.error("tokenizer_config.json: " + key,
                           "is '" + escape::terminal(*text, 80) + "', which the vocabulary does not have",
                           "restore the tokenizer's files from one revision");
      out.ids[special.name.str()] = found->second;
      continue;
    }
    const Value *id = config ? config->find(key + "_id") : nullptr;
    if (id && id->isArray() && !id->array().empty())
      id = &id->array().front();
    if (id && id->isInt() && id->integer() >= 0 && id->integer() < static_cast<int64_t>(out.tokens.size()))
      out.ids.try_emplace(special.name.str(), id->integer());
  }
  return success();
}

LogicalResult addTemplates(const std::string &folder, const TokenizerFiles &files, GgufKeyValues &out, Diagnostics &diags) {
  std::string path = folder + "/chat_template.jinja";
  if (llvm::sys::fs::exists(path)) {
    FailureOr<std::string> text = readTextFile(path, size_t(4) << 20, diags);
    if (failed(text))
      return failure();
    out.add("tokenizer.chat_template", GgufValue::text(std::move(*text)));
    return success();
  }
  const Value *given = files.config.find("chat_template");
  if (!given || given->isNull())
    return success();
  if (given->isString()) {
    out.add("tokenizer.chat_template", GgufValue::text(given->string().str()));
    return success();
  }
  std::vector<std::string> names;
  for (const Value &item : given->isArray() ? given->array() : json::Array()) {
    const Value *name = item.find("name"), *text = item.find("template");
    if (!name || !name->isString() || !text || !text->isString())
      return diags.error("tokenizer_config.json: chat_template", "has an entry that is not {name, template}",
                         "restore the tokenizer's files");
    bool standard = name->string() == "default";
    std::string key = standard ? "tokenizer.chat_template" : "tokenizer.chat_template." + name->string().str();
    if (out.find(key))
      return diags.error("tokenizer_config.json: chat_template",
                         "has two templates '" + escape::terminal(name->string(), 80) + "'", "restore the tokenizer's files");
    out.add(key, GgufValue::text(text->string().str()));
    if (!standard)
      names.push_back(name->string().str());
  }
  if (!names.empty())
    out.add("tokenizer.chat_templates", GgufValue::texts(std::move(names)));
  return success();
}

/// Fills up to `rows`, and refuses what the engine refuses: an id past the embedding, a token that is there twice.
LogicalResult pad(GgufVocabulary &out, int64_t rows, Diagnostics &diags) {
  if (static_cast<int64_t>(out.tokens.size()) > rows)
    return diags.error("tokenizer",
                       "has ids up to " + Twine(out.tokens.size() - 1) + ", but the embedding has " + Twine(rows) + " rows",
                       "the tokenizer is of another model: restore its files");
  while (static_cast<int64_t>(out.tokens.size()) < rows) {
    out.tokens.emplace_back();
    out.types.push_back(GgufTokenType::Unused);
    if (!out.scores.empty())
      out.scores.push_back(-10000.0f);
  }
  llvm::StringMap<size_t> seen;
  for (auto [i, token] : llvm::enumerate(out.tokens)) {
    if (out.types[i] == GgufTokenType::Unused && token.empty())
      token = "[PAD" + std::to_string(i) + "]";
    auto [it, fresh] = seen.try_emplace(token, i);
    if (!fresh)
      return diags.error("tokenizer",
                         "the token '" + escape::terminal(token, 80) + "' has the ids " + Twine(it->second) + " and " + Twine(i),
                         "GGUF needs a text for each id");
  }
  return success();
}
} // namespace

FailureOr<TokenizerFiles> TokenizerFiles::read(const std::string &folder, Diagnostics &diags) {
  TokenizerFiles files;
  const std::pair<Value *, StringRef> wanted[] = {{&files.tokenizer, "tokenizer.json"},
                                                  {&files.config, "tokenizer_config.json"},
                                                  {&files.specialMap, "special_tokens_map.json"},
                                                  {&files.addedTokens, "added_tokens.json"}};
  for (auto [value, name] : wanted) {
    FailureOr<Value> read = readJson((folder + "/" + name).str(), diags);
    if (failed(read))
      return failure();
    if (!read->isNull() && !read->isObject())
      return diags.error(name, "is a " + read->kindName() + ", not a mapping", "restore the tokenizer's files");
    *value = std::move(*read);
  }
  return files;
}

LogicalResult flagrelease::addAddedTokens(const TokenizerFiles &files, GgufVocabulary &out, Diagnostics &diags) {
  auto add = [&](int64_t id, StringRef text, bool special, bool normalized) -> LogicalResult {
    if (id < 0 || id >= kMaxTokens)
      return diags.error("tokenizer", "the added token '" + escape::terminal(text, 80) + "' has the id " + Twine(id), "");
    size_t at = static_cast<size_t>(id);
    while (out.tokens.size() <= at) {
      out.tokens.emplace_back();
      out.types.push_back(GgufTokenType::Unused);
      if (!out.scores.empty())
        out.scores.push_back(-1000.0f);
    }
    if (out.types[at] == GgufTokenType::Unknown || out.types[at] == GgufTokenType::Byte)
      return success(); // the vocabulary says what it is
    out.tokens[at] = text.str();
    out.types[at] = special ? GgufTokenType::Control : GgufTokenType::UserDefined;
    return success();
  };
  auto flag = [](const Value &item, StringRef key) {
    const Value *value = item.find(key);
    return value && value->isBool() && value->boolean();
  };
  if (files.addedTokens.isObject())
    for (const json::Member &member : files.addedTokens.object())
      if (!member.value.isInt() || failed(add(member.value.integer(), member.key, false, false)))
        return diags.error("added_tokens.json", "'" + escape::terminal(member.key, 80) + "' has no id",
                           "restore the tokenizer's files");
  if (const Value *decoder = files.config.find("added_tokens_decoder"); decoder && decoder->isObject())
    for (const json::Member &member : decoder->object()) {
      int64_t id = 0;
      std::optional<StringRef> text = contentOf(&member.value);
      if (StringRef(member.key).getAsInteger(10, id) || !text)
        return diags.error("tokenizer_config.json: added_tokens_decoder." + escape::terminal(member.key, 40),
                           "is not {content} under an id", "restore the tokenizer's files");
      if (failed(add(id, *text, flag(member.value, "special"), flag(member.value, "normalized"))))
        return failure();
    }
  std::vector<std::string> stripped;
  if (const Value *list = files.tokenizer.find("added_tokens"); list && list->isArray())
    for (const Value &item : list->array()) {
      const Value *id = item.find("id");
      std::optional<StringRef> text = contentOf(&item);
      if (!id || !id->isInt() || !text)
        return diags.error("tokenizer.json: added_tokens", "has an entry that is not {id, content}",
                           "restore the tokenizer's files");
      if (failed(add(id->integer(), *text, flag(item, "special"), flag(item, "normalized"))))
        return failure();
      if (flag(item, "lstrip") || flag(item, "rstrip") || flag(item, "single_word"))
        stripped.push_back(text->str());
    }
  if (!stripped.empty())
    diags.note("tokenizer",
               std::to_string(stripped.size()) + " added tokens take spaces around them or stand for whole words only (" +
                   escape::terminal(stripped.front(), 40) + (stripped.size() > 1 ? ", ..." : "") + "); GGUF files cannot say so");
  return success();
}

LogicalResult flagrelease::addTokenizer(const TokenizerRequest &request, GgufKeyValues &out, Diagnostics &diags) {
  FailureOr<TokenizerFiles> files = TokenizerFiles::read(request.folder, diags);
  if (failed(files))
    return failure();
  std::string sentencePiece = request.folder + "/tokenizer.model";
  GgufVocabulary vocabulary;
  if (isByteLevel(files->tokenizer)) {
    if (failed(readByteLevel(*files, *request.table, vocabulary, diags)))
      return failure();
  } else if (llvm::sys::fs::exists(sentencePiece)) {
    FailureOr<std::string> bytes = readTextFile(sentencePiece, kMaxFile, diags);
    if (failed(bytes) || failed(readSentencePiece(*bytes, "tokenizer.model", *files, *request.table, vocabulary, diags)))
      return failure();
  } else if (files->tokenizer.isObject()) {
    if (failed(readPiecesJson(*files, *request.table, vocabulary, diags)))
      return failure();
  } else {
    out.add("tokenizer.ggml.model", GgufValue::text(request.table->absent));
    return success();
  }
  if (failed(addAddedTokens(*files, vocabulary, diags)) || failed(pad(vocabulary, request.rows, diags)) ||
      failed(readSpecials(*files, request.config, vocabulary, diags)))
    return failure();
  readFrame(*files, vocabulary);

  out.add("tokenizer.ggml.model", GgufValue::text(vocabulary.model));
  out.add("tokenizer.ggml.pre", GgufValue::text(vocabulary.pre.empty() ? "default" : vocabulary.pre));
  out.add("tokenizer.ggml.tokens", GgufValue::texts(vocabulary.tokens));
  if (!vocabulary.scores.empty())
    out.add("tokenizer.ggml.scores", GgufValue::f32s(vocabulary.scores));
  std::vector<int32_t> types;
  for (GgufTokenType type : vocabulary.types)
    types.push_back(static_cast<int32_t>(type));
  out.add("tokenizer.ggml.token_type", GgufValue::i32s(types));
  if (!vocabulary.merges.empty())
    out.add("tokenizer.ggml.merges", GgufValue::texts(vocabulary.merges));
  if (!vocabulary.charsmap.empty())
    out.add("tokenizer.ggml.precompiled_charsmap", GgufValue::raw(GgufType::U8, true, vocabulary.charsmap));
  if (vocabulary.removeExtraSpaces)
    out.add("tokenizer.ggml.remove_extra_whitespaces", GgufValue::boolean(*vocabulary.removeExtraSpaces));
  for (const auto &special : kSpecials)
    if (auto id = vocabulary.ids.find(special.name.str()); id != vocabulary.ids.end())
      out.add(("tokenizer.ggml." + special.key).str(), GgufValue::u32(static_cast<uint32_t>(id->second)));
  // Always said: what an engine assumes without these keys differs by the kind of tokenizer.
  out.add("tokenizer.ggml.add_bos_token", GgufValue::boolean(vocabulary.addBos.value_or(false)));
  out.add("tokenizer.ggml.add_eos_token", GgufValue::boolean(vocabulary.addEos.value_or(false)));
  if (vocabulary.addSpacePrefix)
    out.add("tokenizer.ggml.add_space_prefix", GgufValue::boolean(*vocabulary.addSpacePrefix));
  return addTemplates(request.folder, *files, out, diags);
}
