#include "exporters/SideFiles.h"

#include "text/JsonEdit.h"
#include "weights/Digest.h"
#include "weights/Files.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/GlobPattern.h"

#include <filesystem>
#include <fstream>
#include <set>

namespace fs = std::filesystem;

namespace flagrelease {

namespace {

constexpr uint64_t kMaxBytes = uint64_t(64) << 20; ///< the largest tokenizer.json known has 35 MB
constexpr int kMaxDepth = 4;
constexpr size_t kMaxListed = 1000;
constexpr size_t kMaxEntries = 100000; ///< of the folder; a repository has a few hundred

/// What transformers, sentence-transformers, vLLM and their like read beside the weights.
const char *const kConsumer[] = {"config.json",
                                 "generation_config.json",
                                 "tokenizer*",
                                 "special_tokens_map.json",
                                 "added_tokens.json",
                                 "vocab.json",
                                 "vocab.txt",
                                 "merges.txt",
                                 "spiece.model",
                                 "sentencepiece.bpe.model",
                                 "*.tiktoken",
                                 "chat_template.jinja",
                                 "chat_template.json",
                                 "additional_chat_templates/*.jinja",
                                 "preprocessor_config.json",
                                 "processor_config.json",
                                 "video_preprocessor_config.json",
                                 "modules.json",
                                 "config_sentence_transformers.json",
                                 "sentence_bert_config.json",
                                 "1_Pooling/config.json"};
/// Compared in lower case.
const char *const kLicence[] = {"license*", "licence*", "notice*", "copying*", "use_policy*"};

struct Kind {
  const char *pattern;
  const char *reason;
};
/// Compared in lower case, before the lists above: `tokenizer.py` is code.
const Kind kRefused[] = {
    {"*.py", "code"},
    {"*.pyc", "code"},
    {"*.ipynb", "code"},
    {"*.sh", "code"},
    {"*.js", "code"},
    {"*.c", "code"},
    {"*.cc", "code"},
    {"*.cpp", "code"},
    {"*.cu", "code"},
    {"*.so", "executable"},
    {"*.dll", "executable"},
    {"*.exe", "executable"},
    {"*.dylib", "executable"},
    {"*.jar", "executable"},
    {"*.bin", "a pickle"},
    {"*.pt", "a pickle"},
    {"*.pth", "a pickle"},
    {"*.pkl", "a pickle"},
    {"*.pickle", "a pickle"},
    {"*.ckpt", "a pickle"},
    {"*.joblib", "a pickle"},
    {"*.npy", "may be a pickle"},
    {"*.npz", "may be a pickle"},
};

bool matches(StringRef pattern, StringRef name) {
  llvm::Expected<llvm::GlobPattern> glob = llvm::GlobPattern::create(pattern);
  assert(glob && "the patterns of this file are well-formed");
  // A star stays in its folder.
  return glob->match(name) && pattern.count('/') == name.count('/');
}

/// By the first bytes: the permission bits say nothing on file systems that have none.
bool isExecutable(StringRef content) {
  return content.starts_with("\x7f"
                             "ELF") ||
         content.starts_with("#!") || content.starts_with("MZ") || content.starts_with("\xcf\xfa\xed\xfe");
}

class Walk {
public:
  Walk(const Checkpoint &checkpoint, bool all, SideFiles &out, Diagnostics &diags)
      : all(all), out(out), diags(diags), folder(checkpoint.folder) {
    for (const CheckpointFile &file : checkpoint.files)
      weights.insert(file.name);
    if (!checkpoint.index.empty())
      weights.insert(checkpoint.index);
    std::error_code ignored;
    root = fs::canonical(folder, ignored);
    // The cache of the hub's client: snapshots/REVISION/NAME is a link to blobs/DIGEST.
    blobs = root.parent_path().parent_path() / "blobs";
  }

  LogicalResult run() {
    std::vector<std::string> names;
    std::error_code error;
    fs::recursive_directory_iterator walk(folder, fs::directory_options::skip_permission_denied, error), end;
    for (; !error && walk != end; walk.increment(error)) {
      std::error_code ignored;
      bool isFolder = walk->symlink_status(ignored).type() == fs::file_type::directory;
      if (walk->path().filename().string().front() == '.' || (isFolder && (!all || walk.depth() + 1 >= kMaxDepth))) {
        if (isFolder)
          walk.disable_recursion_pending();
        continue;
      }
      if (!isFolder)
        names.push_back(walk->path().lexically_relative(folder).string());
      if (names.size() > kMaxEntries)
        return diags.error(folder, "holds more than " + Twine(kMaxEntries) + " files", "give the folder of the model alone");
    }
    if (error)
      return systemError(diags, folder, "list the folder", error.value());
    llvm::sort(names);
    for (const std::string &name : names)
      if (!weights.count(name) && failed(take(name)))
        return failure();
    if (dropped)
      out.leftOut.push_back({"…", std::to_string(dropped) + " more files"});
    return success();
  }

private:
  void leave(const std::string &name, StringRef reason) {
    if (!all)
      return;
    if (out.leftOut.size() < kMaxListed)
      out.leftOut.push_back({name, reason.str()});
    else
      ++dropped;
  }

  static bool within(const fs::path &path, const fs::path &place) {
    return std::mismatch(place.begin(), place.end(), path.begin(), path.end()).first == place.end();
  }

  LogicalResult take(const std::string &name) {
    fs::path path = fs::path(folder) / name;
    std::error_code error;
    if (fs::is_symlink(path, error)) {
      fs::path target = fs::canonical(path, error);
      if (error || (!within(target, root) && !within(target, blobs))) {
        leave(name, "a link out of the source");
        return success();
      }
    }
    if (!fs::is_regular_file(path, error)) {
      leave(name, "no regular file");
      return success();
    }
    std::string lower = StringRef(name).lower();
    StringRef base = StringRef(lower).substr(StringRef(lower).rfind('/') + 1);
    for (const Kind &kind : kRefused)
      if (matches(kind.pattern, base)) {
        leave(name, kind.reason);
        return success();
      }
    bool licence = llvm::any_of(kLicence, [&](const char *pattern) { return matches(pattern, lower); });
    if (!licence && llvm::none_of(kConsumer, [&](const char *pattern) { return matches(pattern, name); })) {
      leave(name, StringRef(lower).ends_with(".safetensors") ? "weights that are not of this checkpoint"
                                                             : "not on the list of files that consumers read");
      return success();
    }
    if (uint64_t bytes = fs::file_size(path, error); error || bytes > kMaxBytes) {
      leave(name, "larger than 64 MiB");
      return success();
    }
    FailureOr<std::string> content = readSmallFile(path.string(), kMaxBytes, diags);
    if (failed(content))
      return failure();
    if (isExecutable(*content)) {
      leave(name, "executable");
      return success();
    }
    if (StringRef(name).ends_with(".json") && StringRef(*content).contains("\"auto_map\"")) {
      Diagnostics unread; // what is no JSON is the business of whoever reads it
      FailureOr<std::string> edited = json::edited(*content, name, {{{"auto_map"}, std::nullopt}}, unread);
      if (succeeded(edited) && *edited != *content) {
        content = std::move(edited);
        out.leftOut.push_back({name + ": auto_map", "names code"});
      }
    }
    out.files.push_back({name, std::move(*content), licence});
    return success();
  }

  bool all;
  SideFiles &out;
  Diagnostics &diags;
  std::string folder;
  fs::path root, blobs;
  std::set<std::string> weights;
  size_t dropped = 0;
};

} // namespace

const SideFile *SideFiles::find(StringRef name) const {
  auto it = llvm::find_if(files, [&](const SideFile &file) { return file.name == name; });
  return it == files.end() ? nullptr : &*it;
}

std::string SideFiles::digest() const {
  Sha256 hash;
  for (const SideFile &file : files) {
    hash.update(file.name + "\n" + std::to_string(file.content.size()) + "\n");
    hash.update(StringRef(file.content));
  }
  return hash.hex();
}

FailureOr<SideFiles> readSideFiles(const Checkpoint &checkpoint, bool folderGiven, Diagnostics &diags) {
  SideFiles out;
  if (failed(Walk(checkpoint, folderGiven, out, diags).run()))
    return failure();
  return out;
}

} // namespace flagrelease
