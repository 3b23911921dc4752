#include "devices/TensorFile.h"

#include "text/Escape.h"
#include "text/Json.h"
#include "text/Nearest.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

namespace flagrelease {

static_assert(std::endian::native == std::endian::little, "safetensors data is little endian, and is not swapped here");

namespace {

constexpr uint64_t kMaxHeaderBytes = uint64_t(16) << 20;
const char kBroken[] = "the file is not what the safetensors format describes; write it again";

struct OpenFile {
  int fd;
  ~OpenFile() {
    if (fd >= 0)
      ::close(fd);
  }
};

bool readAll(int fd, uint64_t offset, void *out, uint64_t count) {
  auto *to = static_cast<char *>(out);
  while (count > 0) {
    ssize_t got = ::pread(fd, to, std::min<uint64_t>(count, 1 << 30), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return false;
    to += got, offset += static_cast<uint64_t>(got), count -= static_cast<uint64_t>(got);
  }
  return true;
}

bool writeAll(int fd, const void *bytes, size_t count) {
  auto *from = static_cast<const char *>(bytes);
  while (count > 0) {
    ssize_t done = ::write(fd, from, std::min<size_t>(count, 1 << 30));
    if (done < 0 && errno == EINTR)
      continue;
    if (done <= 0)
      return false;
    from += done, count -= static_cast<size_t>(done);
  }
  return true;
}

struct Placed {
  std::string name;
  uint64_t begin, end;
  HostTensor tensor;
};

/// One member of the header: everything about it but the bytes.
std::optional<Placed> readEntry(const json::Member &member, uint64_t dataBytes, std::string &what) {
  const json::Value *dtype = member.value.find("dtype"), *shape = member.value.find("shape"),
                    *offsets = member.value.find("data_offsets");
  if (!dtype || !dtype->isString() || !shape || !shape->isArray() || !offsets || !offsets->isArray() ||
      offsets->array().size() != 2) {
    what = "header entry without dtype, shape and data_offsets";
    return std::nullopt;
  }
  std::optional<DType> type = parseDType(dtype->string());
  if (!type) {
    what = "unknown dtype \"" + escape::terminal(dtype->string(), 40) + "\"";
    return std::nullopt;
  }
  if (!hasNumbers(*type)) {
    what = "dtype " + dtypeName(*type).str() + ", whose numbers this version does not compute with";
    return std::nullopt;
  }
  Placed placed;
  placed.name = member.key;
  placed.tensor.type = *type;
  uint64_t bytes = byteWidth(*type);
  if (shape->array().size() > 32) {
    what = "shape of " + std::to_string(shape->array().size()) + " dimensions";
    return std::nullopt;
  }
  for (const json::Value &size : shape->array()) {
    std::optional<int64_t> extent = size.asInt();
    if (!extent || *extent < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(*extent), &bytes) || bytes > INT64_MAX) {
      what = "impossible shape " + escape::terminal(json::toText(*shape), 120);
      return std::nullopt;
    }
    placed.tensor.shape.push_back(*extent);
  }
  std::optional<int64_t> begin = offsets->array()[0].asInt(), end = offsets->array()[1].asInt();
  if (!begin || !end || *begin < 0 || *end < *begin || static_cast<uint64_t>(*end) > dataBytes) {
    what = "data_offsets " + escape::terminal(json::toText(*offsets), 80) + " outside the " + std::to_string(dataBytes) +
           " bytes of data";
    return std::nullopt;
  }
  placed.begin = static_cast<uint64_t>(*begin), placed.end = static_cast<uint64_t>(*end);
  if (placed.end - placed.begin != bytes) {
    what = std::to_string(placed.end - placed.begin) + " bytes of data, but " + dtypeName(*type).str() + " " +
           json::toText(*shape) + " needs " + std::to_string(bytes);
    return std::nullopt;
  }
  return placed;
}

} // namespace

FailureOr<NamedTensors> readTensorFile(const std::string &path, uint64_t maxBytes, Diagnostics &diags,
                                       std::map<std::string, std::string> *metadata) {
  OpenFile file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0)
    return diags.error(path, "cannot open: " + Twine(strerror(errno)), "check the path",
                       errno == EACCES ? Cause::Environment : Cause::Input);
  struct stat info{};
  if (::fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode))
    return diags.error(path, "not a regular file", "name a safetensors file");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > maxBytes)
    return diags.error(path, "file of " + Twine(size) + " bytes, at most " + Twine(maxBytes) + " are read",
                       "ask for fewer tensors");
  uint64_t headerBytes = 0;
  if (size < 8 || !readAll(file.fd, 0, &headerBytes, 8) || headerBytes > size - 8 || headerBytes > kMaxHeaderBytes)
    return diags.error(path, "not a safetensors file: a header of " + Twine(headerBytes) + " bytes in a file of " + Twine(size),
                       kBroken);
  std::string header(headerBytes, '\0');
  if (!readAll(file.fd, 8, header.data(), headerBytes))
    return diags.error(path, "cannot read the header", kBroken, Cause::Environment);
  FailureOr<json::Value> parsed = json::parse(header, path, diags);
  if (failed(parsed))
    return failure();
  if (!parsed->isObject())
    return diags.error(path, "the header is no JSON mapping", kBroken);

  const uint64_t dataBegin = 8 + headerBytes, dataBytes = size - dataBegin;
  std::vector<Placed> entries;
  bool good = true;
  for (const json::Member &member : parsed->object()) {
    if (member.key == "__metadata__") {
      if (metadata && member.value.isObject())
        for (const json::Member &note : member.value.object())
          if (note.value.isString())
            (*metadata)[note.key] = note.value.string().str();
      continue;
    }
    std::string what;
    if (std::optional<Placed> placed = readEntry(member, dataBytes, what)) {
      entries.push_back(std::move(*placed));
    } else {
      (void)diags.error(path + ": " + member.key, what, kBroken);
      good = false;
    }
  }
  if (!good)
    return failure();
  std::sort(entries.begin(), entries.end(),
            [](const Placed &a, const Placed &b) { return a.begin < b.begin || (a.begin == b.begin && a.end < b.end); });
  uint64_t expected = 0;
  for (const Placed &entry : entries) {
    if (entry.begin != expected)
      return diags.error(path + ": " + entry.name,
                         "its data begins at " + Twine(entry.begin) + ", the tensor before ends at " + Twine(expected), kBroken);
    expected = entry.end;
  }
  if (expected != dataBytes)
    return diags.error(path, Twine(dataBytes - expected) + " bytes behind the last tensor", kBroken);

  NamedTensors tensors;
  for (Placed &entry : entries) {
    entry.tensor.bytes.resize(entry.end - entry.begin);
    if (!readAll(file.fd, dataBegin + entry.begin, entry.tensor.bytes.data(), entry.tensor.bytes.size()))
      return diags.error(path + ": " + entry.name, "cannot read its data", "check the disk", Cause::Environment);
    tensors.emplace(std::move(entry.name), std::move(entry.tensor));
  }
  return tensors;
}

LogicalResult writeTensorFile(const std::string &path, const NamedTensors &tensors, Diagnostics &diags,
                              const std::map<std::string, std::string> &metadata) {
  std::string header;
  json::Writer writer(header, json::Writer::Style::Compact);
  writer.beginObject();
  if (!metadata.empty()) {
    writer.key("__metadata__");
    writer.beginObject();
    for (const auto &[key, value] : metadata)
      writer.member(key, value);
    writer.endObject();
  }
  uint64_t offset = 0;
  for (const auto &[name, tensor] : tensors) {
    writer.key(name);
    writer.beginObject();
    writer.member("dtype", dtypeName(tensor.type));
    writer.key("shape");
    writer.beginArray();
    for (int64_t size : tensor.shape)
      writer.value(size);
    writer.endArray();
    writer.key("data_offsets");
    writer.beginArray();
    writer.value(offset);
    writer.value(offset += tensor.bytes.size());
    writer.endArray();
    writer.endObject();
  }
  writer.endObject();
  header.resize((header.size() + 7) / 8 * 8, ' ');

  std::string part = path + ".part";
  OpenFile file{::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666)};
  const uint64_t headerBytes = header.size();
  bool good = file.fd >= 0 && writeAll(file.fd, &headerBytes, 8) && writeAll(file.fd, header.data(), header.size());
  for (auto it = tensors.begin(); good && it != tensors.end(); ++it)
    good = writeAll(file.fd, it->second.bytes.data(), it->second.bytes.size());
  if (good && ::rename(part.c_str(), path.c_str()) == 0)
    return success();
  int error = errno;
  if (file.fd >= 0)
    ::unlink(part.c_str());
  return diags.error(path, "cannot write: " + Twine(strerror(error)), "check permissions and free space", Cause::Environment);
}

} // namespace flagrelease
