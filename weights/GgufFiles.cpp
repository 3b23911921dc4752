#include "weights/GgufFiles.h"

#include "text/Escape.h"
#include "weights/CappedErrors.h"
#include "weights/Gguf.h"

#include <filesystem>

namespace flagrelease {

namespace {

const char *const kFetchAgain = "the download is incomplete or mixes two models: fetch all files of the set again";

struct OneFile {
  CheckpointFile file;
  GgufHeader header;
};

LogicalResult readOne(const std::string &folder, const std::string &name, OneFile &out, Diagnostics &diags) {
  out.file.name = name;
  out.file.path = folder + "/" + name;
  std::error_code error;
  if (!std::filesystem::exists(out.file.path, error))
    return diags.error(out.file.path, "is part of the set, and is not there", "fetch the missing file");
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(out.file.path, diags);
  if (failed(source))
    return failure();
  FailureOr<GgufHeader> header = readGgufHeader(**source, diags);
  if (failed(header))
    return failure();
  out.file.bytes = (*source)->size();
  out.file.mtimeNs = (*source)->state().mtimeNs;
  out.file.headerDigest = header->digest;
  out.header = std::move(*header);
  return success();
}

/// What each file says about the set against the set that its name and the others make.
LogicalResult checkSet(const std::vector<OneFile> &read, size_t tensors, Diagnostics &diags) {
  CappedErrors errors(diags, read.front().file.path);
  for (size_t i = 0; i < read.size(); ++i) {
    const GgufKeyValues &values = read[i].header.values;
    const std::string &path = read[i].file.path;
    if (read.size() == 1 && !values.find("split.count"))
      continue;
    struct {
      const char *key;
      size_t expected;
    } const facts[] = {{"split.no", i}, {"split.count", read.size()}, {"split.tensors.count", tensors}};
    for (const auto &[key, expected] : facts) {
      const GgufValue *value = values.find(key);
      std::optional<int64_t> number = value && !value->isList() ? value->asInt() : std::nullopt;
      if (number && *number == static_cast<int64_t>(expected))
        continue;
      errors.error("contradictions between files", path + ": " + key,
                   (value ? "is " + value->str() : std::string("is missing")) + ", but the set has " + std::to_string(expected),
                   read.size() == 1 ? "give the first file of the set, with the others beside it" : kFetchAgain);
    }
  }
  return failure(errors.any());
}

} // namespace

FailureOr<Checkpoint> openGgufFiles(const std::string &folder, const std::vector<std::string> &files, Diagnostics &diags,
                                    const WorkOptions &work) {
  Checkpoint checkpoint;
  checkpoint.folder = folder;
  std::vector<OneFile> read(files.size());
  auto task = [&](size_t i, Diagnostics &messages) { return readOne(folder, files[i], read[i], messages); };
  if (failed(parallelFor(work.jobs, read.size(), task, diags, /*keepGoing=*/true)))
    return failure();
  for (OneFile &one : read) {
    uint32_t file = static_cast<uint32_t>(checkpoint.files.size());
    checkpoint.files.push_back(one.file);
    checkpoint.files.back().format = FileFormat::Gguf;
    for (const GgufTensor &tensor : one.header.tensors) {
      CheckpointTensor entry{tensor.name, tensor.type, tensor.storedShape(), file, tensor.offset, tensor.bytes};
      if (tensor.block) {
        entry.block = tensor.block;
        entry.decoded = tensor.shape;
      }
      checkpoint.tensors.push_back(std::move(entry));
    }
  }
  if (failed(checkSet(read, checkpoint.tensors.size(), diags)))
    return failure();
  checkpoint.buildIndex();
  CappedErrors errors(diags, folder);
  for (const CheckpointTensor &tensor : checkpoint.tensors)
    if (const CheckpointTensor *first = checkpoint.find(tensor.name); first != &tensor)
      errors.error("tensors that are in two files", escape::terminal(tensor.name, 80),
                   "is in " + checkpoint.files[first->file].name + " and in " + checkpoint.files[tensor.file].name, kFetchAgain);
  if (errors.any())
    return failure();
  if (checkpoint.tensors.empty())
    return diags.error(checkpoint.files.front().path, "holds no tensor",
                       "check that it is the model you mean, not its vocabulary");
  checkpoint.gguf = std::make_shared<const GgufKeyValues>(std::move(read.front().header.values));
  return checkpoint;
}

} // namespace flagrelease
