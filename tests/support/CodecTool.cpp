// The codecs on raw files, for tests that have another library beside them.
//
//   flagrelease-codec formats                                   one line each: name, type id, elements, bytes, "read" or "both"
//   flagrelease-codec encode|decode FORMAT IN OUT [LEVEL]        floats and blocks; LEVEL: plain, avx2, avx512
#include "weights/codecs/Codec.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

using namespace flagrelease;

namespace {

int fail(const std::string &what) {
  std::fprintf(stderr, "flagrelease-codec: %s\n", what.c_str());
  return 2;
}

std::optional<CpuLevel> levelOf(llvm::StringRef name) {
  if (name == "plain")
    return CpuLevel::Plain;
  if (name == "avx2")
    return CpuLevel::Avx2;
  if (name == "avx512")
    return CpuLevel::Avx512;
  return std::nullopt;
}

} // namespace

int main(int argc, char **argv) {
  llvm::StringRef task = argc > 1 ? argv[1] : "";
  if (task == "formats") {
    for (const BlockInfo &info : blockFormats())
      std::printf("%s %u %u %u %s\n", info.name, info.ggmlType, info.elements, info.bytes,
                  findCodec(info.format)->encode ? "both" : "read");
    return 0;
  }
  if ((task != "encode" && task != "decode") || argc < 5)
    return fail("usage: flagrelease-codec formats | encode FORMAT IN OUT [LEVEL] | decode FORMAT IN OUT [LEVEL]");
  std::optional<BlockFormat> format = parseBlockFormat(argv[2]);
  if (!format)
    return fail(std::string("no format ") + argv[2]);
  std::optional<CpuLevel> level = argc > 5 ? levelOf(argv[5]) : bestCpuLevel();
  if (!level || !cpuHas(*level))
    return fail(std::string("no level ") + argv[5] + " on this machine");
  const BlockCodec &codec = *findCodec(*format);
  if (task == "encode" && !codec.encode)
    return fail(std::string(argv[2]) + " is only read");

  std::ifstream in(argv[3], std::ios::binary);
  std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  const BlockInfo &info = blockInfo(*format);
  size_t unit = task == "encode" ? info.elements * sizeof(float) : info.bytes;
  if (!in || bytes.size() % unit)
    return fail(std::string(argv[3]) + ": not there, or no whole number of blocks");
  size_t blocks = bytes.size() / unit;
  std::vector<std::byte> packed(blocks * info.bytes);
  std::vector<float> values(blocks * info.elements);
  int64_t count = static_cast<int64_t>(values.size());
  std::ofstream out(argv[4], std::ios::binary);
  if (task == "encode") {
    std::memcpy(values.data(), bytes.data(), bytes.size());
    codec.encode(values.data(), packed.data(), count, *level);
    out.write(reinterpret_cast<const char *>(packed.data()), static_cast<std::streamsize>(packed.size()));
  } else {
    std::memcpy(packed.data(), bytes.data(), bytes.size());
    codec.decode(packed.data(), values.data(), count, *level);
    out.write(reinterpret_cast<const char *>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  }
  return out.flush() ? 0 : fail(std::string(argv[4]) + ": cannot be written");
}
