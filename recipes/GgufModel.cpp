// The gguf section applied: to a model that is written, and to a file that is read.
#include "recipes/GgufSection.h"

#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <cmath>
#include <numbers>

using namespace flagrelease;
using json::Value;

bool RowShuffle::identity() const {
  for (size_t i = 0; i < permutation.size(); ++i)
    if (permutation[i] != static_cast<int64_t>(i))
      return false;
  return true;
}

RowShuffle RowShuffle::inverse() const {
  RowShuffle out;
  out.permutation.resize(permutation.size());
  for (size_t j = 0; j < permutation.size(); ++j) {
    out.sizes.push_back(sizes[permutation[j]]);
    out.permutation[permutation[j]] = static_cast<int64_t>(j);
  }
  return out;
}

GgufModel::GgufModel(const GgufSection &section, const Scope &scope) : section(section), own(&scope) {
  own.bindLets(section.let);
}

FailureOr<bool> GgufModel::holds(const std::optional<Expr> &when, Diagnostics &diags) const {
  return when ? when->evalBool(own, diags) : FailureOr<bool>(true);
}

LogicalResult GgufModel::check(StringRef task, Diagnostics &diags) const {
  size_t before = diags.errors().size();
  if (!section.tasks.empty() && !llvm::is_contained(section.tasks, task))
    (void)diags.error("--format gguf", "the task " + task + " has no GGUF form for this family",
                      "known are: " + listed(section.tasks), Cause::Answer);
  for (const GgufSection::Refusal &refusal : section.refusals) {
    FailureOr<bool> applies = refusal.when.evalBool(own, diags);
    if (succeeded(applies) && *applies)
      (void)diags.error("--format gguf", refusal.reason, "migrate to another format", Cause::Answer);
  }
  return failure(diags.errors().size() != before);
}

static LogicalResult checkType(const GgufKeyRule &rule, const Value &value, Diagnostics &diags) {
  auto wrong = [&](StringRef needed) {
    return diags.error(rule.place.str(), "the key '" + rule.key + "' needs " + needed + ", got " + json::toText(value));
  };
  auto isU32 = [](const Value &v) { return v.isInt() && v.integer() >= 0 && v.integer() <= int64_t(0xffffffff); };
  switch (rule.type) {
  case GgufKeyType::U32:
    return isU32(value) ? success() : wrong("an int in [0, 2^32)");
  case GgufKeyType::F32:
    return value.isNumber() ? success() : wrong("a number");
  case GgufKeyType::Bool:
    return value.isBool() ? success() : wrong("a bool");
  case GgufKeyType::String:
    return value.isString() ? success() : wrong("a text");
  case GgufKeyType::U32s:
    return value.isArray() && llvm::all_of(value.array(), isU32) ? success() : wrong("a list of ints in [0, 2^32)");
  case GgufKeyType::F32s:
    return value.isArray() && llvm::all_of(value.array(), [](const Value &v) { return v.isNumber(); })
               ? success()
               : wrong("a list of numbers");
  }
  return failure();
}

FailureOr<std::vector<std::tuple<std::string, GgufKeyType, Value>>> GgufModel::keys(Diagnostics &diags) const {
  std::vector<std::tuple<std::string, GgufKeyType, Value>> out;
  size_t before = diags.errors().size();
  for (const GgufKeyRule &rule : section.keys) {
    FailureOr<bool> wanted = holds(rule.when, diags);
    if (failed(wanted) || !*wanted)
      continue;
    FailureOr<Value> value = rule.value.eval(own, diags);
    if (succeeded(value) && succeeded(checkType(rule, *value, diags)))
      out.emplace_back(section.arch + "." + rule.key, rule.type, *value);
  }
  if (diags.errors().size() != before)
    return failure();
  return out;
}

static std::string withIndex(StringRef name, int64_t i) {
  auto [head, tail] = name.split("{i}");
  return (head + Twine(i) + tail).str();
}

FailureOr<std::vector<GgufTensorPlan>> GgufModel::tensors(Diagnostics &diags) const {
  FailureOr<int64_t> layers = section.layers->evalInt(own, diags);
  if (failed(layers))
    return failure();
  if (*layers < 0 || *layers > 100'000)
    return diags.error(section.layers->place().str(), "a model of " + Twine(*layers) + " layers", "correct config.json");
  std::vector<GgufTensorPlan> out;
  auto add = [&](const GgufTensorRule &rule, std::string name, std::string from) {
    out.push_back({name + ".weight", from + ".weight", &rule, !rule.optional});
    out.push_back({name + ".bias", from + ".bias", &rule, false});
  };
  // Rules of layers make one run per layer, where the first of them stands.
  bool layersDone = false;
  for (const GgufTensorRule &rule : section.tensors) {
    if (!rule.perLayer()) {
      add(rule, rule.name, rule.from);
      continue;
    }
    if (std::exchange(layersDone, true))
      continue;
    for (int64_t i = 0; i < *layers; ++i)
      for (const GgufTensorRule &each : section.tensors)
        if (each.perLayer())
          add(each, withIndex(each.name, i), withIndex(each.from, i));
  }
  return out;
}

/// Llama 3 (transformers, _compute_llama3_parameters): how much each frequency is slowed down. Long waves by `factor`, short ones
/// not at all, between both a blend.
static std::vector<float> llama3Factors(int64_t dim, double theta, double factor, double low, double high, double original) {
  std::vector<float> out;
  for (int64_t j = 0; j < dim / 2; ++j) {
    double wave = 2 * std::numbers::pi * std::pow(theta, 2.0 * static_cast<double>(j) / static_cast<double>(dim));
    if (wave < original / high)
      out.push_back(1.0f);
    else if (wave > original / low)
      out.push_back(static_cast<float>(factor));
    else {
      double blend = (original / wave - low) / (high - low);
      out.push_back(static_cast<float>(1.0 / ((1.0 - blend) / factor + blend)));
    }
  }
  return out;
}

bool GgufModel::isIgnored(StringRef logical) const {
  for (const auto &[pattern, reason] : section.ignore) {
    auto [before, after] = StringRef(pattern).split("{i}");
    StringRef rest = logical;
    if (before.size() == pattern.size() ? rest == before
                                        : rest.consume_front(before) && rest.consume_back(after) && !rest.empty() &&
                                              rest.find_first_not_of("0123456789") == StringRef::npos)
      return true;
  }
  return false;
}

FailureOr<std::vector<GgufMade>> GgufModel::made(Diagnostics &diags) const {
  std::vector<GgufMade> out;
  for (const GgufMadeRule &rule : section.made) {
    FailureOr<bool> wanted = holds(rule.when, diags);
    if (failed(wanted))
      return failure();
    if (!*wanted)
      continue;
    GgufMade one{rule.name, {}};
    auto bad = [&](const Twine &what) { return diags.error(rule.place.str(), what, "correct config.json, or the recipe"); };
    FailureOr<std::optional<Value>> list = rule.list ? rule.list->evalOptional(own, diags) : std::optional<Value>();
    if (failed(list))
      return failure();
    if (*list || !rule.dim) {
      Value value = list->value_or(Value());
      if (!value.isArray() || value.array().empty())
        return bad("the tensor '" + rule.name + "' needs a list of numbers, got " + value.kindName());
      for (const Value &number : value.array()) {
        if (!number.isNumber())
          return bad("the tensor '" + rule.name + "' needs numbers, got " + number.kindName());
        one.values.push_back(static_cast<float>(number.number()));
      }
    } else {
      FailureOr<int64_t> dim = rule.dim->evalInt(own, diags);
      FailureOr<double> theta = rule.theta->evalNumber(own, diags);
      FailureOr<Value> scaling = rule.scaling->eval(own, diags);
      if (failed(dim) || failed(theta) || failed(scaling))
        return failure();
      auto number = [&](StringRef key) {
        const Value *value = scaling->find(key);
        return value && value->isNumber() ? value->number() : 0.0;
      };
      double factor = number("factor"), low = number("low_freq_factor"), high = number("high_freq_factor"),
             original = number("original_max_position_embeddings");
      if (!(factor > 0 && low > 0 && high > low && original > 0 && *dim > 1 && *dim <= 65536 && *theta > 0))
        return bad("the rope scaling " + json::toText(*scaling) + " has no factors for '" + rule.name + "'");
      one.values = llama3Factors(*dim, *theta, factor, low, high, original);
    }
    out.push_back(std::move(one));
  }
  return out;
}

FailureOr<RowShuffle> GgufModel::shuffle(const GgufTensorRule &rule, int64_t rows, Diagnostics &diags) const {
  RowShuffle out;
  if (!rule.rows)
    return out;
  FailureOr<bool> wanted = holds(rule.rowsWhen, diags);
  if (failed(wanted))
    return failure();
  if (!*wanted)
    return out;
  Scope scope(&own);
  scope.bindLets(rule.sizes);
  int64_t known = 1, open = -1;
  for (size_t i = 0; i < rule.rows->axes.size(); ++i) {
    StringRef axis = rule.rows->axes[i];
    int64_t size = 0;
    if (llvm::all_of(axis, llvm::isDigit)) {
      if (axis.getAsInteger(10, size))
        size = 0;
    } else if (auto let = llvm::find_if(rule.sizes, [&](const Let &l) { return l.name == axis; }); let != rule.sizes.end()) {
      FailureOr<int64_t> value = let->value.evalInt(scope, diags);
      if (failed(value))
        return failure();
      size = *value;
    } else {
      open = static_cast<int64_t>(i);
      out.sizes.push_back(0);
      continue;
    }
    if (size < 1 || size > rows)
      return diags.error(rule.name, "its axis '" + axis + "' has size " + Twine(size) + ", and it has " + Twine(rows) + " rows",
                         "config.json and the tensors are of different models");
    known *= size;
    out.sizes.push_back(size);
    if (known > rows)
      break;
  }
  if (known > rows || rows % known || (open < 0 && known != rows))
    return diags.error(rule.name, "its " + Twine(rows) + " rows are no multiple of " + Twine(known) + ", as its axes need",
                       "config.json and the tensors are of different models");
  if (open >= 0)
    out.sizes[static_cast<size_t>(open)] = rows / known;
  out.permutation = rule.rows->permutation;
  return out;
}

/// Sets a dotted path. False when a part of the path is something else already.
static bool setPath(json::Object &object, StringRef path, Value value) {
  auto [head, tail] = path.split('.');
  if (tail.empty()) {
    if (const Value *old = object.find(head); old && old->isObject())
      return false;
    object.set(head, std::move(value));
    return true;
  }
  const Value *old = object.find(head);
  if (old && !old->isObject())
    return false;
  json::Object inner = old ? old->object() : json::Object();
  bool fine = setPath(inner, tail, std::move(value));
  object.set(head, Value(std::move(inner)));
  return fine;
}

FailureOr<json::Object> flagrelease::ggufConfig(const GgufSection &section, const GgufFileFacts &facts, StringRef where,
                                                Diagnostics &diags) {
  const std::string prefix = section.arch + ".";
  std::set<std::string> known;
  for (const GgufKeyRule &rule : section.keys)
    known.insert(rule.key);
  for (const auto &[key, value] : section.config)
    value.freeNames(known);
  std::vector<std::string> knownList(known.begin(), known.end());
  size_t before = diags.errors().size();
  json::Object names;
  for (const json::Member &member : facts.keys) {
    StringRef key = member.key;
    bool own = key.consume_front(prefix);
    if (own && !known.count(key.str()) && !section.inert.count(key.str()))
      (void)diags.error((where + ": " + escape::terminal(member.key, 80)).str(),
                        "the recipe does not know this key of " + section.arch + ", and its value is " +
                            escape::terminal(json::toText(member.value), 80) +
                            nearestNote(key, llvm::ArrayRef<std::string>(knownList)),
                        "the model may need something that this version does not build");
    if ((own || key.starts_with("general.") || key.starts_with("tokenizer.")) && !setPath(names, key, member.value) && own)
      (void)diags.error((where + ": " + escape::terminal(member.key, 80)).str(), "contradicts a key that begins with it", "");
  }
  if (diags.errors().size() != before)
    return failure();
  Scope scope;
  scope.bindAll(names);
  if (facts.tokens)
    scope.bind("tokens", Value(*facts.tokens));
  json::Array stored;
  json::Object shapes;
  for (const auto &[name, shape] : facts.shapes) {
    stored.emplace_back(name);
    json::Array dims;
    for (int64_t d : shape)
      dims.emplace_back(d);
    shapes.append(name, Value(std::move(dims)));
  }
  scope.bind("stored", Value(std::move(stored)));
  scope.bind("shapes", Value(std::move(shapes)));
  for (const auto &[name, values] : facts.made) {
    json::Array list;
    for (double v : values)
      list.emplace_back(v);
    scope.bind(StringRef(name).split('.').first, Value(std::move(list)));
  }
  json::Object config;
  config.set("architectures", Value(json::Array{Value(section.reads)}));
  for (const auto &[key, expr] : section.config) {
    FailureOr<std::optional<Value>> value = expr.evalOptional(scope, diags);
    if (failed(value))
      return failure();
    if (*value && !setPath(config, key, **value))
      return diags.error(section.place.str(), "the config key '" + key + "' contradicts another");
  }
  return config;
}
