#include "weights/StreamDigests.h"

#include "weights/Digest.h"

#include "llvm/Support/ErrorHandling.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace flagrelease {

namespace {

constexpr size_t kBlock = 64;
constexpr std::array<uint32_t, 8> kStart = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

#if defined(__x86_64__)

alignas(16) constexpr uint32_t kRounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// `blocks` blocks for each chain. Chain c reads data[c]; with one input, all read data[0].
template <int kChains, int kInputs>
__attribute__((target("sha,sse4.1,ssse3"))) void compress(uint32_t *const (&states)[kChains],
                                                          const std::byte *const (&data)[kInputs], size_t blocks) {
  static_assert(kInputs == 1 || kInputs == kChains);
  // The instructions want a state as two registers of (a b e f) and (c d g h), high word first.
  __m128i abef[kChains], cdgh[kChains];
  for (int c = 0; c < kChains; ++c) {
    const __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(states[c])), 0xB1);
    const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(states[c] + 4)), 0x1B);
    abef[c] = _mm_alignr_epi8(abcd, efgh, 8);
    cdgh[c] = _mm_blend_epi16(efgh, abcd, 0xF0);
  }
  const __m128i bigEndian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  for (size_t block = 0; block < blocks; ++block) {
    __m128i abefBefore[kChains], cdghBefore[kChains], w[kInputs][4];
    for (int c = 0; c < kChains; ++c)
      abefBefore[c] = abef[c], cdghBefore[c] = cdgh[c];
    for (int i = 0; i < kInputs; ++i)
      for (int j = 0; j < 4; ++j)
        w[i][j] = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i *>(data[i] + block * kBlock) + j), bigEndian);
#pragma clang loop unroll(full)
    for (int g = 0; g < 16; ++g) { // four rounds each
      __m128i sum[kChains];
      for (int c = 0; c < kChains; ++c) {
        sum[c] = _mm_add_epi32(w[kInputs == 1 ? 0 : c][g & 3], _mm_load_si128(reinterpret_cast<const __m128i *>(kRounds) + g));
        cdgh[c] = _mm_sha256rnds2_epu32(cdgh[c], abef[c], sum[c]);
      }
      for (int c = 0; c < kChains; ++c)
        abef[c] = _mm_sha256rnds2_epu32(abef[c], cdgh[c], _mm_shuffle_epi32(sum[c], 0x0E));
      if (g < 12)
        for (int i = 0; i < kInputs; ++i) {
          const __m128i last = w[i][(g + 3) & 3];
          const __m128i begun =
              _mm_add_epi32(_mm_sha256msg1_epu32(w[i][g & 3], w[i][(g + 1) & 3]), _mm_alignr_epi8(last, w[i][(g + 2) & 3], 4));
          w[i][g & 3] = _mm_sha256msg2_epu32(begun, last);
        }
    }
    for (int c = 0; c < kChains; ++c) {
      abef[c] = _mm_add_epi32(abef[c], abefBefore[c]);
      cdgh[c] = _mm_add_epi32(cdgh[c], cdghBefore[c]);
    }
  }
  for (int c = 0; c < kChains; ++c) {
    const __m128i feba = _mm_shuffle_epi32(abef[c], 0x1B), dchg = _mm_shuffle_epi32(cdgh[c], 0xB1);
    _mm_storeu_si128(reinterpret_cast<__m128i *>(states[c]), _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(reinterpret_cast<__m128i *>(states[c] + 4), _mm_alignr_epi8(dchg, feba, 8));
  }
}

bool hasShaInstructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29)) != 0; // all that have them have SSE 4.1
}

#else

template <int kChains, int kInputs> void compress(uint32_t *const (&)[kChains], const std::byte *const (&)[kInputs], size_t) {
  llvm_unreachable("not available()");
}

bool hasShaInstructions() { return false; }

#endif

/// A running SHA-256 by those instructions.
struct Chain {
  std::array<uint32_t, 8> state = kStart;
  std::array<std::byte, kBlock> tail{}; ///< bytes after the last whole block
  uint64_t bytes = 0;

  void add(llvm::ArrayRef<std::byte> more);
  std::string hex() const;
};

void Chain::add(llvm::ArrayRef<std::byte> more) {
  const size_t held = bytes % kBlock;
  bytes += more.size();
  if (held + more.size() < kBlock) {
    std::copy(more.begin(), more.end(), tail.begin() + held);
    return;
  }
  uint32_t *const states[1] = {state.data()};
  if (held != 0) {
    std::copy_n(more.begin(), kBlock - held, tail.begin() + held);
    compress<1, 1>(states, {tail.data()}, 1);
    more = more.drop_front(kBlock - held);
  }
  const size_t blocks = more.size() / kBlock;
  compress<1, 1>(states, {more.data()}, blocks);
  more = more.drop_front(blocks * kBlock);
  std::copy(more.begin(), more.end(), tail.begin());
}

void addToBoth(Chain &first, Chain &second, llvm::ArrayRef<std::byte> bytes) {
  // Each chain to the end of its block, then both together, then what is left over.
  auto ahead = [](const Chain &chain) { return (kBlock - chain.bytes % kBlock) % kBlock; };
  const size_t fromFirst = ahead(first), fromSecond = ahead(second), most = std::max(fromFirst, fromSecond);
  const size_t blocks = bytes.size() > most ? (bytes.size() - most) / kBlock : 0;
  if (blocks == 0) {
    first.add(bytes);
    return second.add(bytes);
  }
  first.add(bytes.take_front(fromFirst));
  second.add(bytes.take_front(fromSecond));
  uint32_t *const states[2] = {first.state.data(), second.state.data()};
  if (fromFirst == fromSecond)
    compress<2, 1>(states, {bytes.data() + fromFirst}, blocks);
  else
    compress<2, 2>(states, {bytes.data() + fromFirst, bytes.data() + fromSecond}, blocks);
  first.bytes += blocks * kBlock;
  second.bytes += blocks * kBlock;
  first.add(bytes.drop_front(fromFirst + blocks * kBlock));
  second.add(bytes.drop_front(fromSecond + blocks * kBlock));
}

std::string Chain::hex() const {
  // One bit, zeros, and the length in bits as a big-endian number at the end of a block.
  const size_t held = bytes % kBlock, length = (held < 56 ? 64 : 128) - held;
  std::array<std::byte, 2 * kBlock> padding{};
  padding[0] = std::byte{0x80};
  for (int i = 0; i < 8; ++i)
    padding[length - 1 - i] = static_cast<std::byte>(bytes * 8 >> (8 * i));
  Chain ended = *this;
  ended.add(llvm::ArrayRef<std::byte>(padding).take_front(length));
  std::string text;
  for (uint32_t word : ended.state)
    for (int shift = 28; shift >= 0; shift -= 4)
      text += "0123456789abcdef"[word >> shift & 15];
  return text;
}

} // namespace

struct StreamDigests::Impl {
  const std::vector<ByteRange> &ranges;
  const bool paired; ///< by `all` and `part`; else by `whole` and `range`
  Chain all, part;
  Sha256 whole, range;
  uint64_t position = 0;
  std::vector<std::string> done;

  /// Gives the bytes to gap(bytes) between ranges and to inside(bytes) in them, and calls end() after each range.
  template <typename Gap, typename Inside, typename End>
  void walk(llvm::ArrayRef<std::byte> bytes, const Gap &gap, const Inside &inside, const End &end) {
    while (done.size() < ranges.size()) {
      const ByteRange &next = ranges[done.size()];
      if (position < next.offset) {
        const size_t before = std::min<uint64_t>(bytes.size(), next.offset - position);
        gap(bytes.take_front(before));
        position += before;
        bytes = bytes.drop_front(before);
        if (position < next.offset)
          return;
      }
      const size_t within = std::min<uint64_t>(bytes.size(), next.offset + next.bytes - position);
      inside(bytes.take_front(within));
      position += within;
      bytes = bytes.drop_front(within);
      if (position < next.offset + next.bytes)
        return;
      done.push_back(end());
    }
    gap(bytes);
    position += bytes.size();
  }
};

StreamDigests::StreamDigests(const std::vector<ByteRange> &ranges, CpuLevel level)
    : impl(new Impl{ranges, threadsFor(true, level) == 1, {}, {}, {}, {}, 0, {}}) {
  for (size_t i = 1; i < ranges.size(); ++i)
    assert(ranges[i - 1].offset + ranges[i - 1].bytes <= ranges[i].offset && "ranges rise and do not overlap");
}

StreamDigests::~StreamDigests() = default;

unsigned StreamDigests::threadsFor(bool withRanges, CpuLevel level) {
  static const bool instructions = hasShaInstructions();
  return withRanges && (level == CpuLevel::Plain || !instructions) ? 2 : 1;
}

unsigned StreamDigests::threads() const { return impl->paired || impl->ranges.empty() ? 1 : 2; }

void StreamDigests::update(unsigned thread, llvm::ArrayRef<std::byte> bytes) {
  Impl &my = *impl;
  if (my.paired)
    return my.walk(
        bytes, [&](llvm::ArrayRef<std::byte> gap) { my.all.add(gap); },
        [&](llvm::ArrayRef<std::byte> inside) { addToBoth(my.all, my.part, inside); },
        [&] { return std::exchange(my.part, Chain()).hex(); });
  if (thread + 1 == threads())
    my.whole.update(bytes);
  if (thread == 0)
    my.walk(
        bytes, [](llvm::ArrayRef<std::byte>) {}, [&](llvm::ArrayRef<std::byte> inside) { my.range.update(inside); },
        [&] { return std::exchange(my.range, Sha256()).hex(); });
}

std::string StreamDigests::whole() const { return impl->paired ? impl->all.hex() : Sha256(impl->whole).hex(); }

const std::vector<std::string> &StreamDigests::done() const { return impl->done; }

} // namespace flagrelease
