#include "weights/CheckpointFiles.h"

#include "text/Nearest.h"
#include "weights/Files.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Path.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

namespace flagrelease {

namespace {

namespace fs = std::filesystem;

constexpr StringRef kSuffix = ".safetensors";
constexpr StringRef kTorchIndex = "pytorch_model.bin.index.json";

bool isIndex(StringRef name) { return name.ends_with(".json") && name.contains(".safetensors.index"); }
bool isTensors(StringRef name) { return name.ends_with(kSuffix); }
bool isGguf(StringRef name) { return name.ends_with(".gguf"); }

/// A file that torch.save may have written, by its name.
bool isTorch(StringRef name) {
  return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".ckpt");
}
/// What transformers takes for weights among them: pytorch_model.bin, pytorch_model-00001-of-00002.bin.
bool isTorchModel(StringRef name) {
  return name == "pytorch_model.bin" || (name.starts_with("pytorch_model-") && name.ends_with(".bin"));
}

/// consolidated*.safetensors: Mistral's own layout; model.fp16.safetensors, model.safetensors.index.fp16.json: variants.
bool isSecondary(StringRef name) {
  if (name.starts_with("consolidated"))
    return true;
  if (isIndex(name))
    return !name.ends_with(".safetensors.index.json");
  return name.drop_back(kSuffix.size()).contains('.');
}

/// NAME-00002-of-00003.safetensors, .bin or .gguf
struct SetMember {
  std::string stem, suffix;
  unsigned number = 0, count = 0;
};

bool parseSetMember(StringRef name, SetMember &member) {
  auto [rest, suffix] = name.rsplit('.');
  auto [head, count] = rest.rsplit("-of-");
  auto [stem, number] = head.rsplit('-');
  if (count.empty() || number.empty() || stem.empty() || count.size() > 6 || number.size() > 6)
    return false;
  member.stem = stem.str();
  member.suffix = "." + suffix.str();
  return !count.getAsInteger(10, member.count) && !number.getAsInteger(10, member.number) && member.count > 0;
}

constexpr unsigned kMaxSet = 10'000;

std::string numbered(const SetMember &member, unsigned number) {
  char text[64];
  std::snprintf(text, sizeof text, "-%05u-of-%05u", number, member.count);
  return member.stem + text + member.suffix;
}

LogicalResult ambiguous(const std::string &folder, const std::vector<std::string> &names, Diagnostics &diags) {
  return diags.error(folder, "has several checkpoints, none of them named model: " + listed(names),
                     "give the file itself instead of the folder");
}

/// Chooses among files without index. `names` is not empty.
LogicalResult chooseFiles(const std::string &folder, const std::vector<std::string> &names, CheckpointChoice &choice,
                          Diagnostics &diags) {
  std::map<std::pair<std::string, unsigned>, std::vector<std::string>> sets;
  std::vector<std::string> singles;
  SetMember member;
  for (const std::string &name : names) {
    if (parseSetMember(name, member))
      sets[{member.stem, member.count}].push_back(name);
    else
      singles.push_back(name);
  }
  if (sets.empty() && singles.size() == 1) {
    choice.files = singles;
    return success();
  }
  if (sets.size() != 1 || !singles.empty())
    return ambiguous(folder, names, diags);
  const std::vector<std::string> &set = sets.begin()->second;
  parseSetMember(set.front(), member);
  std::vector<std::string> missing;
  if (set.size() > member.count) // two ways to write one number
    return ambiguous(folder, names, diags);
  for (unsigned i = 1; i <= member.count && missing.size() < 1000; ++i)
    if (!std::binary_search(set.begin(), set.end(), numbered(member, i)))
      missing.push_back(numbered(member, i));
  if (!missing.empty())
    return diags.error(folder,
                       "has " + Twine(set.size()) + " of the " + Twine(member.count) + " files of " + member.stem +
                           "; missing: " + listed(missing),
                       "fetch the missing files");
  choice.files = set;
  diags.note(folder, "has no index file; all " + Twine(member.count) + " files of the set " + member.stem + " are read");
  return success();
}

/// A folder without safetensors: what torch.save wrote, if it is called as transformers calls it.
LogicalResult chooseTorch(const std::string &folder, const std::vector<std::string> &others, CheckpointChoice &choice,
                          Diagnostics &diags) {
  std::vector<std::string> models, torch;
  for (const std::string &name : others) {
    if (isTorchModel(name))
      models.push_back(name);
    if (isTorch(name))
      torch.push_back(name);
  }
  choice.format = FileFormat::PyTorch;
  const bool hasIndex = llvm::is_contained(others, kTorchIndex);
  if (llvm::is_contained(models, "pytorch_model.bin")) {
    choice.files = {"pytorch_model.bin"};
    std::vector<std::string> ignored;
    for (const std::string &name : models)
      if (name != choice.files.front())
        ignored.push_back(name);
    if (hasIndex)
      ignored.push_back(kTorchIndex.str());
    if (!ignored.empty())
      diags.note(folder, "reads pytorch_model.bin, as transformers does; not read: " + listed(ignored));
    return success();
  }
  if (hasIndex) {
    choice.index = kTorchIndex.str();
    choice.beside = models;
    return success();
  }
  if (!models.empty())
    return chooseFiles(folder, models, choice, diags);
  if (others.empty())
    return diags.error(folder, "has no .safetensors file and no pytorch_model.bin",
                       "give a folder with the files of a Hugging Face or ModelScope repository");
  return diags.error(folder, "has no .safetensors file and no pytorch_model.bin, only " + listed(others),
                     torch.empty() ? "fetch a revision with safetensors, or convert it with its own library"
                                   : "give the file with the weights itself, for example " + folder + "/" + torch.front());
}

} // namespace

FailureOr<CheckpointChoice> chooseCheckpointFiles(const std::string &given, Diagnostics &diags) {
  CheckpointChoice choice;
  std::error_code error;
  fs::file_status status = fs::status(given, error);
  if (status.type() == fs::file_type::not_found || status.type() == fs::file_type::none) {
    return systemError(diags, given, "open it", error ? error.value() : ENOENT);
  }
  if (status.type() != fs::file_type::directory) {
    std::string name = llvm::sys::path::filename(given).str();
    choice.folder = llvm::sys::path::parent_path(given).str();
    if (choice.folder.empty())
      choice.folder = ".";
    if (isIndex(name))
      choice.index = name;
    else if (isTensors(name))
      choice.files = {name};
    else if (isTorch(name) || StringRef(name).ends_with(".bin.index.json")) {
      choice.format = FileFormat::PyTorch;
      if (isTorch(name))
        choice.files = {name};
      else
        choice.index = name;
    } else if (isGguf(name)) {
      choice.format = FileFormat::Gguf;
      SetMember member;
      if (!parseSetMember(name, member))
        choice.files = {name};
      else if (member.count > kMaxSet)
        return diags.error(given, "is one of " + Twine(member.count) + " files; at most " + Twine(kMaxSet) + " are read",
                           "give a checkpoint of fewer files");
      else // one file of a set stands for the set
        for (unsigned i = 1; i <= member.count; ++i)
          choice.files.push_back(numbered(member, i));
    } else {
      return diags.error(
          given, "is no checkpoint: a folder, a .safetensors or .gguf file, a file of torch.save or an index file is needed",
          "give one of these");
    }
    return choice;
  }

  choice.folder = given;
  while (choice.folder.size() > 1 && choice.folder.back() == '/')
    choice.folder.pop_back();
  std::vector<std::string> indexes, files, secondary, gguf, others;
  fs::directory_iterator it(given, error), end;
  for (; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (name.front() == '.') // ._model.safetensors: what some systems leave beside each file
      continue;
    if (isIndex(name) || isTensors(name))
      (isSecondary(name) ? secondary : isIndex(name) ? indexes : files).push_back(name);
    else if (isGguf(name))
      gguf.push_back(name);
    else if (isTorch(name) || name == kTorchIndex || StringRef(name).ends_with(".onnx"))
      others.push_back(name);
  }
  if (error) {
    return systemError(diags, given, "list the folder", error.value());
  }
  for (std::vector<std::string> *names : {&indexes, &files, &secondary, &gguf, &others})
    std::sort(names->begin(), names->end());

  auto has = [](const std::vector<std::string> &names, const char *name) {
    return std::binary_search(names.begin(), names.end(), name);
  };
  if (has(files, "model.safetensors"))
    choice.files = {"model.safetensors"};
  else if (has(indexes, "model.safetensors.index.json"))
    choice.index = "model.safetensors.index.json";
  else if (indexes.size() == 1)
    choice.index = indexes.front();
  else if (indexes.size() > 1)
    return ambiguous(given, indexes, diags);
  else if (!files.empty()) {
    if (failed(chooseFiles(given, files, choice, diags)))
      return failure();
  } else if (!secondary.empty()) {
    std::vector<std::string> secondaryFiles;
    for (const std::string &name : secondary) {
      if (isIndex(name) && choice.index.empty())
        choice.index = name;
      else if (isIndex(name))
        return ambiguous(given, secondary, diags);
      else
        secondaryFiles.push_back(name);
    }
    if (choice.index.empty() && failed(chooseFiles(given, secondaryFiles, choice, diags)))
      return failure();
    secondary.clear();
  } else if (std::any_of(others.begin(), others.end(),
                         [](const std::string &name) { return isTorchModel(name) || name == kTorchIndex; }) ||
             gguf.empty()) {
    if (failed(chooseTorch(given, others, choice, diags)))
      return failure();
    return choice;
  } else {
    choice.format = FileFormat::Gguf;
    if (failed(chooseFiles(given, gguf, choice, diags)))
      return failure();
    gguf.clear();
  }

  // Say what was passed over. Shards of the chosen index are not: they are read.
  if (!choice.index.empty())
    choice.beside = files;
  std::vector<std::string> ignored = secondary;
  ignored.insert(ignored.end(), gguf.begin(), gguf.end());
  if (choice.index.empty())
    ignored.insert(ignored.end(), indexes.begin(), indexes.end());
  else
    for (const std::string &index : indexes)
      if (index != choice.index)
        ignored.push_back(index);
  if (choice.files.size() == 1 && files.size() > 1)
    for (const std::string &file : files)
      if (file != choice.files.front())
        ignored.push_back(file);
  // Safetensors win over the same weights as pickles.
  for (const std::string &name : others)
    if (isTorchModel(name) || name == kTorchIndex)
      ignored.push_back(name);
  if (!ignored.empty())
    diags.note(given, "reads " + (choice.index.empty() ? choice.files.front() : choice.index) +
                          ", as transformers does; not read: " + listed(ignored));
  return choice;
}

} // namespace flagrelease
