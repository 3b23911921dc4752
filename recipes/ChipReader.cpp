// Reads the chip recipes of a folder; `like:` first reads the chip that it names.
#include "recipes/ChipRecipe.h"

#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace flagrelease {

static constexpr std::pair<llvm::StringLiteral, Support> kSupports[] = {{"native", Support::Native},
                                                                        {"optional", Support::Optional},
                                                                        {"emulated", Support::Emulated},
                                                                        {"weight-only", Support::WeightOnly},
                                                                        {"none", Support::None}};
static constexpr std::pair<llvm::StringLiteral, ChipKind> kKinds[] = {{"host-cpu", ChipKind::HostCpu},
                                                                      {"cloud", ChipKind::Cloud},
                                                                      {"datacenter", ChipKind::Datacenter},
                                                                      {"edge", ChipKind::Edge},
                                                                      {"auto", ChipKind::Auto},
                                                                      {"mobile", ChipKind::Mobile},
                                                                      {"pc", ChipKind::Pc},
                                                                      {"mcu", ChipKind::Mcu}};
static constexpr std::pair<llvm::StringLiteral, bool> kLinks[] = {{"allowed", true}, {"refused", false}};
static constexpr std::pair<llvm::StringLiteral, int> kConfidences[] = {{"high", 2}, {"medium", 1}, {"low", 0}};
static constexpr std::pair<llvm::StringLiteral, int> kFormats[] = {{"onnx", 0}, {"hf", 1}, {"gguf", 2}, {"native", 3}};

constexpr unsigned kMaxLike = 3;

namespace {

class Reader {
public:
  Reader(StringRef folder, StringRef extra, Diagnostics &diags) : folder(folder), extra(extra), diags(diags) {}

  LogicalResult readAll(std::map<std::string, ChipRecipe> &chips) {
    FailureOr<std::vector<RecipePath>> paths = recipeFilesIn(folder, extra, diags);
    if (failed(paths))
      return failure();
    ErrorMark mark(diags);
    for (const RecipePath &path : *paths) {
      FailureOr<RecipeFile> file = readRecipeFile(path, diags);
      if (succeeded(file))
        files.emplace(file->stem, std::move(*file));
    }
    for (const auto &[stem, file] : files)
      (void)chip(stem, 0, chips);
    return success(mark.clean());
  }

private:
  /// The chip of a file, read once; null if it could not be read.
  const ChipRecipe *chip(const std::string &stem, unsigned depth, std::map<std::string, ChipRecipe> &chips) {
    if (auto it = chips.find(stem); it != chips.end())
      return &it->second;
    const RecipeFile &file = files.at(stem);
    Fields fields(file.root, "a chip", diags);
    ChipRecipe base;
    if (const yaml::Node *like = fields.get("like")) {
      std::vector<std::string> known;
      for (const auto &[name, other] : files)
        known.push_back(name);
      if (!like->isScalar() || !files.count(like->text) || like->text == stem) {
        fields.error(*like, "'like' names no other chip: '" + Twine(like->text) + "'" + nearestNote(like->text, known));
        return nullptr;
      }
      if (depth == kMaxLike) {
        fields.error(*like, "'like' chains are at most " + Twine(kMaxLike) + " deep");
        return nullptr;
      }
      const ChipRecipe *other = chip(like->text, depth + 1, chips);
      if (!other)
        return nullptr;
      base = *other;
    }
    read(fields, file, base);
    fields.finish();
    base.file = file;
    return &chips.emplace(stem, std::move(base)).first->second;
  }

  /// Keys that the file states replace those of `chip` as a whole.
  void read(Fields &fields, const RecipeFile &file, ChipRecipe &chip) {
    const bool whole = !file.root.find("like");
    auto need = [&](StringRef key) { whole ? fields.need(key) : fields.get(key); };
    readVersion(fields);
    chip.name = fields.needText("name");
    if (const yaml::Node *name = fields.get("name"); name && chip.name != file.stem)
      fields.error(*name, "'name' is '" + Twine(chip.name) + "', the file is " + file.stem + ".yaml",
                   "name and file stem are the same");
    else if (name && !isRecipeName(chip.name))
      fields.error(*name, "'" + Twine(chip.name) + "' is no name of a chip: lower-case letters, digits, '.', '-' and '_'");
    chip.aka = fields.texts("aka");
    need("vendor");
    chip.vendor = fields.text("vendor").value_or(chip.vendor);
    need("sources");
    sources = fields.texts("sources");
    if (fields.get("sources"))
      chip.sources = sources;
    need("class");
    if (const yaml::Node *node = fields.get("class"))
      readClass(*node, chip);
    need("soc");
    chip.soc = fields.text("soc").value_or(chip.soc);
    need("identify");
    if (const yaml::Node *node = fields.get("identify"))
      readIdentify(*node, chip);
    if (const yaml::Node *node = fields.get("memory"))
      readMemory(*node, chip);
    need("dtypes");
    if (const yaml::Node *node = fields.get("dtypes"))
      readDtypes(*node, chip);
    if (const yaml::Node *node = fields.get("peak"))
      readPeak(*node, chip);
    need("toolchains");
    if (const yaml::Node *node = fields.get("toolchains"))
      readToolchains(*node, file.shipped, chip);
    need("query");
    if (fields.get("query")) {
      chip.query = fields.texts("query");
      chip.queryShipped = file.shipped;
    }
    need("confidence");
    if (fields.choice("confidence", kConfidences))
      chip.confidence = fields.get("confidence")->text;
    if (!chip.isHostCpu() && whole)
      fields.need("memory");
    if ((chip.kind == ChipKind::HostCpu) != chip.isHostCpu())
      fields.error(file.root, "a chip of kind host-cpu is identified by 'host', and only such a chip is");
  }

  /// `src: [1, 2]` counts the entries of `sources:` from 1. Absence is a problem: a figure without a source is none.
  std::vector<std::string> readSource(Fields &fields, bool required) {
    std::vector<std::string> texts;
    const yaml::Node *node = fields.get("src");
    if (!node) {
      if (required && fields.node().isMapping())
        fields.error(fields.node(), "figures without a source", "add src: [n], where n counts the entries of 'sources' from 1");
      return texts;
    }
    if (!node->isSequence() || node->items.empty()) {
      fields.error(*node, "'src' must be a list of numbers that count the entries of 'sources' from 1");
      return texts;
    }
    for (const yaml::Node &item : node->items) {
      std::optional<int64_t> index = item.asInt();
      if (!index || *index < 1 || *index > static_cast<int64_t>(sources.size()))
        fields.error(item, "'src' names source '" + Twine(item.text) + "', there are " + Twine(sources.size()));
      else
        texts.push_back(sources[*index - 1]);
    }
    return texts;
  }

  void readClass(const yaml::Node &node, ChipRecipe &chip) {
    Fields fields(node, "class", diags);
    chip.origin = fields.needText("origin");
    fields.need("kind");
    chip.kind = fields.choice("kind", kKinds).value_or(chip.kind);
    fields.finish();
  }

  void readIdentify(const yaml::Node &node, ChipRecipe &chip) {
    Fields fields(node, "identify", diags);
    chip.hostMachines = fields.texts("host");
    chip.queryContains = fields.texts("query_contains");
    (void)readSource(fields, false);
    if (node.isMapping() && chip.hostMachines.empty() == chip.queryContains.empty())
      fields.error(node, "'identify' needs either 'host' or 'query_contains'");
    fields.finish();
  }

  void readMemory(const yaml::Node &node, ChipRecipe &chip) {
    Fields fields(node, "memory", diags);
    ChipMemory memory;
    memory.gib = fields.positive("gib");
    memory.maxGib = fields.positive("max_gib");
    memory.gbPerS = fields.positive("gb_per_s");
    memory.shared = fields.boolean("shared").value_or(false);
    memory.source = readSource(fields, true);
    if (node.isMapping() && memory.gib.has_value() == memory.maxGib.has_value())
      fields.error(node, "'memory' needs either 'gib' or 'max_gib'");
    fields.finish();
    chip.memory = std::move(memory);
  }

  void readDtypes(const yaml::Node &node, ChipRecipe &chip) {
    Fields fields(node, "dtypes", diags);
    chip.dtypesSource = readSource(fields, true);
    chip.dtypes.clear();
    for (const yaml::Entry &entry : node.entries) {
      if (entry.key == "src")
        continue;
      std::optional<NumberFormat> format = formatOfKey(entry);
      std::optional<Support> support = fields.choice(entry.key, kSupports);
      if (format && support)
        chip.dtypes.push_back({*format, *support});
    }
  }

  void readPeak(const yaml::Node &node, ChipRecipe &chip) {
    Fields fields(node, "peak", diags);
    chip.peakSource = readSource(fields, true);
    chip.peakMeasured = fields.boolean("measured").value_or(false);
    chip.peak.clear();
    for (const yaml::Entry &entry : node.entries) {
      if (entry.key == "src" || entry.key == "measured")
        continue;
      std::optional<NumberFormat> format = formatOfKey(entry);
      std::optional<double> tera = fields.positive(entry.key);
      if (format && tera)
        chip.peak.push_back({*format, *tera});
    }
  }

  std::optional<NumberFormat> formatOfKey(const yaml::Entry &entry) {
    std::optional<NumberFormat> format = parseNumberFormat(entry.key);
    if (!format)
      (void)diags.error(entry.place.str(),
                        "unknown number format '" + Twine(entry.key) + "'" + nearestNote(entry.key, numberFormatNames()),
                        "known: " + Twine(listed(numberFormatNames(), 32)));
    return format;
  }

  void readToolchains(const yaml::Node &node, bool shipped, ChipRecipe &chip) {
    chip.toolchains.clear();
    if (!node.isSequence() || node.items.empty())
      return (void)diags.error(node.place.str(), "'toolchains' must be a list with at least one toolchain");
    for (const yaml::Node &item : node.items) {
      chip.toolchains.push_back(readToolchain(item));
      chip.toolchains.back().shipped = shipped;
    }
  }

  Toolchain readToolchain(const yaml::Node &node) {
    Fields fields(node, "a toolchain", diags);
    Toolchain one;
    one.place = node.place;
    fields.need("format");
    if (fields.choice("format", kFormats))
      one.format = fields.get("format")->text;
    one.engine = fields.needText("engine");
    one.ops = fields.text("ops").value_or("");
    one.opset = fields.range("opset").value_or(one.opset);
    if (!one.ops.empty() && one.format == "onnx")
      fields.need("opset");
    one.staticShapes = fields.boolean("static_shapes").value_or(false);
    one.linksAllowed = fields.choice("links", kLinks).value_or(true);
    one.compute = fields.formats("compute");
    one.stores = fields.formats("stores");
    static constexpr std::pair<llvm::StringLiteral, bool> kArithmetic[] = {{"weights", true}, {"activations", false}};
    one.arithmeticOfWeights = fields.choice("arithmetic", kArithmetic).value_or(false);
    one.loads = fields.texts("loads");
    one.artefact = fields.text("artefact").value_or("");
    one.visibleEnv = fields.text("visible_env").value_or("");
    one.triton = fields.text("triton").value_or("");
    one.limits = fields.texts("limits");
    one.source = readSource(fields, true);
    one.architectures = fields.texts("architectures");
    if (const yaml::Node *serve = fields.get("serve"))
      one.serve = readServe(*serve);
    if (const yaml::Node *shapes = fields.get("shapes")) {
      Fields spelling(*shapes, "shapes", diags);
      one.shapes.betweenDims = spelling.needText("between_dims");
      one.shapes.betweenInputs = spelling.needText("between_inputs");
      spelling.finish();
    }
    if (const yaml::Node *compile = fields.get("compile")) {
      one.compile = fields.texts("compile");
      checkPlaceholders(fields, "compile", *compile, {"{model}", "{out}", "{shapes}", "{soc}"}, {"{model}", "{out}"});
      if (one.artefact.empty())
        fields.error(*compile, "a toolchain with 'compile' needs 'artefact', the glob of what the command leaves");
    }
    fields.finish();
    return one;
  }

  ServeCommand readServe(const yaml::Node &node) {
    Fields fields(node, "serve", diags);
    ServeCommand serve;
    fields.need("argv");
    serve.argv = fields.texts("argv");
    auto cite = [&](const std::vector<std::string> &sources) {
      for (const std::string &source : sources)
        if (!llvm::is_contained(serve.source, source))
          serve.source.push_back(source);
    };
    cite(readSource(fields, true));
    if (const yaml::Node *argv = fields.get("argv"))
      checkPlaceholders(fields, "argv", *argv, {"{model}", "{name}", "{dtype}", "{context}"}, {"{model}"});
    if (const yaml::Node *packages = fields.get("packages")) {
      Fields inner(*packages, "packages", diags);
      inner.need("names");
      serve.packages = inner.texts("names");
      cite(readSource(inner, true));
      for (const std::string &package : serve.packages)
        if (!StringRef(package).contains("=="))
          inner.error(*packages, "the package '" + Twine(package) + "' has no version", "write NAME==VERSION");
      inner.finish();
    }
    if (const yaml::Node *image = fields.get("image")) {
      Fields inner(*image, "image", diags);
      serve.image = inner.needText("name");
      serve.imageArguments = inner.texts("arguments");
      cite(readSource(inner, true));
      StringRef last = StringRef(serve.image).substr(StringRef(serve.image).rfind('/') + 1);
      if (!last.contains(':') || last.ends_with(":latest") || last.find_first_of(" \t\r\n") != StringRef::npos)
        inner.error(*image, "the image '" + Twine(serve.image) + "' has no version", "write REGISTRY/NAME:TAG");
      inner.finish();
    }
    fields.finish();
    return serve;
  }

  /// A word in braces must be a placeholder, and the command must hold those that are needed.
  void checkPlaceholders(Fields &fields, StringRef key, const yaml::Node &node, llvm::ArrayRef<StringRef> known,
                         llvm::ArrayRef<StringRef> needed) {
    std::string all;
    for (const yaml::Node &item : node.items) {
      StringRef rest = item.text;
      all += item.text + "\n";
      for (size_t open = rest.find('{'); open != StringRef::npos; open = rest.find('{', open + 1)) {
        const size_t close = rest.find('}', open);
        StringRef word = rest.slice(open, close == StringRef::npos ? open + 1 : close + 1);
        // Only what looks like a name: a script may hold braces of its own.
        const bool looksLikeOne = word.size() > 2 && llvm::all_of(word.drop_front().drop_back(), llvm::isAlpha);
        if (looksLikeOne && !llvm::is_contained(known, word))
          fields.error(item, "unknown placeholder '" + Twine(word) + "'" + nearestNote(word, known),
                       "known: " + llvm::join(known, " "));
      }
    }
    for (StringRef one : needed)
      if (!StringRef(all).contains(one))
        fields.error(node, "'" + key + "' lacks " + one);
  }

  StringRef folder, extra;
  Diagnostics &diags;
  std::map<std::string, RecipeFile> files;
  std::vector<std::string> sources; ///< of the file that is being read
};

} // namespace

FailureOr<ChipSet> ChipSet::load(StringRef folder, StringRef extra, Diagnostics &diags) {
  ErrorMark mark(diags);
  ChipSet set;
  Reader reader(folder, extra, diags);
  (void)reader.readAll(set.chips);
  for (const auto &[name, chip] : set.chips) {
    const yaml::Node *aka = chip.file.root.find("aka");
    for (auto [index, alias] : llvm::enumerate(chip.aka)) {
      const std::string where = aka && index < aka->items.size() ? aka->items[index].place.str() : chip.file.path;
      if (set.chips.count(alias))
        (void)diags.error(where, "the alias '" + Twine(alias) + "' is the name of a chip");
      else if (auto [it, isNew] = set.aliases.emplace(alias, name); !isNew)
        (void)diags.error(where, "the alias '" + Twine(alias) + "' is taken by " + it->second);
    }
  }
  if (!mark.clean())
    return failure();
  return set;
}

} // namespace flagrelease
