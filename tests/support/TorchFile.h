// Zip archives and pickles made by hand: as torch.save writes them, and in every way that it does not.
#pragma once

#include "tests/support/FixtureValues.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease::test {

/// A member of an archive; what is set differs from what an honest writer would say.
struct ZipEntry {
  std::string name, content;
  uint16_t method = 0, flags = 0;                   ///< of both headers
  std::optional<std::string> localName;             ///< of the local header
  std::optional<uint32_t> localSize;                ///< of the local header, both sizes
  std::optional<uint32_t> stored, unpacked, header; ///< of the central directory
  bool zip64 = false;                               ///< sizes and offset in the central directory's extra field
};

struct ZipEnd {
  std::optional<uint64_t> members = {}, directory = {}, directoryBytes = {};
  bool zip64 = false;      ///< with the zip64 records, which then hold the three numbers
  std::string before = ""; ///< in front of the first member
  std::string comment = "";
};

/// Data of each member starts at a multiple of 64, by an extra field.
std::string makeZip(const std::vector<ZipEntry> &entries, const ZipEnd &end = {});

/// A pickle, opcode by opcode. Protocol 2 unless said otherwise.
class PickleText {
public:
  explicit PickleText(int protocol = 2) { raw("\x80").raw(std::string(1, static_cast<char>(protocol))); }
  PickleText &raw(StringRef bytes) { return text.append(bytes.begin(), bytes.end()), *this; }
  PickleText &global(StringRef module, StringRef name) { return raw("c").raw(module).raw("\n").raw(name).raw("\n"); }
  PickleText &string(StringRef value) { return raw("X").number(value.size(), 4).raw(value); }
  PickleText &integer(int64_t value) { return raw("\x8a\x08").number(static_cast<uint64_t>(value), 8); }
  /// `width` bytes, little endian.
  PickleText &number(uint64_t value, unsigned width) {
    for (unsigned i = 0; i < width; ++i)
      text.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  PickleText &integers(llvm::ArrayRef<int64_t> values) {
    raw("(");
    for (int64_t value : values)
      integer(value);
    return raw("t");
  }
  PickleText &orderedDict() { return global("collections", "OrderedDict").raw(")R"); }
  /// A persistent id, as the storage that it stands for.
  PickleText &storage(StringRef module, StringRef name, StringRef key, int64_t elements) {
    return raw("(").string("storage").global(module, name).string(key).string("cpu").integer(elements).raw("tQ");
  }
  /// A call of _rebuild_tensor_v2 over a storage of FloatStorage.
  PickleText &tensor(StringRef key, int64_t elements, llvm::ArrayRef<int64_t> shape, llvm::ArrayRef<int64_t> strides,
                     int64_t offset = 0) {
    return global("torch._utils", "_rebuild_tensor_v2")
        .raw("(")
        .storage("torch", "FloatStorage", key, elements)
        .integer(offset)
        .integers(shape)
        .integers(strides)
        .raw("\x89")
        .orderedDict()
        .raw("tR");
  }
  std::string done() { return text + "."; }

private:
  std::string text;
};

/// What torch.save({name: tensor, ...}) writes: an OrderedDict of contiguous tensors, one storage each.
std::string torchFile(llvm::ArrayRef<FixtureTensor> tensors);
/// An archive around any pickle, with storages "0", "1", ...
std::string torchFile(const std::string &pickle, const std::vector<std::string> &storages = {},
                      const std::vector<ZipEntry> &more = {});

} // namespace flagrelease::test
