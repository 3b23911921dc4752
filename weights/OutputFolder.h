// The folder that a migration writes: who holds it, how far it is, and how files appear in it (docs/output-folder.md).
//
//   <out>/.flagrelease/lock      flock, with the holder's process id for messages
//   <out>/.flagrelease/journal   facts of the run (weights/Journal.h)
//   <out>/.flagrelease/work/     files that have not got their name yet
//
// open() decides between starting, going on and having nothing to do. A file gets its final name by rename after sync, and is
// journaled before it appears and after it is complete: a run that was killed at any point goes on with the next one, and
// --force removes what is listed, and nothing else.
#pragma once

#include "text/Diagnostics.h"
#include "weights/Fingerprint.h"
#include "weights/Work.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace flagrelease {

struct OutputOptions {
  std::string path;
  bool force = false;                ///< start again, whatever is there
  std::chrono::milliseconds wait{0}; ///< for a living run that holds the folder
  const StopFlag *stop = nullptr;
  std::vector<std::string> sources; ///< what is read: --out must lie in none of them (weights/OutputPlace.h)
};

/// A file that is complete, as the journal remembers it.
struct DoneFile {
  std::string path; ///< relative to the output folder
  uint64_t bytes = 0;
  std::string sha256;
  std::string how;                ///< "write", "copy", "reflink", "link"
  std::vector<std::string> parts; ///< digests of the ranges or tensors in it, in the order of the plan
  int64_t mtimeNs = 0;
};

/// How a run ended, for the no-op of the next one.
struct Finish {
  std::string validation; ///< fingerprint of what does not change bytes: device, gate, ...
  std::string verdict;
  int exitCode = 0;
};

class OutputFolder {
public:
  enum class State {
    Start,    ///< nothing is there
    Resume,   ///< a run with the same fingerprint did not end
    Finished, ///< nothing to write; finish() has the verdicts
  };

  /// Locked by a living run: Cause::Later. Another fingerprint, or files of somebody else in the way: Cause::Input, saying which.
  static FailureOr<std::unique_ptr<OutputFolder>> open(const OutputOptions &options, const Fingerprint &fingerprint,
                                                       Diagnostics &diags);
  ~OutputFolder();
  OutputFolder(const OutputFolder &) = delete;
  OutputFolder &operator=(const OutputFolder &) = delete;

  State state() const;
  const std::string &path() const;
  std::string pathOf(StringRef relative) const;
  /// The name of `relative` while it is being written.
  std::string workPathOf(StringRef relative) const;

  /// The record of a file that an earlier run or this one completed, if the file is still as it was then.
  std::optional<DoneFile> done(StringRef relative) const;
  /// Tensors of an incomplete file whose bytes are in its work file: name -> sha256.
  std::vector<std::pair<std::string, std::string>> doneTensors(StringRef relative) const;

  /// Announces a file and makes its folders. Fails if something that is not ours has that name. Thread safe, as all below.
  LogicalResult begin(StringRef relative, Diagnostics &diags);
  /// Records tensors that are in the work file, which the caller has synced.
  LogicalResult tensorsDone(StringRef relative, const std::vector<std::pair<std::string, std::string>> &tensors,
                            Diagnostics &diags);
  /// Syncs the work file, gives it its name, records it. `file.mtimeNs` is filled in.
  LogicalResult complete(DoneFile file, Diagnostics &diags);
  /// begin, write, complete of a small text.
  LogicalResult writeText(StringRef relative, StringRef content, Diagnostics &diags);
  /// Removes a file that an earlier step of this run wrote (manifest.rejected.json when manifest.json appears).
  LogicalResult remove(StringRef relative, Diagnostics &diags);

  /// Records the end, and empties the work folder.
  LogicalResult finish(const Finish &finish, Diagnostics &diags);
  /// The last recorded end with that validation fingerprint.
  std::optional<Finish> finishOf(StringRef validation) const;
  std::optional<Finish> lastFinish() const;
  /// Relative paths of all files that this folder's runs announced.
  std::vector<std::string> ownFiles() const;

private:
  OutputFolder();
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace flagrelease
