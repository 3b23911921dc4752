#include "weights/Digest.h"

#include <algorithm>
#include <cassert>
#include <openssl/evp.h>

namespace flagrelease {

namespace {
constexpr uint64_t kPiece = uint64_t(4) << 20;
} // namespace

struct Sha256::Impl {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

// OpenSSL fails here only when it has no memory or no SHA-256 at all: nothing a caller could repair.
static void check(int result) {
  assert(result == 1 && "OpenSSL has no SHA-256");
  if (result != 1)
    std::abort();
}

Sha256::Sha256() : impl(std::make_unique<Impl>()) {
  static const EVP_MD *const algorithm = EVP_sha256();
  check(EVP_DigestInit_ex(impl->context, algorithm, nullptr));
}
Sha256::Sha256(const Sha256 &other) : impl(std::make_unique<Impl>()) {
  check(EVP_MD_CTX_copy_ex(impl->context, other.impl->context));
}
Sha256 &Sha256::operator=(const Sha256 &other) {
  if (this != &other)
    *this = Sha256(other);
  return *this;
}
Sha256::Sha256(Sha256 &&) noexcept = default;
Sha256 &Sha256::operator=(Sha256 &&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(llvm::ArrayRef<std::byte> bytes) { check(EVP_DigestUpdate(impl->context, bytes.data(), bytes.size())); }
void Sha256::update(StringRef text) { check(EVP_DigestUpdate(impl->context, text.data(), text.size())); }

std::string Sha256::hex() {
  unsigned char digest[32];
  unsigned length = 0;
  check(EVP_DigestFinal_ex(impl->context, digest, &length));
  std::string result;
  for (unsigned char byte : digest) {
    result += "0123456789abcdef"[byte >> 4];
    result += "0123456789abcdef"[byte & 15];
  }
  return result;
}

std::string sha256(StringRef text) {
  Sha256 state;
  state.update(text);
  return state.hex();
}

std::string sha256(llvm::ArrayRef<std::byte> bytes) {
  Sha256 state;
  state.update(bytes);
  return state.hex();
}

bool isSha256(StringRef text) { return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == StringRef::npos; }

FailureOr<std::string> sha256Range(const ByteSource &source, uint64_t offset, uint64_t bytes, Diagnostics &diags,
                                   const WorkOptions &work) {
  Sha256 state;
  std::vector<std::byte> buffer(std::min(bytes, kPiece));
  if (source.fd() >= 0 && bytes > kPiece)
    source.willNeed(offset, std::min(bytes, 8 * kPiece));
  while (bytes > 0) {
    if (work.stopping()) {
      return stopped(diags);
    }
    llvm::MutableArrayRef<std::byte> piece(buffer.data(), std::min<uint64_t>(bytes, buffer.size()));
    if (failed(source.read(offset, piece, diags)))
      return failure();
    state.update(piece);
    offset += piece.size();
    bytes -= piece.size();
    if (work.progress)
      work.progress->bytesRead += piece.size(), work.progress->bytesDone += piece.size();
  }
  return state.hex();
}

FailureOr<std::string> sha256File(const std::string &path, Diagnostics &diags, const WorkOptions &work) {
  auto source = FileSource::open(path, diags);
  if (failed(source))
    return failure();
  return sha256Range(**source, 0, (*source)->size(), diags, work);
}

FailureOr<std::vector<std::string>> sha256Files(const std::vector<std::string> &paths, Diagnostics &diags,
                                                const WorkOptions &work) {
  std::vector<std::string> digests(paths.size());
  auto task = [&](size_t i, Diagnostics &messages) -> LogicalResult {
    FailureOr<std::string> digest = sha256File(paths[i], messages, work);
    if (failed(digest))
      return failure();
    digests[i] = *digest;
    return success();
  };
  if (failed(parallelFor(work.jobs, paths.size(), task, diags, /*keepGoing=*/true)))
    return failure();
  return digests;
}

} // namespace flagrelease
