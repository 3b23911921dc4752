// The central directory of a zip archive (APPNOTE.TXT of PKWARE, with zip64), read strictly: what torch.save writes, nothing
// else.
//
// Each archive says everything twice, in a central directory at its end and in a local header before each member; programs that
// believe different ones see different files. So every member is checked against its local header, members may not overlap, and
// names stay inside the archive. Member data is not read, its CRC not checked (torch.save can be told to leave it out). Time and
// memory are bounded by the size of the directory, which is limited.
#pragma once

#include "text/Diagnostics.h"
#include "weights/ByteSource.h"

#include <cstdint>
#include <string>
#include <vector>

namespace flagrelease {

struct ZipMember {
  std::string name;      ///< relative, '/' between parts, no `..`; a folder ends with '/'
  uint64_t offset = 0;   ///< of the first byte of its data, from the start of the file
  uint64_t stored = 0;   ///< bytes in the file
  uint64_t unpacked = 0; ///< bytes after decompression; the same when method is 0
  uint16_t method = 0;   ///< 0: as it is
};

struct ZipDirectory {
  std::vector<ZipMember> members; ///< by name
  std::string bytes;              ///< of the central directory, for digests

  const ZipMember *find(StringRef name) const;
};

FailureOr<ZipDirectory> readZipDirectory(const ByteSource &source, Diagnostics &diags);

} // namespace flagrelease
