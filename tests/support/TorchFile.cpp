#include "tests/support/TorchFile.h"

#include <zlib.h>

namespace flagrelease::test {

namespace {

class Bytes {
public:
  Bytes &n(unsigned width, uint64_t value) {
    for (unsigned i = 0; i < width; ++i)
      text.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  Bytes &t(const std::string &more) { return text += more, *this; }
  std::string text;
};

/// The class of torch that holds elements of this type; empty for types whose tensors are views of an UntypedStorage.
StringRef storageClass(DType type) {
  switch (type) {
  case DType::F64:
    return "DoubleStorage";
  case DType::F32:
    return "FloatStorage";
  case DType::F16:
    return "HalfStorage";
  case DType::BF16:
    return "BFloat16Storage";
  case DType::I64:
    return "LongStorage";
  case DType::I32:
    return "IntStorage";
  case DType::I16:
    return "ShortStorage";
  case DType::I8:
    return "CharStorage";
  case DType::U8:
    return "ByteStorage";
  case DType::Bool:
    return "BoolStorage";
  default:
    return "";
  }
}

StringRef dtypeOfTorch(DType type) {
  switch (type) {
  case DType::F8E4M3:
    return "float8_e4m3fn";
  case DType::F8E5M2:
    return "float8_e5m2";
  case DType::F8E8M0:
    return "float8_e8m0fnu";
  case DType::U16:
    return "uint16";
  case DType::U32:
    return "uint32";
  default:
    return "uint64";
  }
}

} // namespace

std::string makeZip(const std::vector<ZipEntry> &entries, const ZipEnd &end) {
  Bytes out, central;
  out.t(end.before);
  for (const ZipEntry &entry : entries) {
    const uint64_t header = out.text.size(), size = entry.content.size();
    const uint32_t crc = static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef *>(entry.content.data()), static_cast<uInt>(entry.content.size())));
    const std::string localName = entry.localName.value_or(entry.name);
    const uint64_t used = header + 30 + localName.size() + 4, padding = (64 - used % 64) % 64;
    const uint32_t local = entry.localSize.value_or(static_cast<uint32_t>(size));
    out.n(4, 0x04034b50).n(2, 0).n(2, entry.flags).n(2, entry.method).n(4, 0).n(4, crc).n(4, local).n(4, local);
    out.n(2, localName.size()).n(2, 4 + padding).t(localName).t("FB").n(2, padding).t(std::string(padding, 'Z'));
    out.t(entry.content);
    const uint32_t full = 0xffffffff;
    central.n(4, 0x02014b50).n(2, 0).n(2, 0).n(2, entry.flags).n(2, entry.method).n(4, 0).n(4, crc);
    central.n(4, entry.zip64 ? full : entry.stored.value_or(static_cast<uint32_t>(size)));
    central.n(4, entry.zip64 ? full : entry.unpacked.value_or(static_cast<uint32_t>(size)));
    central.n(2, entry.name.size()).n(2, entry.zip64 ? 28 : 0).n(2, 0).n(2, 0).n(2, 0).n(4, 0);
    central.n(4, entry.zip64 ? full : entry.header.value_or(static_cast<uint32_t>(header))).t(entry.name);
    if (entry.zip64)
      central.n(2, 1).n(2, 24).n(8, size).n(8, size).n(8, header);
  }
  const uint64_t directory = end.directory.value_or(out.text.size());
  const uint64_t bytes = end.directoryBytes.value_or(central.text.size()), members = end.members.value_or(entries.size());
  out.t(central.text);
  if (end.zip64) {
    const uint64_t record = out.text.size();
    out.n(4, 0x06064b50).n(8, 44).n(2, 45).n(2, 45).n(4, 0).n(4, 0).n(8, members).n(8, members).n(8, bytes).n(8, directory);
    out.n(4, 0x07064b50).n(4, 0).n(8, record).n(4, 1);
    out.n(4, 0x06054b50).n(2, 0).n(2, 0).n(2, 0xffff).n(2, 0xffff).n(4, 0xffffffff).n(4, 0xffffffff);
  } else {
    out.n(4, 0x06054b50).n(2, 0).n(2, 0).n(2, members).n(2, members).n(4, bytes).n(4, directory);
  }
  out.n(2, end.comment.size()).t(end.comment);
  return out.text;
}

std::string torchFile(const std::string &pickle, const std::vector<std::string> &storages, const std::vector<ZipEntry> &more) {
  std::vector<ZipEntry> entries;
  auto add = [&](const std::string &name, const std::string &content) {
    entries.emplace_back();
    entries.back().name = "archive/" + name;
    entries.back().content = content;
  };
  add("data.pkl", pickle);
  add("byteorder", "little");
  for (size_t i = 0; i < storages.size(); ++i)
    add("data/" + std::to_string(i), storages[i]);
  add("version", "3\n");
  entries.insert(entries.end(), more.begin(), more.end());
  return makeZip(entries);
}

std::string torchFile(llvm::ArrayRef<FixtureTensor> tensors) {
  PickleText pickle;
  std::vector<std::string> storages;
  pickle.orderedDict().raw("(");
  for (const FixtureTensor &tensor : tensors) {
    const std::string key = std::to_string(storages.size());
    const int64_t width = byteWidth(tensor.type), bytes = static_cast<int64_t>(tensor.bytes.size());
    const StringRef typed = storageClass(tensor.type);
    std::vector<int64_t> strides(tensor.shape.size(), 1);
    for (size_t i = strides.size(); i-- > 1;)
      strides[i - 1] = strides[i] * std::max<int64_t>(1, tensor.shape[i]);
    pickle.string(tensor.name).global("torch._utils", typed.empty() ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2").raw("(");
    if (typed.empty())
      pickle.storage("torch.storage", "UntypedStorage", key, bytes);
    else
      pickle.storage("torch", typed, key, bytes / width);
    pickle.integer(0).integers(tensor.shape).integers(strides).raw("\x89").orderedDict();
    if (typed.empty())
      pickle.global("torch", dtypeOfTorch(tensor.type));
    pickle.raw("tR");
    storages.emplace_back(reinterpret_cast<const char *>(tensor.bytes.data()), tensor.bytes.size());
  }
  return torchFile(pickle.raw("u").done(), storages);
}

} // namespace flagrelease::test
