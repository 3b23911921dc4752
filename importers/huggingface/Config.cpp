#include "importers/huggingface/Config.h"

#include "text/Nearest.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cmath>

using namespace flagrelease;
using json::Object;
using json::Value;

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

FailureOr<ModelConfig> flagrelease::normaliseConfig(Object raw, const ClassDefaults *defaults,
                                                    const std::vector<DefaultOverride> &overrides, Diagnostics &diags) {
  ModelConfig config;
  config.raw = raw;
  Object &values = config.values;
  if (defaults)
    values = defaults->values;
  for (const DefaultOverride &override : overrides)
    values.set(override.key, override.value);
  for (const json::Member &member : raw)
    values.set(member.key, member.value);
  if (defaults)
    for (const auto &[name, alias] : defaults->attributeMap)
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
    return diags.error(where(key), "is a " + rope->kindName() + ", not a mapping", "correct config.json");
  }
  Object parameters = rope ? rope->object() : Object();
  if (rope && isPerLayerType(parameters)) {
    Object perType;
    for (const json::Member &member : parameters) {
      if (member.value.isNull())
        continue;
      Object inner = member.value.object();
      if (failed(normaliseRopeMapping(inner, values, (key + "." + member.key).str(), diags)))
        return failure();
      perType.set(member.key, Value(inner));
    }
    values.set("rope_parameters", Value(perType));
    return config;
  }
  if (rope && failed(normaliseRopeMapping(parameters, values, key, diags)))
    return failure();
  if (const Value *theta = nonNull(parameters, "rope_theta"))
    values.set("rope_theta", *theta);
  else if (!nonNull(values, "rope_theta"))
    values.set("rope_theta", Value(defaults && defaults->defaultTheta ? *defaults->defaultTheta : 10000.0));
  if (const Value *theta = values.find("rope_theta"); !theta->isNumber())
    return diags.error(where("rope_theta"), "is a " + theta->kindName() + ", not a number", "correct config.json");
  else if (!(theta->number() > 0 && std::isfinite(theta->number())))
    return diags.error(where("rope_theta"), "is " + json::toText(*theta) + ", and must be above 0", "correct config.json");
  if (const Value *partial = nonNull(parameters, "partial_rotary_factor"))
    values.set("partial_rotary_factor", *partial);
  const Value *type = parameters.find("rope_type");
  values.set("rope_scaling", type && type->string() != "default" ? Value(parameters) : Value());
  values.erase("rope_parameters");
  return config;
}

void flagrelease::checkConfigKeys(const ModelConfig &config, const ModelRecipe &recipe, const InertKeys &inert,
                                  const ClassDefaults *defaults, const std::vector<std::string> &assumeInert,
                                  Diagnostics &diags) {
  std::set<std::string> known;
  for (const std::string &path : recipe.configKeys())
    known.insert(StringRef(path).split('.').first.str());
  for (const MatchEntry &entry : recipe.match)
    for (const auto &[key, values] : entry.keys)
      known.insert(StringRef(key).split('.').first.str());
  for (StringRef key : kNormalised)
    known.insert(key.str());

  for (StringRef key : assumeInert) {
    if (known.count(key.str()))
      (void)diags.error("--assume-inert " + key, "recipe " + recipe.name + " reads this key: it changes the model",
                        "leave it out");
    else if (!config.raw.find(key.split('.').first))
      (void)diags.error("--assume-inert " + key, "config.json has no such key", "leave it out");
  }
  auto assumed = [&](StringRef key) { return llvm::is_contained(assumeInert, key); };
  auto complain = [&](StringRef key, const Value &value) {
    std::string text = json::toText(value);
    if (text.size() > 80)
      text = text.substr(0, 77) + "...";
    (void)diags.error(where(key), "recipe " + recipe.name + " does not know this key, and its value is not the default: " + text,
                      "if it does not change the model's numbers, pass --assume-inert " + key);
  };
  for (const json::Member &member : config.raw) {
    StringRef key = member.key;
    std::string canonical = key.str();
    if (defaults)
      for (const auto &[name, alias] : defaults->attributeMap)
        if (alias == key)
          canonical = name;
    if (known.count(canonical) || known.count(key.str()) || member.value.isNull() || !inert.reason(key).empty() || assumed(key))
      continue;
    const Value *standard = defaults ? defaults->values.find(key) : nullptr;
    for (const DefaultOverride &override : recipe.defaultOverrides)
      if (override.key == key)
        standard = &override.value;
    if (standard && *standard == member.value)
      continue;
    complain(key, member.value);
  }
  for (StringRef key : {"rope_scaling", "rope_parameters"}) {
    const Value *rope = config.raw.find(key);
    if (!rope || !rope->isObject() || isPerLayerType(rope->object()))
      continue;
    for (const json::Member &member : rope->object()) {
      std::string path = (key + "." + member.key).str();
      if (!llvm::is_contained(kRopeKeys, StringRef(member.key)) && !member.value.isNull() && inert.reason(path).empty() &&
          !assumed(path))
        complain(path, member.value);
    }
  }
}
