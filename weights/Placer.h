// Puts unchanged bytes of the source at their place in the output: a whole file, or a range of one.
//
// A reflink shares the blocks where the file system can (btrfs, XFS). `link` asks for a hard link: free, but then artefact and
// source are one file. Otherwise the bytes are copied. The digest is taken on the way in the same pass (reading, hashing and
// writing are threads); for links and reflinks the bytes are read once for it. Copies inside the kernel (copy_file_range) would
// need that read on top, and are not used.
#pragma once

#include "weights/ByteRange.h"
#include "weights/ByteSource.h"
#include "weights/OutputFolder.h"
#include "weights/Work.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace flagrelease {

struct PlaceRequest {
  std::shared_ptr<const FileSource> source;
  ByteRange range;   ///< of the source; whole() for all of it
  std::string to;    ///< relative to the output folder
  bool link = false; ///< a hard link, if all of the source is placed
  /// Ranges whose own digests are wanted: offsets in the placed file, in any order. Equal ones may repeat (tied weights); others
  /// must not overlap.
  std::vector<ByteRange> parts;

  /// Copies of at least this size bypass the page cache (O_DIRECT) where the file system can: half the CPU time, and the sync at
  /// the end has nothing left to wait for. Smaller files stay cached for who reads them next.
  uint64_t directFrom = uint64_t(256) << 20;

  static ByteRange whole(const FileSource &source) { return {0, source.size()}; }
};

/// Places the files, some at a time as work.jobs and work.memory allow. The result is in the order of the requests: what the
/// journal holds of each (DoneFile::how says how it came there, DoneFile::parts the digests of `parts`). Files that an earlier
/// run completed are kept. A link that the file system refuses becomes a copy, with a note.
FailureOr<std::vector<DoneFile>> placeFiles(OutputFolder &out, const std::vector<PlaceRequest> &requests, const WorkOptions &work,
                                            Diagnostics &diags);

/// Bytes that placeFiles will need on the disk of the output, for checkDiskSpace: 0 for links that are possible there.
uint64_t bytesToPlace(const OutputFolder &out, const std::vector<PlaceRequest> &requests);

} // namespace flagrelease
