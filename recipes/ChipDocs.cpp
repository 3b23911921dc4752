// The generated page about chips.
#include "recipes/ChipRecipe.h"

#include "text/Escape.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace flagrelease {

/// "64", "1600", "82.9": as the recipe wrote it, at most one digit after the point.
static std::string number(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.')
    text.pop_back();
  return text;
}

static std::string memoryText(const ChipRecipe &chip) {
  if (!chip.memory)
    return chip.isHostCpu() ? "the host's" : "";
  const ChipMemory &memory = *chip.memory;
  std::string text = memory.gib ? number(*memory.gib) : "up to " + number(*memory.maxGib);
  text += " GiB";
  if (memory.shared)
    text += ", shared";
  if (memory.gbPerS)
    text += ", " + number(*memory.gbPerS) + " GB/s";
  return text;
}

static std::string dtypesText(const ChipRecipe &chip) {
  std::string text;
  for (Support support : {Support::Native, Support::Optional, Support::Emulated, Support::WeightOnly, Support::None}) {
    std::vector<std::string> names;
    for (const ChipFormat &one : chip.dtypes)
      if (one.support == support)
        names.push_back(numberFormatName(one.format).str());
    if (!names.empty())
      text += (text.empty() ? "" : "; ") + supportName(support).str() + ": " + llvm::join(names, " ");
  }
  return text;
}

static std::string peakText(const ChipRecipe &chip) {
  std::string text;
  for (const ChipPeak &peak : chip.peak)
    text += (text.empty() ? "" : ", ") + numberFormatName(peak.format).str() + " " + number(peak.tera);
  return text.empty() || !chip.peakMeasured ? text : text + " (measured)";
}

static std::string formatsText(llvm::ArrayRef<NumberFormat> formats) {
  std::vector<std::string> names;
  for (NumberFormat format : formats)
    names.push_back(numberFormatName(format).str());
  return llvm::join(names, " ");
}

std::string chipsMarkdown(const ChipSet &chips) {
  auto text = [](StringRef raw) { return escape::markdown(raw); };
  std::string out = "| chip | also | vendor | class | memory | number formats | peak, 10^12/s |\n|---|---|---|---|---|---|---|\n";
  for (const auto &[name, chip] : chips.all())
    out += "| " + text(name) + " | " + text(llvm::join(chip.aka, ", ")) + " | " + text(chip.vendor) + " | " +
           text(chip.origin + " " + chipKindName(chip.kind).str()) + " | " + memoryText(chip) + " | " + dtypesText(chip) + " | " +
           peakText(chip) + " |\n";
  out += "\n| chip | format | engine | operators | opset | computes in | stores | shapes | compiler "
         "|\n|---|---|---|---|---|---|---|---|---|\n";
  for (const auto &[name, chip] : chips.all())
    for (const Toolchain &one : chip.toolchains)
      out += "| " + text(name) + " | " + one.format + " | " + text(one.engine) + " | " +
             (one.ops.empty() ? "the engine's own" : text(one.ops)) + " | " + (one.ops.empty() ? "" : one.opset.str()) + " | " +
             formatsText(one.compute) + " | " + formatsText(one.stores) + " | " + (one.staticShapes ? "static" : "dynamic") +
             " | " + (one.compile.empty() ? "" : text(one.compile.front())) + " |\n";
  for (const auto &[name, chip] : chips.all()) {
    out += "\n### " + text(name) + "\n\n";
    for (const Toolchain &one : chip.toolchains)
      for (const std::string &limit : one.limits)
        out += "* " + one.format + ", " + text(one.engine) + ": " + text(limit) + "\n";
    out += "\nSources:\n\n";
    for (auto [index, source] : llvm::enumerate(chip.sources))
      out += std::to_string(index + 1) + ". " + text(source) + "\n";
  }
  return out;
}

} // namespace flagrelease
