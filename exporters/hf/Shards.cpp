#include "exporters/hf/Shards.h"

#include "text/Sizes.h"
#include "weights/Safetensors.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"

#include <map>

namespace flagrelease::hf_export {

namespace {

constexpr uint64_t kAlignment = 4096; ///< of the data section: a page, so that it can be mapped and reflinked
constexpr size_t kMaxShards = 99999;  ///< five digits in the names

ExportedTensor entryOf(const Stored &tensor) {
  return {tensor.name, tensor.unchanged ? tensor.first->name : "", tensor.type, tensor.shape, 0, tensor.bytes};
}

ExportedFile derivedFile(std::vector<const Stored *> tensors) {
  // In the order of the source, so that what is made of one tensor is made together. Only where that would leave one at an
  // offset that its elements do not divide, wider types come first. They lie in one array, in their order.
  uint64_t end = 0;
  const bool aligned = llvm::all_of(tensors, [&](const Stored *tensor) {
    const uint64_t offset = end;
    end += tensor->bytes;
    return offset % byteWidth(tensor->type) == 0;
  });
  if (!aligned)
    llvm::sort(tensors, [](const Stored *a, const Stored *b) {
      return byteWidth(a->type) != byteWidth(b->type) ? byteWidth(a->type) > byteWidth(b->type) : a < b;
    });
  std::vector<SafetensorsEntry> entries;
  for (const Stored *tensor : tensors)
    entries.push_back({tensor->name, tensor->type, tensor->shape, 0, tensor->bytes});
  ExportedFile file;
  file.kind = ExportedFile::Kind::Derived;
  file.head = layOutSafetensors(entries, {{"format", "pt"}}, kAlignment);
  file.bytes = file.head.size();
  for (auto [entry, tensor] : llvm::zip(entries, tensors)) {
    file.tensors.push_back(entryOf(*tensor));
    file.tensors.back().weight.clear();
    file.tensors.back().offset = entry.offset;
    file.bytes = entry.offset + entry.bytes;
  }
  return file;
}

std::string shardName(size_t index, size_t count) {
  if (count == 1)
    return "model.safetensors";
  std::string name;
  llvm::raw_string_ostream(name) << "model-" << llvm::format("%05zu", index + 1) << "-of-" << llvm::format("%05zu", count)
                                 << ".safetensors";
  return name;
}

} // namespace

FailureOr<Layout> layOutShards(const ExportRequest &request, llvm::ArrayRef<Stored> tensors, Diagnostics &diags) {
  // Which files of the source can stay as they are: each of their tensors is there, unchanged.
  std::map<uint32_t, std::vector<const Stored *>> unchanged;
  for (const Stored &tensor : tensors)
    if (tensor.unchanged)
      unchanged[tensor.first->file].push_back(&tensor);
  std::map<uint32_t, std::pair<size_t, uint64_t>> held; // tensors and their bytes
  for (const CheckpointTensor &tensor : request.checkpoint->tensors) {
    ++held[tensor.file].first;
    held[tensor.file].second += tensor.bytes;
  }
  auto isPlaced = [&](uint32_t index) {
    const CheckpointFile &file = request.checkpoint->files[index];
    auto format = file.metadata.find("format");
    return unchanged.count(index) && unchanged[index].size() == held[index].first &&
           StringRef(file.name).ends_with(".safetensors") && format != file.metadata.end() && format->second == "pt" &&
           (!request.reshard || held[index].second <= request.shardSize);
  };

  Layout layout;
  std::vector<const Stored *> open;
  uint64_t openBytes = 0;
  auto close = [&] {
    if (!open.empty())
      layout.files.push_back(derivedFile(std::move(open)));
    open.clear();
    openBytes = 0;
  };
  std::map<uint32_t, bool> placed;
  for (const Stored &tensor : tensors) {
    layout.tensorBytes += tensor.bytes;
    if (tensor.unchanged) {
      uint32_t index = tensor.first->file;
      auto [known, isNew] = placed.try_emplace(index, false);
      if (isNew && isPlaced(index)) {
        known->second = true;
        close();
        ExportedFile file;
        file.kind = ExportedFile::Kind::Placed;
        file.source = index;
        file.bytes = request.checkpoint->files[index].bytes;
        for (const Stored *held : unchanged[index]) {
          file.tensors.push_back(entryOf(*held));
          file.tensors.back().offset = held->first->offset;
        }
        llvm::sort(file.tensors, [](const ExportedTensor &a, const ExportedTensor &b) { return a.offset < b.offset; });
        layout.files.push_back(std::move(file));
      }
      if (known->second)
        continue;
    }
    if (!open.empty() && openBytes + tensor.bytes > request.shardSize)
      close();
    open.push_back(&tensor);
    openBytes += tensor.bytes;
  }
  close();
  if (layout.files.size() > kMaxShards)
    return diags.error("--shard-size",
                       humanBytes(request.shardSize) + " make " + Twine(layout.files.size()) + " files, the names count to " +
                           Twine(kMaxShards),
                       "use a larger size, such as 5GB");
  for (auto [i, file] : llvm::enumerate(layout.files))
    file.path = shardName(i, layout.files.size());
  return layout;
}

std::string indexJson(const Layout &layout) {
  std::string text;
  json::Writer writer(text);
  writer.beginObject();
  writer.key("metadata");
  writer.beginObject();
  writer.member("total_size", layout.tensorBytes);
  writer.endObject();
  writer.key("weight_map");
  writer.beginObject();
  for (const ExportedFile &file : layout.files)
    for (const ExportedTensor &tensor : file.tensors)
      writer.member(tensor.param, file.path);
  writer.endObject();
  writer.endObject();
  return text + "\n";
}

} // namespace flagrelease::hf_export
