#include "recipes/ChipRecipe.h"

#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/ErrorHandling.h"

namespace flagrelease {

StringRef supportName(Support support) {
  switch (support) {
  case Support::None:
    return "none";
  case Support::WeightOnly:
    return "weight-only";
  case Support::Emulated:
    return "emulated";
  case Support::Optional:
    return "optional";
  case Support::Native:
    return "native";
  }
  llvm_unreachable("a support that is none");
}

StringRef chipKindName(ChipKind kind) {
  switch (kind) {
  case ChipKind::HostCpu:
    return "host-cpu";
  case ChipKind::Cloud:
    return "cloud";
  case ChipKind::Datacenter:
    return "datacenter";
  case ChipKind::Edge:
    return "edge";
  case ChipKind::Auto:
    return "auto";
  case ChipKind::Mobile:
    return "mobile";
  case ChipKind::Pc:
    return "pc";
  case ChipKind::Mcu:
    return "mcu";
  }
  llvm_unreachable("a kind of chip that is none");
}

bool Toolchain::computesIn(NumberFormat format) const { return llvm::is_contained(compute, format); }
bool Toolchain::storesIn(NumberFormat format) const { return llvm::is_contained(stores, format); }

bool ChipRecipe::isHost(StringRef machine) const { return llvm::is_contained(hostMachines, machine); }

bool ChipRecipe::isShownBy(StringRef queryOutput) const {
  for (const std::string &text : queryContains)
    for (size_t at = queryOutput.find(text); at != StringRef::npos; at = queryOutput.find(text, at + 1))
      // A longer name is another chip: 910B3 is not 910B32.
      if (at + text.size() == queryOutput.size() || !llvm::isAlnum(queryOutput[at + text.size()]))
        return true;
  return false;
}

std::optional<double> ChipRecipe::memoryGib() const {
  if (!memory)
    return std::nullopt;
  return memory->gib ? memory->gib : memory->maxGib;
}

std::optional<Support> ChipRecipe::supports(NumberFormat format) const {
  for (const ChipFormat &one : dtypes)
    if (covers(one.format, format))
      return one.support;
  return std::nullopt;
}

const Toolchain *ChipRecipe::toolchain(StringRef format) const {
  for (const Toolchain &one : toolchains)
    if (one.format == format)
      return &one;
  return nullptr;
}

std::vector<std::string> ChipRecipe::formats() const {
  std::vector<std::string> names;
  for (const Toolchain &one : toolchains)
    if (!llvm::is_contained(names, one.format))
      names.push_back(one.format);
  return names;
}

const ChipRecipe *ChipSet::find(StringRef nameOrAlias) const {
  auto alias = aliases.find(nameOrAlias.str());
  auto chip = chips.find(alias == aliases.end() ? nameOrAlias.str() : alias->second);
  return chip == chips.end() ? nullptr : &chip->second;
}

const ChipRecipe *ChipSet::ofHost(StringRef machine) const {
  for (const auto &[name, chip] : chips)
    if (chip.isHost(machine))
      return &chip;
  return nullptr;
}

std::vector<std::string> ChipSet::names() const {
  std::vector<std::string> names;
  for (const auto &[name, chip] : chips)
    names.push_back(name);
  return names;
}

FailureOr<const ChipRecipe *> ChipSet::get(StringRef nameOrAlias, StringRef where, Diagnostics &diags) const {
  if (const ChipRecipe *chip = find(nameOrAlias))
    return chip;
  std::vector<std::string> known = names(), candidates = known;
  for (const auto &[alias, name] : aliases)
    candidates.push_back(alias);
  return diags.error(where, "unknown chip '" + Twine(nameOrAlias) + "'" + nearestNote(nameOrAlias, candidates),
                     "known: " + Twine(listed(known, 24)) + "; a chip is one file of recipes/chips");
}

LogicalResult checkToolchains(const ChipSet &chips, const OpTables &tables, Diagnostics &diags) {
  ErrorMark mark(diags);
  for (const auto &[name, chip] : chips.all()) {
    for (const Toolchain &one : chip.toolchains) {
      if (one.ops.empty())
        continue;
      FailureOr<const OpTable *> table = tables.get(one.ops, one.place.str(), diags);
      if (succeeded(table) && (*table)->vocabulary == OpVocabulary::Onnx && !(*table)->opset.contains(one.opset.first))
        (void)diags.error(one.place.str(), "the toolchain reads opset " + Twine(one.opset.str()) + ", its operator table '" +
                                               one.ops + "' speaks of " + (*table)->opset.str());
    }
  }
  return success(mark.clean());
}

static std::string spell(llvm::ArrayRef<NamedShape> inputs, const ShapeSpelling &spelling) {
  std::string text;
  for (const NamedShape &input : inputs) {
    if (!text.empty())
      text += spelling.betweenInputs;
    text += input.name + ":";
    for (auto [index, dim] : llvm::enumerate(input.dims))
      text += (index ? spelling.betweenDims : "") + std::to_string(dim);
  }
  return text;
}

std::vector<std::string> compileCommand(const ChipRecipe &chip, const Toolchain &toolchain, StringRef model, StringRef out,
                                        llvm::ArrayRef<NamedShape> inputs) {
  const std::string shapes = spell(inputs, toolchain.shapes);
  const std::pair<StringRef, StringRef> values[] = {
      {"{model}", model}, {"{out}", out}, {"{soc}", chip.soc}, {"{shapes}", shapes}};
  std::vector<std::string> words;
  for (StringRef word : toolchain.compile) {
    // From left to right and never over what was put in: a file may be named {soc}.
    std::string done;
    while (!word.empty()) {
      auto hit = llvm::find_if(values, [&](const auto &value) { return word.starts_with(value.first); });
      if (hit == std::end(values)) {
        done += word.front();
        word = word.drop_front();
      } else {
        done += hit->second;
        word = word.drop_front(hit->first.size());
      }
    }
    words.push_back(std::move(done));
  }
  return words;
}

} // namespace flagrelease
