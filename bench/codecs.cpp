// Speed of the block codecs on one core, as a table in Markdown: GB of floats per second of processor time (so that other
// programs disturb less), the best of several runs.
//
//   flagrelease-bench-codecs [FORMAT...]
#include "weights/codecs/Codec.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <vector>

using namespace flagrelease;

namespace {

constexpr int64_t kCount = int64_t(1) << 20;
constexpr int kRuns = 7;

double seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <typename Work> void printSpeed(Work work) {
  double best = 1e30;
  for (int run = 0; run < kRuns; ++run) {
    double start = seconds();
    work();
    best = std::min(best, seconds() - start);
  }
  std::printf(" %.2f |", static_cast<double>(kCount) * sizeof(float) / best / 1e9);
}

/// Sums of three uniform numbers, about as weights are spread.
std::vector<float> weightLike() {
  std::vector<float> values(kCount);
  uint64_t state = 1;
  for (float &value : values) {
    int32_t sum = 0;
    for (int i = 0; i < 3; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      sum += static_cast<int32_t>(state >> 48) - 32768;
    }
    value = static_cast<float>(sum) * 0x1p-20f;
  }
  return values;
}

} // namespace

int main(int argc, char **argv) {
  constexpr CpuLevel kLevels[] = {CpuLevel::Plain, CpuLevel::Avx2, CpuLevel::Avx512};
  std::printf("| format | encode plain | AVX2 | AVX-512 | decode plain | AVX2 | AVX-512 |\n|---|---|---|---|---|---|---|\n");
  std::vector<float> values = weightLike(), out(kCount);
  for (const BlockInfo &info : blockFormats()) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i)
      wanted |= std::strcmp(argv[i], info.name) == 0;
    if (!wanted)
      continue;
    const BlockCodec &codec = *findCodec(info.format);
    // Formats without an encoder decode zeros: their speed does not depend on the numbers.
    std::vector<std::byte> blocks(static_cast<size_t>(info.byteSize(kCount)));
    std::printf("| %s |", info.name);
    for (CpuLevel level : kLevels)
      if (codec.encode && cpuHas(level))
        printSpeed([&] { codec.encode(values.data(), blocks.data(), kCount, level); });
      else
        std::printf(" - |");
    for (CpuLevel level : kLevels)
      if (cpuHas(level))
        printSpeed([&] { codec.decode(blocks.data(), out.data(), kCount, level); });
      else
        std::printf(" - |");
    std::printf("\n");
  }
}
