// Reads the three files of an operator table and joins them.
#include "recipes/OpTable.h"

#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace flagrelease {

static constexpr std::pair<llvm::StringLiteral, OpVerdict> kLevels[] = {
    {"native", OpVerdict::Native}, {"listed", OpVerdict::Listed}, {"unsupported", OpVerdict::Unsupported}};
static constexpr std::pair<llvm::StringLiteral, OpVocabulary> kVocabularies[] = {
    {"onnx", OpVocabulary::Onnx}, {"aten", OpVocabulary::Aten}, {"ggml", OpVocabulary::Ggml}};
enum class DtypesOf : uint8_t { FirstOperand };
static constexpr std::pair<llvm::StringLiteral, DtypesOf> kDtypesOf[] = {{"first-operand", DtypesOf::FirstOperand}};

constexpr StringRef kCorrections = ".corrections";
constexpr StringRef kExecuted = ".executed";

/// `Name` or `domain:Name`, as ONNX spells identifiers.
static bool isOpKey(StringRef key) {
  auto word = [](StringRef text, bool dots) {
    return !text.empty() && llvm::all_of(text, [&](char c) { return llvm::isAlnum(c) || c == '_' || (dots && c == '.'); });
  };
  auto [domain, op] = key.split(':');
  return op.empty() ? !key.contains(':') && word(key, false) : word(domain, true) && word(op, false);
}

static bool checkKey(const yaml::Entry &entry, Diagnostics &diags) {
  if (isOpKey(entry.key))
    return true;
  (void)diags.error(entry.place.str(), "'" + Twine(entry.key) + "' is no operator: expected Name or domain:Name");
  return false;
}

static void readNames(const yaml::Node *node, StringRef key, const OpTable &table, llvm::StringMap<char> &names,
                      Diagnostics &diags) {
  if (!node)
    return;
  if (!node->isSequence())
    return (void)diags.error(node->place.str(), "'" + Twine(key) + "' must be a list of operators");
  for (const yaml::Node &item : node->items) {
    if (!item.isScalar() || !isOpKey(item.text))
      (void)diags.error(item.place.str(), "'" + Twine(key) + "' holds '" + item.text + "', which is no operator");
    else if (table.ops.count(item.text))
      (void)diags.error(item.place.str(), "'" + Twine(item.text) + "' stands under ops and under " + key);
    else if (!names.try_emplace(item.text).second)
      (void)diags.error(item.place.str(), "'" + Twine(item.text) + "' stands twice under " + key);
  }
}

static void readTable(RecipeFile file, OpTable &table, Diagnostics &diags) {
  Fields fields(file.root, "an operator table", diags);
  readVersion(fields);
  table.name = fields.needText("name");
  if (const yaml::Node *name = fields.get("name"); name && table.name != file.stem)
    fields.error(*name, "'name' is '" + Twine(table.name) + "', the file is " + file.stem + ".yaml",
                 "name and file stem are the same");
  table.toolchain = fields.needText("toolchain");
  fields.need("vocabulary");
  table.vocabulary = fields.choice("vocabulary", kVocabularies).value_or(OpVocabulary::Onnx);
  fields.need("closed");
  table.closed = fields.boolean("closed").value_or(false);
  table.closedBecause = fields.needText("closed_because");
  fields.need("level");
  const OpVerdict level = fields.choice("level", kLevels).value_or(OpVerdict::Listed);
  fields.need("opset");
  table.opset = fields.range("opset").value_or(IntRange());
  (void)fields.choice("dtypes_of", kDtypesOf);
  fields.need("source");
  table.sources = fields.texts("source");
  (void)fields.texts("notes");
  if (const yaml::Node *ops = fields.need("ops"); ops && ops->isMapping()) {
    for (const yaml::Entry &entry : ops->entries) {
      if (!checkKey(entry, diags))
        continue;
      Fields one(entry.value, "an operator", diags);
      OpEntry op;
      one.need("opset");
      op.opset = one.range("opset").value_or(IntRange());
      op.dtypes = one.formats("dtypes");
      op.limits = one.text("limits").value_or("");
      // A name without types is listed, whatever the rest of the table is.
      op.verdict = op.dtypes.empty() ? OpVerdict::Listed : level;
      one.finish();
      table.ops.emplace(entry.key, std::move(op));
    }
  } else if (ops) {
    fields.error(*ops, "'ops' must be a mapping of operators");
  }
  readNames(fields.get("unsupported"), "unsupported", table, table.unsupported, diags);
  readNames(fields.get("not_found"), "not_found", table, table.notFound, diags);
  fields.finish();
  table.files.push_back(std::move(file));
}

/// Head of a side file: `recipe` and the table it belongs to.
static void readSideHead(Fields &fields, StringRef table) {
  readVersion(fields);
  std::string name = fields.needText("table");
  if (const yaml::Node *node = fields.get("table"); node && name != table)
    fields.error(*node, "'table' is '" + Twine(name) + "', the file belongs to " + table);
}

static int readOperand(Fields &fields, int before) {
  const yaml::Node *node = fields.get("operand");
  if (!node)
    return before;
  if (node->isScalar() && !node->quoted && node->text == "result")
    return -1;
  return static_cast<int>(fields.integer("operand", 0, 64).value_or(before));
}

static void readCorrections(RecipeFile file, OpTable &table, Diagnostics &diags) {
  Fields fields(file.root, "corrections of an operator table", diags);
  readSideHead(fields, table.name);
  const yaml::Node *ops = fields.need("ops");
  if (ops && !ops->isMapping())
    fields.error(*ops, "'ops' must be a mapping of operators");
  for (const yaml::Entry &entry : ops ? llvm::ArrayRef(ops->entries) : llvm::ArrayRef<yaml::Entry>()) {
    if (!checkKey(entry, diags))
      continue;
    auto [it, isNew] = table.ops.try_emplace(entry.key);
    OpEntry &op = it->second;
    Fields one(entry.value, "a correction", diags);
    op.because = one.needText("because");
    if (isNew)
      one.need("opset");
    op.opset = one.range("opset").value_or(op.opset);
    if (one.get("dtypes")) {
      op.dtypes = one.formats("dtypes");
      op.verdict = OpVerdict::Native;
    }
    op.limits = one.text("limits").value_or(op.limits);
    op.verdict = one.choice("level", kLevels).value_or(op.verdict);
    op.operand = readOperand(one, op.operand);
    one.finish();
    // The correction overrules what the list denies.
    table.unsupported.erase(entry.key);
    table.notFound.erase(entry.key);
  }
  fields.finish();
  table.files.push_back(std::move(file));
}

static void readEvidence(RecipeFile file, OpTable &table, Diagnostics &diags) {
  Fields fields(file.root, "executed operators", diags);
  readSideHead(fields, table.name);
  table.engine = fields.needText("engine");
  (void)fields.needText("how");
  const yaml::Node *ops = fields.need("ops");
  if (ops && !ops->isMapping())
    fields.error(*ops, "'ops' must be a mapping of operators");
  for (const yaml::Entry &entry : ops ? llvm::ArrayRef(ops->entries) : llvm::ArrayRef<yaml::Entry>()) {
    if (!checkKey(entry, diags))
      continue;
    if (!entry.value.isSequence()) {
      (void)diags.error(entry.value.place.str(), "'" + Twine(entry.key) + "' must be a list of what was tried");
      continue;
    }
    for (const yaml::Node &item : entry.value.items) {
      Fields one(item, "what was tried", diags);
      OpEvidence seen;
      one.need("opset");
      seen.opset = one.range("opset").value_or(IntRange());
      seen.compared = one.formats("compared");
      seen.ran = one.formats("ran");
      seen.refused = one.formats("refused");
      seen.error = one.text("error").value_or("");
      one.finish();
      if (item.isMapping() && seen.compared.empty() && seen.ran.empty() && seen.refused.empty())
        (void)diags.error(item.place.str(),
                          "an entry of '" + Twine(entry.key) + "' says nothing: it needs compared, ran or refused");
      table.evidence[entry.key].push_back(std::move(seen));
    }
  }
  fields.finish();
  table.files.push_back(std::move(file));
}

FailureOr<OpTables> OpTables::load(StringRef folder, StringRef extra, Diagnostics &diags) {
  FailureOr<std::vector<RecipePath>> paths = recipeFilesIn(folder, extra, diags);
  if (failed(paths))
    return failure();
  ErrorMark mark(diags);
  OpTables loaded;
  std::vector<RecipePath> sides;
  for (const RecipePath &path : *paths) {
    const std::string stem = recipeStem(path.path);
    if (StringRef(stem).ends_with(kCorrections) || StringRef(stem).ends_with(kExecuted)) {
      sides.push_back(path);
      continue;
    }
    FailureOr<RecipeFile> file = readRecipeFile(path, diags);
    if (succeeded(file))
      readTable(std::move(*file), loaded.tables[stem], diags);
  }
  // The generated tables first: corrections and evidence change entries of them.
  for (const RecipePath &path : sides) {
    const std::string stem = recipeStem(path.path);
    const auto [base, kind] = StringRef(stem).rsplit('.');
    auto table = loaded.tables.find(base.str());
    if (table == loaded.tables.end()) {
      (void)diags.error(path.path, "there is no table " + Twine(base) + ".yaml that this file could belong to");
      continue;
    }
    FailureOr<RecipeFile> file = readRecipeFile(path, diags);
    if (failed(file))
      continue;
    if (kCorrections.ends_with(kind))
      readCorrections(std::move(*file), table->second, diags);
    else
      readEvidence(std::move(*file), table->second, diags);
  }
  if (!mark.clean())
    return failure();
  return loaded;
}

} // namespace flagrelease
