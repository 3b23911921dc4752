// Preloaded into the program (LD_PRELOAD), it throws away the bytes of weight files that the program writes, and says that the
// disk is large: how a checkpoint is measured whose output no disk here could hold. Everything else, the journal too, is written
// as ever. Weight files are those in the work folder of an output whose names end in .safetensors. They stay sparse; reading one
// back gives zeros.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <string_view>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

namespace {
bool isWeights(int fd) {
  char link[64], path[4096];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, path, sizeof path);
  const std::string_view name(path, length > 0 ? static_cast<size_t>(length) : 0);
  return name.find("/.flagrelease/work/") != name.npos && name.ends_with(".safetensors");
}

template <typename Function> Function *next(const char *name) { return reinterpret_cast<Function *>(::dlsym(RTLD_NEXT, name)); }

int largeDisk(struct statvfs *info, int result) {
  if (result == 0)
    info->f_bavail = info->f_bfree = (uint64_t(1) << 50) / (info->f_frsize ? info->f_frsize : 4096);
  return result;
}
} // namespace

extern "C" {
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
  static auto *const real = next<decltype(pwrite)>("pwrite");
  return isWeights(fd) ? static_cast<ssize_t>(count) : real(fd, bytes, count, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) { return pwrite(fd, bytes, count, offset); }
int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  static auto *const real = next<decltype(fallocate)>("fallocate");
  return isWeights(fd) ? 0 : real(fd, mode, offset, bytes);
}
int fallocate64(int fd, int mode, off64_t offset, off64_t bytes) { return fallocate(fd, mode, offset, bytes); }
int statvfs(const char *path, struct statvfs *info) {
  static auto *const real = next<decltype(statvfs)>("statvfs");
  return largeDisk(info, real(path, info));
}
int statvfs64(const char *path, struct statvfs64 *info) {
  static_assert(sizeof(struct statvfs64) == sizeof(struct statvfs));
  return statvfs(path, reinterpret_cast<struct statvfs *>(info));
}
}
