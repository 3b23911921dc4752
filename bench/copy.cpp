// Copies BYTES in memory with THREADS threads, 64 MiB each again and again: what no program that reads and writes so much can
// beat.
//
//   flagrelease-bench-copy BYTES THREADS
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

int main(int argc, char **argv) {
  const uint64_t bytes = argc == 3 ? std::strtoull(argv[1], nullptr, 10) : 0,
                 threads = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (bytes == 0 || threads == 0 || threads > 1024) {
    std::fprintf(stderr, "flagrelease-bench-copy BYTES THREADS\n");
    return 2;
  }
  std::vector<std::thread> workers;
  for (uint64_t t = 0; t < threads; ++t)
    workers.emplace_back([=] {
      constexpr uint64_t kPiece = uint64_t(64) << 20;
      std::vector<char> from(kPiece, 1), to(kPiece);
      for (uint64_t done = 0, mine = bytes / threads; done < mine; done += kPiece) {
        std::memcpy(to.data(), from.data(), std::min(kPiece, mine - done));
        volatile char seen = to[done % kPiece]; // so that the copy is made
        (void)seen;
      }
    });
  for (std::thread &worker : workers)
    worker.join();
  return 0;
}
