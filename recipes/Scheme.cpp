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
