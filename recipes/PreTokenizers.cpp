#include "recipes/PreTokenizers.h"

#include "recipes/Fields.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"

namespace flagrelease {

static constexpr StringRef kSteps[] = {"bytes", "gpt2", "digits", "digit_runs", "punctuation"};

static void readStep(const yaml::Node &node, const Fields &fields, std::vector<std::string> &out) {
  const yaml::Node *split = node.find("split");
  if (node.isScalar() && llvm::is_contained(kSteps, StringRef(node.text)))
    out.push_back(node.text);
  else if (node.isScalar())
    fields.unknownName(node, "steps", kSteps);
  else if (split && node.entries.size() == 1 && split->isScalar() && !split->text.empty())
    out.push_back("split " + split->text);
  else
    fields.error(node, "a step is a name, or {split: EXPRESSION}");
}

FailureOr<TokenizerTable> loadPreTokenizers(StringRef folder, Diagnostics &diags) {
  std::string path = (folder + "/gguf_pretokenizers.yaml").str();
  FailureOr<yaml::Node> root = yaml::parseFile(path, diags);
  if (failed(root))
    return failure();
  ErrorMark mark(diags);
  TokenizerTable table;
  Fields file(*root, "the table", diags);
  readVersion(file);
  if (const yaml::Node *models = file.need("models")) {
    Fields names(*models, "`models`", diags);
    table.bytes = names.needText("bytes");
    table.characters = names.needText("characters");
    table.unigrams = names.needText("unigrams");
    table.absent = names.needText("absent");
    names.finish();
  }
  const yaml::Node *list = file.need("pretokenizers");
  file.finish();
  if (list && !list->isSequence())
    file.error(*list, "`pretokenizers` is a list");
  for (const yaml::Node &item : list ? list->items : std::vector<yaml::Node>()) {
    PreTokenizerKind kind;
    Fields fields(item, "a pre-tokenizer", diags);
    kind.name = fields.needText("name");
    kind.ignoreMerges = fields.boolean("ignore_merges").value_or(false);
    kind.limits = fields.text("limits").value_or("");
    kind.cleans = fields.boolean("cleans").value_or(false);
    if (fields.node().find("normalizers"))
      kind.normalizers = fields.texts("normalizers");
    if (const yaml::Node *steps = fields.need("steps"))
      for (const yaml::Node &step : steps->items)
        readStep(step, fields, kind.steps);
    fields.finish();
    if (kind.steps.empty())
      fields.error(item, "a pre-tokenizer has at least one step");
    table.kinds.push_back(std::move(kind));
  }
  if (!mark.clean())
    return failure();
  return table;
}

const PreTokenizerKind *findPreTokenizer(const TokenizerTable &table, const std::vector<std::string> &steps, StringRef normalizer,
                                         bool ignoreMerges, bool cleans) {
  const PreTokenizerKind *found = nullptr;
  for (const PreTokenizerKind &kind : table.kinds)
    if (kind.steps == steps && kind.ignoreMerges == ignoreMerges && llvm::is_contained(kind.normalizers, normalizer))
      if (!found || (found->cleans != cleans && kind.cleans == cleans))
        found = &kind;
  return found;
}

} // namespace flagrelease
