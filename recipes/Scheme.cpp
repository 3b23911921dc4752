#include "recipes/Scheme.h"

#include "recipes/Fields.h"
#include "text/Nearest.h"

#include "llvm/Support/ErrorHandling.h"

namespace flagrelease {

static constexpr std::pair<llvm::StringLiteral, OnLoss> kRules[] = {
    {"refuse", OnLoss::Refuse}, {"report", OnLoss::Report}, {"allow", OnLoss::Allow}};

StringRef onLossName(OnLoss rule) {
  for (const auto &[name, value] : kRules)
    if (value == rule)
      return name;
  llvm_unreachable("a rule that is none");
}

/// `storage: {dtype: source}` keeps what the source has; any other dtype is one that a checkpoint can store.
static void readStorage(const yaml::Node &node, Scheme &scheme, Diagnostics &diags) {
  Fields fields(node, "storage", diags);
  if (const yaml::Node *dtype = fields.need("dtype"); dtype && !(dtype->isScalar() && dtype->text == "source")) {
    std::optional<NumberFormat> format = readFormat(*dtype, "dtype", diags);
    scheme.dtype = format ? dtypeOf(*format) : std::nullopt;
    if (format && !(scheme.dtype && *scheme.dtype <= DType::BF16))
      fields.error(*dtype, "'dtype' is '" + Twine(dtype->text) +
                               "'; weights are stored plainly as fp64, fp32, fp16 or bf16, or as 'source'");
  }
  fields.finish();
}

static constexpr std::pair<llvm::StringLiteral, WeightNumbers::Kind> kKinds[] = {
    {"int", WeightNumbers::Kind::Int}, {"fp8", WeightNumbers::Kind::Fp8}, {"blocks", WeightNumbers::Kind::Blocks}};
enum class Share : uint8_t { Row, Tensor };
static constexpr std::pair<llvm::StringLiteral, Share> kShares[] = {{"row", Share::Row}, {"tensor", Share::Tensor}};

static std::optional<BlockFormat> blockFormat(Fields &fields, const yaml::Node &node) {
  std::optional<BlockFormat> format = node.isScalar() ? parseBlockFormat(node.text) : std::nullopt;
  if (format)
    return format;
  std::vector<std::string> names;
  for (const BlockInfo &info : blockFormats())
    names.push_back(info.name);
  fields.error(node, "'" + Twine(node.text) + "' is no block format" + nearestNote(node.text, names));
  return std::nullopt;
}

static void readBlocks(Fields &fields, WeightNumbers &weights, Diagnostics &diags) {
  if (const yaml::Node *format = fields.need("format"))
    weights.format = blockFormat(fields, *format).value_or(weights.format);
  if (const yaml::Node *instead = fields.get("instead"); instead && instead->isMapping())
    for (const yaml::Entry &entry : instead->entries) {
      yaml::Node key;
      key.text = entry.key;
      key.place = entry.place;
      std::optional<BlockFormat> from = blockFormat(fields, key), to = blockFormat(fields, entry.value);
      if (from && to)
        weights.instead[*from] = *to;
    }
  else if (instead)
    fields.error(*instead, "'instead' maps formats to formats");
  if (std::optional<int64_t> type = fields.integer("file_type", 0, 1023))
    weights.fileType = static_cast<uint32_t>(*type);
  const yaml::Node *rules = fields.get("rules");
  if (rules && !rules->isSequence())
    return fields.error(*rules, "'rules' is a list");
  for (size_t i = 0; rules && i < rules->items.size(); ++i) {
    Fields one(rules->items[i], "a rule", diags);
    BlockRule rule;
    rule.tensor = one.text("tensor").value_or("");
    if (const yaml::Node *when = one.get("when"))
      if (FailureOr<Expr> expr = Expr::parse(*when, diags); succeeded(expr))
        rule.when = std::move(*expr);
    if (const yaml::Node *format = one.need("format"))
      rule.format = blockFormat(one, *format).value_or(rule.format);
    one.finish();
    weights.rules.push_back(std::move(rule));
  }
}

static void readWeights(const yaml::Node &node, Scheme &scheme, Diagnostics &diags) {
  Fields fields(node, "weights", diags);
  WeightNumbers weights;
  fields.need("kind");
  weights.kind = fields.choice("kind", kKinds).value_or(weights.kind);
  if (weights.kind == WeightNumbers::Kind::Blocks) {
    readBlocks(fields, weights, diags);
  } else {
    if (weights.kind == WeightNumbers::Kind::Int) {
      if (const yaml::Node *bits = fields.need("bits")) {
        weights.bits = fields.integer("bits", 2, 8).value_or(8);
        if (weights.bits != 4 && weights.bits != 8)
          fields.error(*bits, "'bits' is " + Twine(weights.bits) + "; integers of 4 or 8 bits are written");
      }
      weights.symmetric = fields.boolean("symmetric").value_or(true);
    }
    const yaml::Node *group = fields.get("group"), *block = fields.get("block"), *per = fields.get("per");
    if ((group != nullptr) + (block != nullptr) + (per != nullptr) != 1)
      fields.error(node, "says how many numbers share a scale by one of 'group', 'block' and 'per'");
    if (group)
      weights.columns = fields.integer("group", 1, 1 << 20).value_or(0);
    if (std::optional<IntRange> sizes = block ? fields.range("block") : std::nullopt)
      weights.rows = sizes->first, weights.columns = sizes->last;
    if (per && fields.choice("per", kShares) == Share::Tensor)
      weights.rows = 0;
    if (const yaml::Node *scale = fields.get("scale")) {
      std::optional<NumberFormat> format = readFormat(*scale, "scale", diags);
      std::optional<DType> type = format ? dtypeOf(*format) : std::nullopt;
      if (format && !(type && *type >= DType::F32 && *type <= DType::BF16))
        fields.error(*scale, "'scale' is '" + Twine(scale->text) + "'; scales are fp32, fp16 or bf16");
      weights.scale = type.value_or(weights.scale);
    }
  }
  fields.finish();
  scheme.weights = std::move(weights);
}

static void readActivations(const yaml::Node &node, Scheme &scheme, Diagnostics &diags) {
  Fields fields(node, "activations", diags);
  scheme.activationBits = fields.integer("bits", 8, 8).value_or(8);
  if (const yaml::Node *per = fields.need("per"); per && !(per->isScalar() && per->text == "token"))
    fields.error(*per, "activations have one scale per token: 'per: token'");
  fields.finish();
}

static void readScheme(RecipeFile file, Scheme &scheme, Diagnostics &diags) {
  Fields fields(file.root, "a scheme", diags);
  readVersion(fields);
  scheme.name = fields.needText("name");
  if (const yaml::Node *name = fields.get("name"); name && scheme.name != file.stem)
    fields.error(*name, "'name' is '" + Twine(scheme.name) + "', the file is " + file.stem + ".yaml",
                 "name and file stem are the same");
  scheme.summary = fields.needText("summary");
  if (const yaml::Node *storage = fields.need("storage"))
    readStorage(*storage, scheme, diags);
  if (const yaml::Node *weights = fields.get("weights"))
    readWeights(*weights, scheme, diags);
  if (const yaml::Node *activations = fields.get("activations"))
    readActivations(*activations, scheme, diags);
  scheme.skip = fields.texts("skip");
  for (const std::string &role : scheme.skip)
    if (role != "embedding" && role != "output")
      fields.error(*fields.get("skip"), "unknown role '" + Twine(role) + "'", "known: embedding, output");
  scheme.formats = fields.texts("formats");
  scheme.layout = fields.text("layout").value_or("");
  scheme.overflow = fields.choice("overflow", kRules).value_or(scheme.overflow);
  scheme.underflow = fields.choice("underflow", kRules).value_or(scheme.underflow);
  fields.finish();
  scheme.file = std::move(file);
}

FailureOr<Schemes> Schemes::load(StringRef folder, StringRef extra, Diagnostics &diags) {
  FailureOr<std::vector<RecipePath>> paths = recipeFilesIn(folder, extra, diags);
  if (failed(paths))
    return failure();
  ErrorMark mark(diags);
  Schemes loaded;
  for (const RecipePath &path : *paths) {
    FailureOr<RecipeFile> file = readRecipeFile(path, diags);
    if (succeeded(file))
      readScheme(std::move(*file), loaded.schemes[recipeStem(path.path)], diags);
  }
  if (!mark.clean())
    return failure();
  return loaded;
}

const Scheme *Schemes::find(StringRef name) const {
  auto it = schemes.find(name.str());
  return it == schemes.end() ? nullptr : &it->second;
}

std::vector<std::string> Schemes::names() const {
  std::vector<std::string> names;
  for (const auto &[name, scheme] : schemes)
    names.push_back(name);
  return names;
}

FailureOr<const Scheme *> Schemes::get(StringRef name, StringRef where, Diagnostics &diags) const {
  if (const Scheme *scheme = find(name))
    return scheme;
  std::vector<std::string> known = names();
  return diags.error(where, "unknown scheme '" + Twine(name) + "'" + nearestNote(name, known),
                     "known: " + Twine(listed(known, 24)));
}

} // namespace flagrelease
