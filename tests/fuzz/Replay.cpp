// Without libFuzzer: reads every file of the folders given, once.
#include "tests/fuzz/Fuzz.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

int main(int argc, char **argv) {
  size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    std::error_code error;
    for (std::filesystem::directory_iterator at(argv[i], error), end; !error && at != end; at.increment(error)) {
      if (!at->is_regular_file())
        continue;
      std::ifstream in(at->path(), std::ios::binary);
      std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
      ++count;
    }
  }
  std::printf("%zu seeds\n", count);
  return count ? 0 : 1;
}
