// Chip recipes (recipes/chips/*.yaml): what a chip is, and which toolchains take models to it (DESIGN section 5).
//
// Every figure names its source; what is unknown is absent. Commands are lists of argv words in which {model} {out} {shapes}
// {soc} are replaced word by word; no shell sees them. {out} is a path without suffix: the command, or its compiler, adds the one
// that `artefact` matches. `serve` has placeholders of its own.
#pragma once

#include "recipes/Fields.h"
#include "recipes/NumberFormat.h"
#include "recipes/OpTable.h"
#include "recipes/RecipeFiles.h"
#include "text/Diagnostics.h"

#include <map>

namespace flagrelease {

/// How well a chip computes in a number format.
enum class Support : uint8_t {
  None,
  WeightOnly, ///< weights may be stored so; arithmetic is in a wider format
  Emulated,   ///< software
  Optional,   ///< some parts of this name have it: the probe of the device decides
  Native,
};
StringRef supportName(Support support);

enum class ChipKind : uint8_t { HostCpu, Cloud, Datacenter, Edge, Auto, Mobile, Pc, Mcu };
StringRef chipKindName(ChipKind kind);

struct ChipFormat {
  NumberFormat format;
  Support support;
};

/// In GiB and GB/s (10^9 bytes per second) of one chip.
struct ChipMemory {
  std::optional<double> gib;    ///< what every part of this name has
  std::optional<double> maxGib; ///< the most a part can have; boards differ
  std::optional<double> gbPerS;
  bool shared = false; ///< with the host's processor
  std::vector<std::string> source;
};

/// Dense peak in 10^12 operations per second.
struct ChipPeak {
  NumberFormat format;
  double tera;
};

/// How a compiler wants the shapes of the inputs: `ids:1,8;mask:1,8` or `ids:1x8,mask:1x8`.
struct ShapeSpelling {
  std::string betweenDims = ",";
  std::string betweenInputs = ";";
};

struct NamedShape {
  std::string name;
  std::vector<int64_t> dims;
};

/// How the engine of a toolchain is started on an artefact. The program writes this down and starts nothing.
struct ServeCommand {
  std::vector<std::string> argv;           ///< words with {model} {name} {dtype} {context}; empty: not known
  std::vector<std::string> packages;       ///< of Python, each with its version
  std::string image;                       ///< of a container, with a tag or a digest; empty: none is sourced
  std::vector<std::string> imageArguments; ///< more words inside of the container, such as the address to listen at
  std::vector<std::string> source;
};

/// An engine or a compiler that takes one format to the chip.
struct Toolchain {
  std::string format; ///< of the artefact: "onnx", "hf", "gguf", "native"
  std::string engine; ///< "onnxruntime", "vllm", …
  std::string ops;    ///< operator table; empty: the engine owns the graph, operators are not checked
  IntRange opset;     ///< of the default ONNX domain; meaningful with `ops`
  bool staticShapes = false;
  bool linksAllowed = true;               ///< external data may lie in a file with more than one hard link
  std::vector<NumberFormat> compute;      ///< what the graph may compute in, the preferred one first; empty: not known
  std::vector<NumberFormat> stores;       ///< what weights may be stored in (a Cast follows); empty: not known
  bool arithmeticOfWeights = false;       ///< products are computed in the type of the weights: activations are rounded to it
  std::vector<std::string> loads;         ///< quantised checkpoint layouts that the engine loads
  std::vector<std::string> architectures; ///< `architectures` of config.json that the engine is known to load; others may work
  ServeCommand serve;
  std::vector<std::string> compile; ///< argv with placeholders; empty: the engine loads the artefact itself
  ShapeSpelling shapes;
  std::string artefact;            ///< glob of what the compiler (or the exporter) leaves
  std::string visibleEnv;          ///< environment variable that selects devices
  std::string triton;              ///< back end of Triton for this chip
  std::vector<std::string> limits; ///< in words
  std::vector<std::string> source;
  bool shipped = true; ///< `compile` comes with the program; else it needs the user's permission
  Place place;

  bool computesIn(NumberFormat format) const;
  bool storesIn(NumberFormat format) const;
};

struct ChipRecipe {
  std::string name;
  std::vector<std::string> aka;
  std::string vendor;
  std::string origin; ///< country code, or INT
  ChipKind kind = ChipKind::Cloud;
  std::string soc;                        ///< the toolchain's own name of the chip: {soc}
  std::vector<std::string> hostMachines;  ///< the chip is the host's processor if `uname -m` is one of these
  std::vector<std::string> queryContains; ///< the chip is there if the output of `query` contains one of these
  std::optional<ChipMemory> memory;       ///< absent for a host CPU: its memory is the host's
  std::vector<ChipFormat> dtypes;
  std::vector<std::string> dtypesSource;
  std::vector<ChipPeak> peak;
  bool peakMeasured = false; ///< else the vendor's rating
  std::vector<std::string> peakSource;
  std::vector<Toolchain> toolchains; ///< the preferred one first
  std::vector<std::string> query;    ///< argv that shows the device
  bool queryShipped = true;          ///< as Toolchain::shipped
  std::string confidence;
  std::vector<std::string> sources;
  RecipeFile file;

  bool isHostCpu() const { return !hostMachines.empty(); }
  /// True if the host's processor is this chip; `machine` is what `uname -m` says.
  bool isHost(StringRef machine) const;
  /// True if the output of `query` shows this chip: one of its texts stands there and no letter or digit follows it.
  bool isShownBy(StringRef queryOutput) const;
  /// GiB to plan with, or nothing: ask the host.
  std::optional<double> memoryGib() const;
  /// What is known about a number format; nothing if the recipe does not say.
  std::optional<Support> supports(NumberFormat format) const;
  /// The first toolchain for a format; null if there is none.
  const Toolchain *toolchain(StringRef format) const;
  /// The formats that the toolchains take, in their order.
  std::vector<std::string> formats() const;
};

class ChipSet {
public:
  /// Reads every chip of a folder (recipes/chips); `extra` as recipeFilesIn has it.
  static FailureOr<ChipSet> load(StringRef folder, StringRef extra, Diagnostics &diags);

  /// By name or alias; null if there is none.
  const ChipRecipe *find(StringRef nameOrAlias) const;
  /// As find; an unknown name is a problem at `where` that names the nearest.
  FailureOr<const ChipRecipe *> get(StringRef nameOrAlias, StringRef where, Diagnostics &diags) const;
  /// The chip that the host's processor is (`uname -m`); null if no recipe knows it.
  const ChipRecipe *ofHost(StringRef machine) const;
  std::vector<std::string> names() const;
  const std::map<std::string, ChipRecipe> &all() const { return chips; }

private:
  std::map<std::string, ChipRecipe> chips;
  std::map<std::string, std::string> aliases; ///< alias -> name
};

/// Reports operator tables that toolchains name and that do not exist, and opset ranges that no table covers.
LogicalResult checkToolchains(const ChipSet &chips, const OpTables &tables, Diagnostics &diags);

/// The compile command of a toolchain with its placeholders replaced. No word is split, joined or quoted.
std::vector<std::string> compileCommand(const ChipRecipe &chip, const Toolchain &toolchain, StringRef model, StringRef out,
                                        llvm::ArrayRef<NamedShape> inputs);

/// docs/chips.md: one table of all chips, one of their toolchains, the sources of each.
std::string chipsMarkdown(const ChipSet &chips);

} // namespace flagrelease
