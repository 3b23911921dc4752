// Byte-level BPE: tokenizer.json as the `tokenizers` library writes it. https://huggingface.co/docs/tokenizers/components
#include "exporters/gguf/Tokenizer.h"

#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"

using namespace flagrelease;
using json::Value;

namespace {
const char *const kWhere = "tokenizer.json";

StringRef typeOf(const Value &value) {
  const Value *type = value.find("type");
  return type && type->isString() ? type->string() : StringRef();
}

bool flag(const Value &value, StringRef key, bool otherwise) {
  const Value *found = value.find(key);
  return found && found->isBool() ? found->boolean() : otherwise;
}

/// The members of a Sequence, or the thing itself; null is nothing.
std::vector<Value> flatten(const Value *value, StringRef members) {
  if (!value || value->isNull())
    return {};
  if (typeOf(*value) != "Sequence")
    return {*value};
  std::vector<Value> out;
  if (const Value *list = value->find(members); list && list->isArray())
    for (const Value &item : list->array())
      for (Value &inner : flatten(&item, members))
        out.push_back(std::move(inner));
  return out;
}

/// A pre-tokenizer as the table has it; its JSON where the table has no word for it.
std::string stepOf(const Value &item) {
  StringRef type = typeOf(item);
  const Value *behavior = item.find("behavior");
  StringRef how = behavior && behavior->isString() ? behavior->string() : StringRef();
  if (type == "ByteLevel" && !flag(item, "add_prefix_space", true))
    return flag(item, "use_regex", true) ? "gpt2" : "bytes";
  if (type == "Digits")
    return flag(item, "individual_digits", false) ? "digits" : "digit_runs";
  if (type == "Punctuation" && how == "Contiguous")
    return "punctuation";
  const Value *pattern = item.find("pattern");
  const Value *regex = pattern ? pattern->find("Regex") : nullptr;
  if (type == "Split" && how == "Isolated" && !flag(item, "invert", false) && regex && regex->isString())
    return "split " + regex->string().str();
  return json::toText(item);
}

/// Two halves of a merge, in either of the two spellings.
bool readMerge(const Value &item, std::string &left, std::string &right) {
  if (item.isString()) {
    auto [a, b] = item.string().split(' ');
    left = a.str(), right = b.str();
    return !a.empty() && !b.empty() && !b.contains(' ');
  }
  if (!item.isArray() || item.array().size() != 2 || !item.array()[0].isString() || !item.array()[1].isString())
    return false;
  left = item.array()[0].string().str(), right = item.array()[1].string().str();
  return !left.empty() && !right.empty();
}
} // namespace

bool flagrelease::isByteLevel(const Value &tokenizer) {
  const Value *model = tokenizer.find("model");
  if (!model || (typeOf(*model) != "BPE" && !(typeOf(*model).empty() && model->find("merges"))) ||
      flag(*model, "byte_fallback", false))
    return false;
  return llvm::any_of(flatten(tokenizer.find("pre_tokenizer"), "pretokenizers"),
                      [](const Value &item) { return typeOf(item) == "ByteLevel"; });
}

LogicalResult flagrelease::readByteLevel(const TokenizerFiles &files, const TokenizerTable &table, GgufVocabulary &out,
                                         Diagnostics &diags) {
  const Value &model = *files.tokenizer.find("model");
  auto bad = [&](StringRef key, const Twine &what, const Twine &remedy = "restore the tokenizer's files") {
    return diags.error(Twine(kWhere) + ": " + key, what, remedy);
  };
  out.model = table.bytes;
  for (StringRef key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const Value *value = model.find(key); value && value->isString() && !value->string().empty())
      return bad(("model." + key).str(), "is '" + escape::terminal(value->string(), 40) + "', and GGUF has no such thing",
                 "migrate to another format");

  std::vector<std::string> steps, shown;
  for (const Value &item : flatten(files.tokenizer.find("pre_tokenizer"), "pretokenizers")) {
    steps.push_back(stepOf(item));
    shown.push_back(json::toText(item));
  }
  std::string normalizer = "none";
  for (const Value &item : flatten(files.tokenizer.find("normalizer"), "normalizers"))
    normalizer = normalizer == "none" ? typeOf(item).str() : normalizer + "+" + typeOf(item).str();
  bool ignoreMerges = flag(model, "ignore_merges", false);
  const PreTokenizerKind *kind =
      findPreTokenizer(table, steps, normalizer, ignoreMerges, flag(files.config, "clean_up_tokenization_spaces", false));
  if (!kind) {
    std::string all;
    for (const std::string &one : shown)
      all += (all.empty() ? "" : ", ") + one;
    return bad("pre_tokenizer",
               "is none that GGUF has a name for: [" + escape::terminal(all, 2000) + "], normalizer " +
                   escape::terminal(normalizer, 80) + ", ignore_merges " + (ignoreMerges ? "true" : "false"),
               "add it to recipes/gguf_pretokenizers.yaml if llama.cpp has it, or migrate to another format");
  }
  out.pre = kind->name;
  if (!kind->limits.empty())
    diags.note("tokenizer.json", "pre-tokenizer " + kind->name + ": " + kind->limits);
  if (normalizer != "none")
    diags.note("tokenizer.json",
               "the normaliser " + normalizer + " is not part of a GGUF file: text that it would change gets other ids");

  const Value *vocabulary = model.find("vocab"), *merges = model.find("merges");
  if (!vocabulary || !vocabulary->isObject() || !merges || !merges->isArray())
    return bad("model", "has no vocab or no merges");
  int64_t highest = -1;
  for (const json::Member &member : vocabulary->object()) {
    if (!member.value.isInt() || member.value.integer() < 0 || member.value.integer() > 10'000'000)
      return bad("model.vocab", "'" + escape::terminal(member.key, 80) + "' has no id");
    highest = std::max(highest, member.value.integer());
  }
  if (highest > 2 * static_cast<int64_t>(vocabulary->object().size()) + 100'000)
    return bad("model.vocab", "has ids up to " + Twine(highest) + " for " + Twine(vocabulary->object().size()) + " tokens");
  out.tokens.resize(static_cast<size_t>(highest + 1));
  out.types.resize(out.tokens.size(), GgufTokenType::Unused);
  for (const json::Member &member : vocabulary->object()) {
    size_t id = static_cast<size_t>(member.value.integer());
    if (out.types[id] != GgufTokenType::Unused)
      return bad("model.vocab", "'" + escape::terminal(member.key, 80) + "' and '" + escape::terminal(out.tokens[id], 80) +
                                    "' have the id " + Twine(id));
    out.tokens[id] = member.key;
    out.types[id] = GgufTokenType::Normal;
  }
  std::string left, right;
  for (const Value &item : merges->array()) {
    if (!readMerge(item, left, right))
      return bad("model.merges", "has an entry that is no pair: " + escape::terminal(json::toText(item), 80));
    if (StringRef(left).contains(' ') || StringRef(right).contains(' '))
      return bad("model.merges", "has a space inside of a token: " + escape::terminal(json::toText(item), 80),
                 "migrate to another format");
    out.merges.push_back(left + " " + right);
  }
  return success();
}
