#include "importers/huggingface/Config.h"

#include "text/Nearest.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cmath>

using namespace flagrelease;
using json::Object;
using json::Value;
using llvm::SmallVector;

namespace {
const llvm::StringLiteral kFile = "config.json";

/// Keys that normaliseConfig itself reads.
const llvm::StringLiteral kNormalised[] = {"dtype",
                                           "torch_dtype",
                                           "rope_parameters",
                                           "rope_scaling",
                                           "rope_theta",
                                           "partial_rotary_factor",
                                           "architectures",
                                           "original_max_position_embeddings",
                                           "quantization_config",
                                           "compression_config"};

/// Keys of a rope mapping that some formula reads (transformers, modeling_rope_utils).
const llvm::StringLiteral kRopeKeys[] = {"type",
                                         "rope_type",
                                         "rope_theta",
                                         "factor",
                                         "beta_fast",
                                         "beta_slow",
                                         "mscale",
                                         "mscale_all_dim",
                                         "short_factor",
                                         "long_factor",
                                         "low_freq_factor",
                                         "high_freq_factor",
                                         "truncate",
                                         "attention_factor",
                                         "alpha",
                                         "partial_rotary_factor",
                                         "mrope_section",
                                         "mrope_interleaved",
                                         "original_max_position_embeddings",
                                         "max_position_embeddings"};

std::string where(const llvm::Twine &key) { return (llvm::Twine(kFile) + ": " + key).str(); }

/// A mapping whose members are mappings: one set of rope parameters per kind of layer.
bool isPerLayerType(const Object &rope) {
  for (const json::Member &member : rope)
    if (!member.value.isObject() && !member.value.isNull())
      return false;
  return !rope.empty();
}

const Value *nonNull(const Object &object, StringRef key) {
  const Value *value = object.find(key);
  return value && !value->isNull() ? value : nullptr;
}

LogicalResult normaliseRopeMapping(Object &rope, const Object &config, StringRef key, Diagnostics &diags) {
  const Value *type = nonNull(rope, "rope_type");
  if (!type)
    type = nonNull(rope, "type");
  std::string name = "default";
  if (type) {
    if (!type->isString())
      return diags.error(where(key + ".rope_type"), "is a " + type->kindName() + ", not text", "name the kind of rotary scaling");
    name = type->string().str();
  }
  // Older names of the same formulas.
  if (name == "su")
    name = "longrope";
  if (name == "mrope")
    name = "default";
  rope.erase("type");
  rope.set("rope_type", Value(name));
  for (StringRef number : {"factor", "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow", "attention_factor",
                           "original_max_position_embeddings", "rope_theta"})
    if (const Value *value = nonNull(rope, number); value && !value->isNumber())
      return diags.error(where(key + "." + number), "is a " + value->kindName() + ", not a number", "correct config.json");
  for (StringRef number : {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings", "rope_theta"})
    if (const Value *value = nonNull(rope, number); value && !(value->number() > 0 && std::isfinite(value->number())))
      return diags.error(where(key + "." + number), "is " + json::toText(*value) + ", and must be above 0",
                         "correct config.json");
  // A top-level key overrides the one in the mapping: phi3 keeps the pretrained length there.
  if (const Value *top = nonNull(config, "original_max_position_embeddings"))
    rope.set("original_max_position_embeddings", *top);
  if (const Value *longest = nonNull(config, "max_position_embeddings")) {
    if (!nonNull(rope, "original_max_position_embeddings"))
      rope.set("original_max_position_embeddings", *longest);
    rope.set("max_position_embeddings", *longest);
  }
  return success();
}
} // namespace

FailureOr<Object> flagrelease::readConfig(const std::string &folder, Diagnostics &diags) {
  llvm::SmallString<256> path(folder);
  llvm::sys::path::append(path, kFile);
  if (!llvm::sys::fs::exists(path))
    return diags.error(folder, "holds no config.json", "name a checkpoint folder in Hugging Face or ModelScope layout");
  FailureOr<Value> value = json::parseFile(path, diags);
  if (failed(value))
    return failure();
  if (!value->isObject())
    return diags.error(path, "is a " + value->kindName() + ", not a mapping", "restore the checkpoint's own config.json");
  return value->object();
}

/// One mapping of the file over its class defaults. `path` is where it stands, "text_config." or empty.
static FailureOr<Object> normaliseMapping(const Object &raw, llvm::ArrayRef<const ClassDefaults *> classes,
                                          llvm::ArrayRef<DefaultOverride> overrides, StringRef path, Diagnostics &diags) {
  Object values;
  const ClassDefaults *defaults = nullptr; // the nearest
  for (const ClassDefaults *each : classes) {
    if (!each)
      continue;
    defaults = each;
    for (const json::Member &member : each->values)
      values.set(member.key, member.value);
  }
  for (const DefaultOverride &override : overrides)
    values.set(override.key, override.value);
  for (const json::Member &member : raw)
    values.set(member.key, member.value);
  for (const ClassDefaults *each : classes)
    for (const auto &[name, alias] : each ? each->attributeMap : decltype(each->attributeMap)())
      if (const Value *value = raw.find(alias); value && !raw.contains(name))
        values.set(name, *value);

  if (const Value *old = nonNull(values, "torch_dtype"); old && !nonNull(raw, "dtype"))
    values.set("dtype", *old);

  StringRef key = "rope_scaling";
  const Value *rope = nonNull(raw, "rope_scaling");
  if (rope && rope->isObject() && rope->object().empty())
    rope = nullptr;
  if (!rope && (rope = nonNull(raw, "rope_parameters")))
    key = "rope_parameters";
  if (rope && !rope->isObject()) {
    return diags.error(where(path + key), "is a " + rope->kindName() + ", not a mapping", "correct config.json");
  }
  Object parameters = rope ? rope->object() : Object();
  if (rope && isPerLayerType(parameters)) {
    Object perType;
    for (const json::Member &member : parameters) {
      if (member.value.isNull())
        continue;
      Object inner = member.value.object();
      if (failed(normaliseRopeMapping(inner, values, (path + key + "." + member.key).str(), diags)))
        return failure();
      perType.set(member.key, Value(inner));
    }
    values.set("rope_parameters", Value(perType));
    return values;
  }
  if (rope && failed(normaliseRopeMapping(parameters, values, (path + key).str(), diags)))
    return failure();
  if (const Value *theta = nonNull(parameters, "rope_theta"))
    values.set("rope_theta", *theta);
  else if (!nonNull(values, "rope_theta"))
    values.set("rope_theta", Value(defaults && defaults->defaultTheta ? *defaults->defaultTheta : 10000.0));
  if (const Value *theta = values.find("rope_theta"); !theta->isNumber())
    return diags.error(where(path + "rope_theta"), "is a " + theta->kindName() + ", not a number", "correct config.json");
  else if (!(theta->number() > 0 && std::isfinite(theta->number())))
    return diags.error(where(path + "rope_theta"), "is " + json::toText(*theta) + ", and must be above 0", "correct config.json");
  if (const Value *partial = nonNull(parameters, "partial_rotary_factor"))
    values.set("partial_rotary_factor", *partial);
  for (StringRef section : {"mrope_section", "mrope_interleaved"}) // of positions with several streams, whatever the scaling
    if (const Value *value = nonNull(parameters, section))
      values.set(section, *value);
  const Value *type = parameters.find("rope_type");
  values.set("rope_scaling", type && type->string() != "default" ? Value(parameters) : Value());
  values.erase("rope_parameters");
  return values;
}

FailureOr<ConfigClasses> flagrelease::classesOf(const ModelRecipe &recipe, const RecipeSet &recipes, Diagnostics &diags) {
  ConfigClasses classes;
  auto find = [&](const std::string &name, const ClassDefaults *&into) -> LogicalResult {
    if (name.empty())
      return success();
    Place from;
    from.file = std::make_shared<const std::string>(recipe.files.front());
    FailureOr<const ClassDefaults *> found = recipes.defaultsOf(name, from, diags);
    if (failed(found))
      return failure();
    into = *found;
    return success();
  };
  if (failed(find(recipe.defaultsClass, classes.root)))
    return failure();
  for (const ConfigPart &part : recipe.configs)
    if (failed(find(part.defaultsClass, classes.parts.emplace_back(nullptr))))
      return failure();
  return classes;
}

/// The mapping of recipe.configs[index], and its path: at the top of the file, or in a flat one that is named before it.
static const Value *memberOf(const Object &raw, const ModelRecipe &recipe, size_t index, std::string &path) {
  const std::string &name = recipe.configs[index].name;
  path = name;
  if (const Value *own = nonNull(raw, name))
    return own;
  for (size_t outer = 0; outer < index; ++outer) {
    const Value *around = recipe.configs[outer].flat ? memberOf(raw, recipe, outer, path) : nullptr;
    if (const Value *own = around && around->isObject() ? nonNull(around->object(), name) : nullptr) {
      path += "." + name;
      return own;
    }
  }
  path = name;
  return nullptr;
}

FailureOr<ModelConfig> flagrelease::normaliseConfig(Object raw, const ModelRecipe &recipe, const ConfigClasses &classes,
                                                    Diagnostics &diags) {
  std::vector<Object> parts;
  std::vector<bool> present;
  SmallVector<const ClassDefaults *> rootClasses{classes.root};
  for (auto [i, part] : llvm::enumerate(recipe.configs)) {
    const ClassDefaults *defaults = classes.parts[i];
    std::string path;
    const Value *own = memberOf(raw, recipe, i, path);
    if (own && !own->isObject())
      return diags.error(where(path), "is a " + own->kindName() + ", not a mapping", "restore the checkpoint's own config.json");
    present.push_back(own != nullptr);
    if (!own && part.flat)
      rootClasses.push_back(defaults); // the top of the file is this config
    FailureOr<Object> values = normaliseMapping(own ? own->object() : Object(), {defaults}, {}, path + ".", diags);
    if (failed(values))
      return failure();
    parts.push_back(std::move(*values));
  }
  FailureOr<Object> values = normaliseMapping(raw, rootClasses, recipe.defaultOverrides, "", diags);
  if (failed(values))
    return failure();
  // Of these the file's top speaks for the whole model.
  static constexpr StringRef kWhole[] = {"architectures", "model_type",          "dtype",
                                         "torch_dtype",   "quantization_config", "transformers_version"};
  for (auto [i, part] : llvm::enumerate(recipe.configs)) {
    if (part.flat && present[i])
      for (const json::Member &member : parts[i])
        if (!llvm::is_contained(kWhole, StringRef(member.key)) &&
            !(member.key == "tie_word_embeddings" && raw.contains(member.key)))
          values->set(member.key, member.value);
    if (!part.flat || present[i])
      values->set(part.name, Value(parts[i]));
  }
  ModelConfig config;
  config.raw = std::move(raw);
  config.values = std::move(*values);
  return config;
}

namespace {
/// Which keys of a config are accounted for.
class KeyChecker {
public:
  KeyChecker(const ModelConfig &config, const ModelRecipe &recipe, const InertKeys &inert,
             const std::vector<std::string> &assumeInert, Diagnostics &diags)
      : config(config), recipe(recipe), inert(inert), assumeInert(assumeInert), diags(diags) {
    for (const std::string &path : recipe.configKeys()) {
      known.insert(path);
      known.insert(StringRef(path).split('.').first.str());
    }
    for (const MatchEntry &entry : recipe.match)
      for (const auto &[key, values] : entry.keys) {
        known.insert(key);
        known.insert(StringRef(key).split('.').first.str());
      }
    for (StringRef key : kNormalised)
      known.insert(key.str());
  }

  void run(const ConfigClasses &classes) {
    for (StringRef key : assumeInert) {
      if (known.count(key.str()))
        (void)diags.error("--assume-inert " + key, "recipe " + recipe.name + " reads this key: it changes the model",
                          "leave it out");
      else if (!config.raw.find(key.split('.').first))
        (void)diags.error("--assume-inert " + key, "config.json has no such key", "leave it out");
    }
    llvm::SmallVector<const ClassDefaults *> root{classes.root};
    std::string path;
    for (auto [i, part] : llvm::enumerate(recipe.configs))
      if (part.flat && !memberOf(config.raw, recipe, i, path))
        root.push_back(classes.parts[i]);
    check(config.raw, root, "", "", false);
    for (auto [i, part] : llvm::enumerate(recipe.configs))
      if (const Value *own = memberOf(config.raw, recipe, i, path); own && own->isObject())
        check(own->object(), {classes.parts[i]}, path + ".", part.name + ".", part.flat);
  }

private:
  bool isKnown(StringRef path, StringRef part, StringRef key, StringRef name, bool flat) const {
    if (known.count((part + name).str()) || known.count((part + key).str()) || !inert.reason((path + key).str()).empty() ||
        !inert.reason((part + key).str()).empty() || llvm::is_contained(assumeInert, (path + key).str()))
      return true;
    // Keys that change nothing do so wherever they stand; those of a flat member are read without its name.
    if (path.empty())
      return false;
    return !inert.reason(key).empty() || llvm::is_contained(kNormalised, key) || key == "model_type" ||
           (flat && (known.count(name.str()) || known.count(key.str())));
  }

  /// `path` leads to the mapping in the file, `part` in expressions.
  void check(const Object &mapping, llvm::ArrayRef<const ClassDefaults *> classes, StringRef path, StringRef part, bool flat) {
    for (const json::Member &member : mapping) {
      StringRef key = member.key;
      std::string canonical = key.str();
      const Value *standard = nullptr;
      for (const ClassDefaults *defaults : classes) {
        if (!defaults)
          continue;
        for (const auto &[name, alias] : defaults->attributeMap)
          if (alias == key)
            canonical = name;
        if (const Value *value = defaults->values.find(key))
          standard = value;
      }
      if (path.empty())
        for (const DefaultOverride &override : recipe.defaultOverrides)
          if (override.key == key)
            standard = &override.value;
      if (member.value.isNull() || isKnown(path, part, key, canonical, flat) || (standard && *standard == member.value))
        continue;
      if ((path.empty() || flat) && llvm::any_of(recipe.configs, [&](const ConfigPart &other) { return other.name == key; }))
        continue; // its own keys are checked
      complain((path + key).str(), member.value);
    }
    for (StringRef key : {"rope_scaling", "rope_parameters"}) {
      const Value *rope = mapping.find(key);
      if (!rope || !rope->isObject() || isPerLayerType(rope->object()))
        continue;
      for (const json::Member &member : rope->object()) {
        std::string whole = (path + key + "." + member.key).str();
        if (!llvm::is_contained(kRopeKeys, StringRef(member.key)) && !known.count("rope_scaling." + member.key) &&
            !known.count("rope_parameters." + member.key) && !member.value.isNull() && inert.reason(whole).empty() &&
            !llvm::is_contained(assumeInert, whole))
          complain(whole, member.value);
      }
    }
  }

  void complain(StringRef key, const Value &value) {
    std::string text = json::toText(value);
    if (text.size() > 80)
      text = text.substr(0, 77) + "...";
    (void)diags.error(where(key), "recipe " + recipe.name + " does not know this key, and its value is not the default: " + text,
                      "if it does not change the model's numbers, pass --assume-inert " + key);
  }

  const ModelConfig &config;
  const ModelRecipe &recipe;
  const InertKeys &inert;
  const std::vector<std::string> &assumeInert;
  Diagnostics &diags;
  std::set<std::string> known;
};
} // namespace

void flagrelease::checkConfigKeys(const ModelConfig &config, const ModelRecipe &recipe, const InertKeys &inert,
                                  const ConfigClasses &classes, const std::vector<std::string> &assumeInert, Diagnostics &diags) {
  KeyChecker(config, recipe, inert, assumeInert, diags).run(classes);
}
