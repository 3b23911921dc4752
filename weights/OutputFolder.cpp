#include "weights/OutputFolder.h"

#include "text/Nearest.h"
#include "weights/Digest.h"
#include "weights/FailPoint.h"
#include "weights/FolderLock.h"
#include "weights/Journal.h"
#include "weights/OutputFacts.h"
#include "weights/OutputPlace.h"

#include "llvm/Support/Path.h"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <mutex>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

namespace flagrelease {

namespace fs = std::filesystem;

struct OutputFolder::Impl {
  std::string root;
  FolderLock lock;
  State state = State::Start;
  OutputFacts facts;
  Journal journal;
  bool journalOpen = false;
  OnDamage onDamage = OnDamage::Refuse; ///< of the old journal
  mutable std::mutex mutex;

  std::string at(const Twine &relative) const { return (root + "/" + relative).str(); }
  std::string journalPath() const { return at(".flagrelease/journal"); }

  /// The journal is opened by the first thing that is written: a finished folder is only read.
  LogicalResult record(json::Value fact, Diagnostics &diags) {
    if (!journalOpen && failed(journal.open(journalPath(), onDamage, diags)))
      return failure();
    journalOpen = true;
    if (failed(journal.append(fact, diags)))
      return failure();
    facts.apply(fact);
    return success();
  }

  LogicalResult startAnew(const Fingerprint &fingerprint, Diagnostics &diags);
  LogicalResult removeOwnFiles(Diagnostics &diags);
  std::vector<std::string> foreignFiles() const;
  LogicalResult refuseForeignFiles(Diagnostics &diags) const;
};

namespace {

/// The file as it is now, if it is the one that was recorded.
bool isStill(const std::string &path, const DoneFile &file) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && static_cast<uint64_t>(info.st_size) == file.bytes &&
         static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec == file.mtimeNs;
}

/// True if every folder on the way to `relative` is a real folder: a link could lead anything out of the output folder.
bool parentsAreReal(const std::string &root, StringRef relative) {
  for (size_t slash = relative.find('/'); slash != StringRef::npos; slash = relative.find('/', slash + 1)) {
    struct stat info;
    if (::lstat((root + "/" + relative.take_front(slash).str()).c_str(), &info) == 0 && !S_ISDIR(info.st_mode))
      return false;
  }
  return true;
}

} // namespace

/// Files at the names that a migration uses which no run of ours announced.
std::vector<std::string> OutputFolder::Impl::foreignFiles() const {
  std::vector<std::string> foreign;
  std::error_code error;
  std::set<std::string> own = facts.ownFiles();
  for (fs::directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!isOutputName(name) || name == ".flagrelease")
      continue;
    std::error_code inner;
    if (it->symlink_status(inner).type() != fs::file_type::directory) {
      if (!own.count(name))
        foreign.push_back(name);
      continue;
    }
    fs::recursive_directory_iterator walk(it->path(), inner), stop;
    for (; !inner && walk != stop && foreign.size() < 1000; walk.increment(inner)) {
      std::error_code ignored;
      if (walk->symlink_status(ignored).type() == fs::file_type::directory)
        continue;
      std::string relative = walk->path().lexically_relative(root).string();
      if (!own.count(relative))
        foreign.push_back(relative);
    }
  }
  std::sort(foreign.begin(), foreign.end());
  return foreign;
}

LogicalResult OutputFolder::Impl::removeOwnFiles(Diagnostics &diags) {
  // From here on the old run is neither finished nor to be continued, whatever happens to this one.
  json::Object removing;
  removing.append("removing", true);
  if (failed(record(removing, diags)))
    return failure();
  std::set<std::string> folders;
  for (const std::string &relative : facts.ownFiles()) {
    if (!isContainedPath(relative) || !parentsAreReal(root, relative))
      continue;
    if (::unlink(at(relative).c_str()) != 0 && errno != ENOENT && errno != ENOTDIR)
      return systemError(diags, at(relative), "remove it", errno);
    for (StringRef parent = llvm::sys::path::parent_path(relative); !parent.empty();
         parent = llvm::sys::path::parent_path(parent))
      folders.insert(parent.str());
    if (failed(failPoint("force-during-remove", diags)))
      return failure();
  }
  for (auto it = folders.rbegin(); it != folders.rend(); ++it) // deepest first
    ::rmdir(at(*it).c_str());                                  // fails where something else is in it: that stays
  return success();
}

LogicalResult OutputFolder::Impl::refuseForeignFiles(Diagnostics &diags) const {
  std::vector<std::string> foreign = foreignFiles();
  if (!foreign.empty())
    return diags.error("--out " + root, "has files that this tool did not write, where it would write: " + listed(foreign),
                       "move them away, or choose another --out; --force does not remove them");
  return success();
}

LogicalResult OutputFolder::Impl::startAnew(const Fingerprint &fingerprint, Diagnostics &diags) {
  std::error_code ignored;
  fs::remove_all(at(".flagrelease/work"), ignored);
  json::Object run, fact;
  run.append("format", 1);
  run.append("fingerprint", fingerprint.toJson());
  fact.append("run", std::move(run));
  // A journal of its own for each run, in one step: the old one is not lost before the new one is there.
  std::string next = journalPath() + ".next";
  ::unlink(next.c_str());
  Journal first;
  if (failed(first.open(next, OnDamage::Refuse, diags)) || failed(first.append(fact, diags)))
    return failure();
  if (::rename(next.c_str(), journalPath().c_str()) != 0)
    return systemError(diags, journalPath(), "give the journal its name", errno);
  journalOpen = false;
  facts = OutputFacts();
  facts.apply(fact);
  return syncFolder(at(".flagrelease"), diags);
}

OutputFolder::OutputFolder() : impl(std::make_unique<Impl>()) {}
OutputFolder::~OutputFolder() = default;

FailureOr<std::unique_ptr<OutputFolder>> OutputFolder::open(const OutputOptions &options, const Fingerprint &fingerprint,
                                                            Diagnostics &diags) {
  std::unique_ptr<OutputFolder> folder(new OutputFolder);
  Impl &impl = *folder->impl;
  impl.root = options.path;
  while (impl.root.size() > 1 && impl.root.back() == '/')
    impl.root.pop_back();
  if (failed(checkOutputPlace(impl.root, options.sources, diags)))
    return failure();
  std::error_code error;
  bool wasThere = fs::exists(impl.root, error), hadState = fs::exists(impl.at(".flagrelease"), error);
  if (failed(makeFolders(impl.at(".flagrelease"), diags)) ||
      failed(impl.lock.take(impl.at(".flagrelease/lock"), options.wait, options.stop, diags)))
    return failure();

  impl.onDamage = options.force ? OnDamage::CutOff : OnDamage::Refuse;
  FailureOr<std::vector<json::Value>> facts = readJournal(impl.journalPath(), impl.onDamage, diags);
  if (failed(facts))
    return failure();
  for (const json::Value &fact : *facts)
    impl.facts.apply(fact);
  bool fresh = !impl.facts.hasRun;
  bool same = !fresh && impl.facts.fingerprint == fingerprint && !impl.facts.removing;

  if (!fresh && !options.force && !same) {
    if (impl.facts.removing)
      return diags.error("--out " + impl.root, "an earlier run with --force was interrupted while it removed old files",
                         "use --force again");
    return diags.error("--out " + impl.root,
                       Twine(impl.facts.isFinished() ? "holds a finished migration" : "holds an unfinished migration") +
                           " with other inputs: " + listed(fingerprint.differencesFrom(impl.facts.fingerprint), 8),
                       "choose another --out, or replace it with --force");
  }
  if (fresh || options.force) {
    impl.lock.sign();
    if (options.force) {
      impl.facts.addManifest(impl.root);
      impl.facts.addRecords(impl.root);
    }
    // Before anything goes: a refusal leaves the old artefact as it was.
    if (failed(impl.refuseForeignFiles(diags)) || (!impl.facts.ownFiles().empty() && failed(impl.removeOwnFiles(diags))) ||
        failed(impl.startAnew(fingerprint, diags))) {
      if (fresh && !hadState) { // leave nothing behind in a folder that is not ours
        ::unlink(impl.at(".flagrelease/lock").c_str());
        ::rmdir(impl.at(".flagrelease").c_str());
        if (!wasThere)
          ::rmdir(impl.root.c_str());
      }
      return failure();
    }
    impl.state = State::Start;
    return folder;
  }

  impl.state = impl.facts.isFinished() ? State::Finished : State::Resume;
  for (const auto &[relative, file] : impl.facts.done)
    if (!isStill(impl.at(relative), file)) {
      diags.note(impl.at(relative), "was changed or removed since it was written: it is made again");
      impl.state = State::Resume;
    }
  if (impl.state == State::Resume)
    impl.lock.sign();
  return folder;
}

OutputFolder::State OutputFolder::state() const { return impl->state; }
const std::string &OutputFolder::path() const { return impl->root; }
std::string OutputFolder::pathOf(StringRef relative) const { return impl->at(relative); }

std::string OutputFolder::workPathOf(StringRef relative) const {
  std::string flat;
  for (char c : relative)
    flat += c == '/' ? std::string("%2F") : c == '%' ? std::string("%25") : std::string(1, c);
  return impl->at(".flagrelease/work/" + flat);
}

std::optional<DoneFile> OutputFolder::done(StringRef relative) const {
  std::lock_guard lock(impl->mutex);
  auto it = impl->facts.done.find(relative.str());
  if (it == impl->facts.done.end() || !isStill(impl->at(relative), it->second))
    return std::nullopt;
  return it->second;
}

std::vector<std::pair<std::string, std::string>> OutputFolder::doneTensors(StringRef relative) const {
  std::lock_guard lock(impl->mutex);
  auto it = impl->facts.tensors.find(relative.str());
  return it == impl->facts.tensors.end() ? std::vector<std::pair<std::string, std::string>>() : it->second;
}

LogicalResult OutputFolder::begin(StringRef relative, Diagnostics &diags) {
  assert(isContainedPath(relative) && "not a place in the output folder");
  std::lock_guard lock(impl->mutex);
  std::string target = impl->at(relative);
  if (!parentsAreReal(impl->root, relative))
    return diags.error(target, "a folder on the way to it is a link or a file", "remove that, or choose another --out");
  struct stat info;
  if (!impl->facts.announced.count(relative.str()) && ::lstat(target.c_str(), &info) == 0)
    return diags.error(target, "exists, and this tool did not write it", "move it away, or choose another --out");
  if (failed(makeFolders(llvm::sys::path::parent_path(target).str(), diags)) ||
      failed(makeFolders(impl->at(".flagrelease/work"), diags)))
    return failure();
  json::Object fact;
  fact.append("begin", relative);
  if (failed(impl->record(fact, diags)))
    return failure();
  return failPoint("file-after-begin", diags);
}

LogicalResult OutputFolder::tensorsDone(StringRef relative, const std::vector<std::pair<std::string, std::string>> &tensors,
                                        Diagnostics &diags) {
  json::Array list;
  for (const auto &[name, digest] : tensors)
    list.push_back(json::Array{name, digest});
  json::Object fact;
  fact.append("tensors", std::move(list));
  fact.append("of", relative);
  std::lock_guard lock(impl->mutex);
  if (failed(impl->record(fact, diags)))
    return failure();
  return failPoint("stream-tensors-done", diags);
}

LogicalResult OutputFolder::complete(DoneFile file, Diagnostics &diags) {
  std::string work = workPathOf(file.path), target = impl->at(file.path);
  if (failed(failPoint("file-before-sync", diags)))
    return failure();
  {
    FileHandle handle(::open(work.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat info;
    if (!handle.valid() || ::fstat(handle.get(), &info) != 0)
      return systemError(diags, work, "open it again", errno);
    // What a link shares was on the disk before this run; syncing it could wait for somebody else's writes.
    if (file.how != "link" && failed(syncFile(handle.get(), work, diags)))
      return failure();
    file.mtimeNs = static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
    assert(static_cast<uint64_t>(info.st_size) == file.bytes && "a file of another size than announced");
  }
  if (failed(failPoint("file-after-sync", diags)) || failed(failPoint("file-before-rename", diags)))
    return failure();
  if (::rename(work.c_str(), target.c_str()) != 0)
    return systemError(diags, target, "give the file its name", errno);
  ::unlink(work.c_str()); // rename does nothing when both names are links to one file
  if (failed(failPoint("file-after-rename", diags)) || failed(syncFolder(llvm::sys::path::parent_path(target).str(), diags)))
    return failure();
  std::lock_guard lock(impl->mutex);
  if (failed(impl->record(doneFact(file), diags)))
    return failure();
  return failPoint("file-after-done", diags);
}

LogicalResult OutputFolder::writeText(StringRef relative, StringRef content, Diagnostics &diags) {
  DoneFile file;
  file.path = relative.str();
  file.bytes = content.size();
  file.sha256 = sha256(content);
  file.how = "write";
  if (std::optional<DoneFile> old = done(relative); old && old->sha256 == file.sha256)
    return success();
  if (failed(begin(relative, diags)))
    return failure();
  std::string work = workPathOf(relative);
  {
    FileHandle handle(::open(work.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!handle.valid())
      return systemError(diags, work, "make the file", errno);
    llvm::ArrayRef<std::byte> bytes(reinterpret_cast<const std::byte *>(content.data()), content.size());
    if (failed(writeAt(handle.get(), work, 0, bytes, diags)))
      return failure();
  }
  return complete(std::move(file), diags);
}

LogicalResult OutputFolder::remove(StringRef relative, Diagnostics &diags) {
  std::lock_guard lock(impl->mutex);
  if (!impl->facts.announced.count(relative.str()))
    return success();
  if (::unlink(impl->at(relative).c_str()) != 0 && errno != ENOENT)
    return systemError(diags, impl->at(relative), "remove it", errno);
  json::Object fact;
  fact.append("removed", relative);
  return impl->record(fact, diags);
}

LogicalResult OutputFolder::finish(const Finish &finish, Diagnostics &diags) {
  std::lock_guard lock(impl->mutex);
  if (failed(failPoint("finish-before", diags)))
    return failure();
  std::error_code ignored;
  fs::remove_all(impl->at(".flagrelease/work"), ignored);
  if (failed(impl->record(finishFact(finish), diags)))
    return failure();
  impl->state = State::Finished;
  return failPoint("finish-after", diags);
}

std::optional<Finish> OutputFolder::finishOf(StringRef validation) const {
  std::lock_guard lock(impl->mutex);
  for (auto it = impl->facts.finishes.rbegin(); it != impl->facts.finishes.rend(); ++it)
    if (it->validation == validation)
      return *it;
  return std::nullopt;
}

std::optional<Finish> OutputFolder::lastFinish() const {
  std::lock_guard lock(impl->mutex);
  return impl->facts.finishes.empty() ? std::nullopt : std::optional(impl->facts.finishes.back());
}

std::vector<std::string> OutputFolder::ownFiles() const {
  std::lock_guard lock(impl->mutex);
  std::set<std::string> own = impl->facts.ownFiles();
  return {own.begin(), own.end()};
}

} // namespace flagrelease
