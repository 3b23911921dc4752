#include "recipes/ModelPatch.h"

#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

using namespace flagrelease;
using llvm::is_contained;

static constexpr StringRef kOwn[] = {"recipe", "like", "match", "patch"};
static constexpr StringRef kMerged[] = {"configs", "let",    "sizes", "inputs", "graphs",
                                        "tasks",   "ignore", "inert", "host",   "gguf"};

/// RFC 7386 on an ordered mapping.
static void mergePatch(yaml::Node &target, const yaml::Node &patch) {
  if (!patch.isMapping() || !target.isMapping()) {
    target = patch;
    return;
  }
  for (const yaml::Entry &entry : patch.entries) {
    auto found = llvm::find_if(target.entries, [&](const yaml::Entry &e) { return e.key == entry.key; });
    if (entry.value.isNull()) {
      if (found != target.entries.end())
        target.entries.erase(found);
    } else if (found == target.entries.end()) {
      target.entries.push_back(entry);
    } else {
      mergePatch(found->value, entry.value);
    }
  }
}

yaml::Node flagrelease::mergeRecipes(const yaml::Node &child, const yaml::Node &parent) {
  yaml::Node out = child;
  llvm::erase_if(out.entries, [](const yaml::Entry &e) { return e.key == "like"; });
  for (const yaml::Entry &inherited : parent.entries) {
    if (is_contained(kOwn, StringRef(inherited.key)))
      continue;
    yaml::Node *own = out.find(inherited.key);
    if (!own) {
      out.entries.push_back(inherited);
    } else if (is_contained(kMerged, StringRef(inherited.key))) {
      if (own->isNull())
        continue; // the child has none
      yaml::Node merged = inherited.value;
      mergePatch(merged, *own);
      *own = std::move(merged);
    } else if (inherited.key == "rename" && own->isMapping()) {
      for (const yaml::Entry &entry : inherited.value.entries)
        if (!own->find(entry.key))
          own->entries.push_back(entry);
    }
  }
  return out;
}

/// A step's explicit id; empty if it has none.
static StringRef explicitId(const yaml::Node &step) {
  for (const yaml::Entry &entry : step.entries)
    if (entry.key != "do")
      if (const yaml::Node *id = entry.value.find("id"))
        return id->text;
  return "";
}
static yaml::Entry *kindEntry(yaml::Node &step) {
  for (yaml::Entry &entry : step.entries)
    if (entry.key != "do")
      return &entry;
  return nullptr;
}
static StringRef nameOf(yaml::Node &step) {
  StringRef id = explicitId(step);
  yaml::Entry *kind = kindEntry(step);
  return !id.empty() ? id : kind ? StringRef(kind->key) : StringRef();
}

/// The list that a path goes on in, below a step: its body, a branch or a case.
static yaml::Node *bodyOf(yaml::Node &step, StringRef &rest, const Place &place, Diagnostics &diags) {
  if (yaml::Node *body = step.find("do"))
    return body;
  yaml::Entry *kind = kindEntry(step);
  auto [component, after] = rest.split('/');
  yaml::Node *found = nullptr;
  if (yaml::Node *branches = kind ? kind->value.find("branches") : nullptr) {
    size_t i = 0;
    if (!component.getAsInteger(10, i) && i < branches->items.size())
      found = &branches->items[i];
  } else if (yaml::Node *cases = kind ? kind->value.find("cases") : nullptr) {
    found = cases->find(component);
  }
  if (!found || !found->isSequence()) {
    (void)diags.error(place.str(), "the step '" + escape::terminal(nameOf(step), 80) + "' has no steps under '" +
                                       escape::terminal(component, 80) + "'");
    return nullptr;
  }
  rest = after;
  return found;
}

FailureOr<StepPlace> flagrelease::findStep(yaml::Node &recipe, StringRef path, const Place &place, Diagnostics &diags) {
  StringRef rest = path;
  yaml::Node *list = recipe.find("graph");
  for (StringRef section : {"tasks", "graphs"}) {
    if (!rest.starts_with((section + ".").str()))
      continue;
    auto [name, after] = rest.drop_front(section.size() + 1).split('/');
    yaml::Node *entries = recipe.find(section);
    yaml::Node *entry = entries ? entries->find(name) : nullptr;
    list = entry ? entry->find("do") : nullptr;
    if (!list)
      return diags.error(place.str(), "the recipe has no steps in '" + section + "." + escape::terminal(name, 80) + "'");
    rest = after;
  }
  if (!list || !list->isSequence())
    return diags.error(place.str(), "the recipe has no graph");
  for (;;) {
    auto [component, after] = rest.split('/');
    llvm::SmallVector<size_t, 2> matches;
    std::vector<StringRef> names;
    for (size_t i = 0; i < list->items.size(); ++i) {
      names.push_back(nameOf(list->items[i]));
      if (names.back() == component)
        matches.push_back(i);
    }
    if (matches.size() != 1)
      return diags.error(place.str(),
                         "the path '" + escape::terminal(path, 200) + "' matches " +
                             (matches.empty() ? "no step" : std::to_string(matches.size()) + " steps") + " at '" +
                             escape::terminal(component, 80) + "'" + (matches.empty() ? nearestNote(component, names) : ""),
                         matches.empty() ? "ids of this list: " + listed(names, 20) : "give these steps ids of their own");
    if (after.empty())
      return StepPlace{list, matches[0]};
    rest = after;
    list = bodyOf(list->items[matches[0]], rest, place, diags);
    if (!list)
      return failure();
    if (rest.empty())
      return diags.error(place.str(), "the path '" + escape::terminal(path, 200) + "' ends at a list, not at a step");
  }
}

static LogicalResult applyOne(yaml::Node &recipe, const yaml::Entry &entry, Diagnostics &diags) {
  FailureOr<StepPlace> at = findStep(recipe, entry.key, entry.place, diags);
  if (failed(at))
    return failure();
  if (!entry.value.isMapping())
    return diags.error(entry.value.place.str(), "a patch is a mapping, found a " + yaml::kindName(entry.value.kind));

  std::vector<yaml::Node> before, after, replacement;
  bool removed = false;
  yaml::Node keys = entry.value;
  keys.entries.clear();
  for (const yaml::Entry &key : entry.value.entries) {
    if (!StringRef(key.key).starts_with("$")) {
      keys.entries.push_back(key);
      continue;
    }
    if (key.key == "$delete") {
      if (key.value.asBool() != true)
        return diags.error(key.value.place.str(), "$delete takes true");
      removed = true;
      continue;
    }
    std::vector<yaml::Node> *into = key.key == "$before"    ? &before
                                    : key.key == "$after"   ? &after
                                    : key.key == "$replace" ? &replacement
                                                            : nullptr;
    if (!into)
      return diags.error(key.place.str(),
                         "unknown patch action '" + escape::terminal(key.key, 80) + "'" +
                             nearestNote(key.key, llvm::ArrayRef<StringRef>{"$before", "$after", "$replace", "$delete"}),
                         "known: $before, $after, $replace, $delete");
    if (!key.value.isSequence())
      return diags.error(key.value.place.str(), key.key + " takes a list of steps");
    *into = key.value.items;
    removed |= key.key == "$replace";
  }
  if (removed && !keys.entries.empty())
    return diags.error(keys.entries.front().place.str(), "a patch that replaces or deletes a step cannot also change its keys");

  std::vector<yaml::Node> &items = at->list->items;
  if (!removed) {
    yaml::Node &step = items[at->index];
    for (const yaml::Entry &key : keys.entries) {
      if (key.key == "do") {
        yaml::Node *body = step.find("do");
        if (!body)
          return diags.error(key.place.str(), "the step '" + nameOf(step) + "' has no `do:`");
        *body = key.value;
        continue;
      }
      yaml::Node one = keys;
      one.entries = {key};
      yaml::Entry *kind = kindEntry(step);
      if (!kind)
        return diags.error(key.place.str(), "the step has no kind");
      if (!kind->value.isMapping()) {
        kind->value = yaml::Node();
        kind->value.kind = yaml::Kind::Mapping;
        kind->value.place = kind->place;
      }
      mergePatch(kind->value, one);
    }
  }
  std::vector<yaml::Node> out(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(at->index));
  llvm::append_range(out, before);
  if (!removed)
    out.push_back(items[at->index]);
  llvm::append_range(out, replacement);
  llvm::append_range(out, after);
  out.insert(out.end(), items.begin() + static_cast<std::ptrdiff_t>(at->index) + 1, items.end());
  items = std::move(out);
  return success();
}

LogicalResult flagrelease::applyPatches(yaml::Node &recipe, const yaml::Node &patch, Diagnostics &diags) {
  if (!patch.isMapping())
    return diags.error(patch.place.str(), "`patch` is a mapping from id paths to patches");
  LogicalResult result = success();
  for (const yaml::Entry &entry : patch.entries)
    if (failed(applyOne(recipe, entry, diags)))
      result = failure();
  return result;
}
