#include "weights/Checkpoint.h"

#include "text/Json.h"
#include "text/Nearest.h"
#include "weights/CappedErrors.h"
#include "weights/CheckpointFiles.h"
#include "weights/Files.h"
#include "weights/GgufFiles.h"
#include "weights/PyTorchFile.h"
#include "weights/Safetensors.h"

#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/Path.h"

#include <algorithm>
#include <filesystem>
#include <map>

namespace flagrelease {

namespace {

const char *const kFetchAgain = "the download is incomplete or mixes two revisions: fetch the checkpoint again";

/// What an index file says: shard -> names of its tensors.
using WeightMap = std::map<std::string, std::vector<std::string>>;

FailureOr<WeightMap> readIndex(const std::string &path, FileFormat format, Diagnostics &diags) {
  json::Limits limits;
  limits.maxDepth = 16;
  limits.maxValues = 4'000'000;
  FailureOr<json::Value> root = json::parseFile(path, diags, limits);
  if (failed(root))
    return failure();
  const json::Value *map = root->find("weight_map");
  if (!map || !map->isObject() || map->object().empty()) {
    return diags.error(path + ": weight_map",
                       !map ? Twine("is missing") : Twine("is no mapping from tensor names to file names, or is empty"),
                       kFetchAgain);
  }
  WeightMap shards;
  CappedErrors errors(diags, path);
  for (const json::Member &member : map->object()) {
    std::string where = path + ": weight_map." + member.key;
    if (!member.value.isString())
      errors.error("entries that are no text", where, "is a " + member.value.kindName() + " where a file name is needed",
                   kFetchAgain);
    else if (StringRef file = member.value.string(); !isContainedPath(file))
      errors.error("entries that leave the folder", where,
                   "names the file '" + file + "', which is outside of the checkpoint's folder",
                   "do not trust this checkpoint; fetch it from its publisher");
    else if (StringRef suffix = format == FileFormat::PyTorch ? ".bin" : ".safetensors"; !file.ends_with(suffix))
      errors.error("entries of another format", where, "names the file '" + file + "', which is no " + suffix + " file",
                   "all files of an index are of one format: fetch the checkpoint again");
    else
      shards[file.str()].push_back(member.key);
  }
  if (errors.any())
    return failure();
  return shards;
}

/// Tensors of the index against tensors of the shards.
void compareWithIndex(const Checkpoint &checkpoint, const WeightMap &shards, Diagnostics &diags) {
  CappedErrors errors(diags, checkpoint.index);
  size_t listedCount = 0;
  for (const auto &[file, names] : shards) {
    listedCount += names.size();
    for (const std::string &name : names) {
      const CheckpointTensor *tensor = checkpoint.find(name);
      if (!tensor)
        errors.error("tensors of the index that are in no file", name, "is in " + checkpoint.index + " but not in " + file,
                     kFetchAgain);
      else if (checkpoint.files[tensor->file].name != file)
        errors.error("tensors that are in another file", name,
                     "is in " + checkpoint.files[tensor->file].name + ", but " + checkpoint.index + " says " + file, kFetchAgain);
    }
  }
  if (errors.any() || listedCount == checkpoint.tensors.size())
    return;
  llvm::StringMap<char> known;
  for (const auto &[file, names] : shards)
    for (const std::string &name : names)
      known.insert({name, 0});
  for (const CheckpointTensor &tensor : checkpoint.tensors)
    if (!known.contains(tensor.name))
      errors.error("tensors that are not in the index", tensor.name,
                   "is in " + checkpoint.files[tensor.file].name + " but not in " + checkpoint.index, kFetchAgain);
}

void reportDuplicates(const Checkpoint &checkpoint, Diagnostics &diags) {
  CappedErrors errors(diags, checkpoint.folder);
  for (size_t i = 0; i < checkpoint.tensors.size(); ++i) {
    const CheckpointTensor &tensor = checkpoint.tensors[i];
    const CheckpointTensor *first = checkpoint.find(tensor.name);
    if (first != &tensor)
      errors.error("tensors that are in two files", tensor.name,
                   "is in " + checkpoint.files[first->file].name + " and in " + checkpoint.files[tensor.file].name, kFetchAgain);
  }
}

struct OneFile {
  CheckpointFile file;
  std::vector<TensorEntry> tensors;
};

LogicalResult readOne(const std::string &folder, const std::string &name, const std::string &index, size_t tensorsListed,
                      OneFile &out, Diagnostics &diags) {
  out.file.name = name;
  out.file.path = folder + "/" + name;
  std::error_code error;
  if (!std::filesystem::exists(out.file.path, error)) {
    bool dangling = std::filesystem::is_symlink(out.file.path, error);
    std::string named = index.empty() ? std::string("is part of the set")
                                      : "is named by " + index + " for " + std::to_string(tensorsListed) + " tensors";
    return diags.error(out.file.path, named + (dangling ? ", and is a link to a file that does not exist" : ", and is not there"),
                       "fetch the missing file");
  }
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(out.file.path, diags);
  if (failed(source))
    return failure();
  out.file.bytes = (*source)->size();
  out.file.mtimeNs = (*source)->state().mtimeNs;
  switch (out.file.format) {
  case FileFormat::Safetensors: {
    FailureOr<SafetensorsHeader> header = readSafetensorsHeader(**source, diags);
    if (failed(header))
      return failure();
    out.file.headerDigest = std::move(header->digest);
    out.file.metadata = std::move(header->metadata);
    out.tensors = std::move(header->tensors);
    return success();
  }
  case FileFormat::PyTorch: {
    FailureOr<PyTorchHeader> header = readPyTorchHeader(**source, diags);
    if (failed(header))
      return failure();
    out.file.headerDigest = std::move(header->digest);
    out.tensors = std::move(header->tensors);
    return success();
  }
  case FileFormat::Gguf:
    break; // openGgufFiles reads sets of them
  }
  llvm_unreachable("every format is above");
}

} // namespace

void Checkpoint::buildIndex() {
  byName.clear();
  for (size_t i = 0; i < tensors.size(); ++i)
    byName.try_emplace(tensors[i].name, static_cast<uint32_t>(i));
}

const CheckpointTensor *Checkpoint::find(StringRef name) const {
  auto it = byName.find(name);
  return it == byName.end() ? nullptr : &tensors[it->second];
}

uint64_t Checkpoint::totalBytes() const {
  uint64_t total = 0;
  for (const CheckpointTensor &tensor : tensors)
    total += tensor.bytes;
  return total;
}

std::string Checkpoint::sourcesJson() const {
  // One line per entry: the file can be compared with diff and grep.
  std::string out = "{\"version\":1,\n\"files\":[";
  for (const CheckpointFile &file : files) {
    out += &file == &files.front() ? "\n" : ",\n";
    json::Writer writer(out, json::Writer::Style::Compact);
    writer.beginObject();
    writer.member("name", file.name);
    writer.member("bytes", file.bytes);
    writer.member("header_sha256", file.headerDigest);
    writer.endObject();
  }
  out += "\n],\n\"tensors\":[";
  for (const CheckpointTensor &tensor : tensors) {
    out += &tensor == &tensors.front() ? "\n" : ",\n";
    json::Writer writer(out, json::Writer::Style::Compact);
    writer.beginObject();
    writer.member("name", tensor.name);
    writer.member("dtype", dtypeName(tensor.type));
    writer.key("shape");
    writer.beginArray();
    for (int64_t dimension : tensor.shape)
      writer.value(dimension);
    writer.endArray();
    writer.member("file", files[tensor.file].name);
    writer.member("offset", tensor.offset);
    writer.member("bytes", tensor.bytes);
    if (tensor.block) {
      writer.member("block", blockInfo(*tensor.block).name);
      writer.key("decoded");
      writer.beginArray();
      for (int64_t dimension : tensor.decoded)
        writer.value(dimension);
      writer.endArray();
    }
    writer.endObject();
  }
  return out + "\n]}\n";
}

FailureOr<Checkpoint> openCheckpoint(const std::string &folderOrFile, Diagnostics &diags, const WorkOptions &work) {
  FailureOr<CheckpointChoice> choice = chooseCheckpointFiles(folderOrFile, diags);
  if (failed(choice))
    return failure();
  if (choice->format == FileFormat::Gguf)
    return openGgufFiles(choice->folder, choice->files, diags, work);
  Checkpoint checkpoint;
  checkpoint.folder = choice->folder;
  checkpoint.index = choice->index;
  WeightMap shards;
  if (!choice->index.empty()) {
    FailureOr<WeightMap> map = readIndex(checkpoint.folder + "/" + choice->index, choice->format, diags);
    if (failed(map))
      return failure();
    shards = std::move(*map);
    choice->files.clear();
    for (const auto &[file, names] : shards)
      choice->files.push_back(file);
    std::vector<std::string> unnamed;
    for (const std::string &file : choice->beside)
      if (!shards.count(file))
        unnamed.push_back(file);
    if (!unnamed.empty())
      diags.note(checkpoint.folder, "not read, because " + choice->index + " does not name them: " + listed(unnamed));
  }
  std::vector<OneFile> read(choice->files.size());
  auto task = [&](size_t i, Diagnostics &messages) {
    const std::string &name = choice->files[i];
    auto listed = shards.find(name);
    read[i].file.format = choice->format;
    return readOne(checkpoint.folder, name, checkpoint.index, listed == shards.end() ? 0 : listed->second.size(), read[i],
                   messages);
  };
  if (failed(parallelFor(work.jobs, read.size(), task, diags, /*keepGoing=*/true)))
    return failure();
  size_t count = 0;
  for (const OneFile &one : read)
    count += one.tensors.size();
  checkpoint.tensors.reserve(count);
  for (OneFile &one : read) {
    uint32_t file = static_cast<uint32_t>(checkpoint.files.size());
    checkpoint.files.push_back(std::move(one.file));
    for (TensorEntry &entry : one.tensors)
      checkpoint.tensors.push_back({std::move(entry.name), entry.type, std::move(entry.shape), file, entry.offset, entry.bytes});
    std::vector<TensorEntry>().swap(one.tensors);
  }
  checkpoint.buildIndex();
  size_t before = diags.errors().size();
  reportDuplicates(checkpoint, diags);
  if (!checkpoint.index.empty())
    compareWithIndex(checkpoint, shards, diags);
  if (checkpoint.tensors.empty())
    return diags.error(checkpoint.folder, "its files hold no tensor", "check that it is the checkpoint you mean");
  if (diags.errors().size() != before)
    return failure();
  return checkpoint;
}

FailureOr<std::vector<std::shared_ptr<FileSource>>> openSources(const Checkpoint &checkpoint, Diagnostics &diags) {
  std::vector<std::shared_ptr<FileSource>> sources;
  bool ok = true;
  for (const CheckpointFile &file : checkpoint.files) {
    FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(file.path, diags);
    if (failed(source)) {
      ok = false;
      continue;
    }
    if ((*source)->size() != file.bytes || (*source)->state().mtimeNs != file.mtimeNs) {
      (void)diags.error(file.path,
                        "was changed since its header was read (" + Twine(file.bytes) + " bytes before, " +
                            Twine((*source)->size()) + " now)",
                        "leave the source alone while a migration runs, then start it again");
      ok = false;
    }
    sources.push_back(*source);
  }
  if (!ok)
    return failure();
  return sources;
}

} // namespace flagrelease
