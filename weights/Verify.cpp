// Reading a manifest back, and holding it against the files.
#include "text/Json.h"
#include "weights/CappedErrors.h"
#include "weights/Digest.h"
#include "weights/Files.h"
#include "weights/Manifest.h"
#include "weights/OutputPlace.h"
#include "weights/Placer.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <sys/stat.h>

namespace flagrelease {

namespace {

namespace fs = std::filesystem;

const char *const kBroken = "the manifest is damaged: make the artefact again, or fetch it again";
const char *const kDiffers = "the artefact is not what was released: make it again, or fetch it again";

/// Reads members of one entry; a wrong one is reported once.
class Fields {
public:
  Fields(const json::Value &value, std::string where, CappedErrors &errors)
      : value(value), where(std::move(where)), errors(errors) {}

  std::string text(StringRef key) {
    const json::Value *member = value.find(key);
    if (member && member->isString())
      return member->string().str();
    return bad(key, "a text"), "";
  }
  uint64_t size(StringRef key) {
    const json::Value *member = value.find(key);
    if (member && member->isInt() && member->integer() >= 0)
      return static_cast<uint64_t>(member->integer());
    return bad(key, "a size"), 0;
  }
  std::string digest(StringRef key) {
    std::string digest = text(key);
    if (ok && !isSha256(digest))
      bad(key, "a sha256");
    return digest;
  }
  void bad(StringRef key, const Twine &needed) {
    ok = false;
    errors.error("bad entries", where + "." + key, "needs " + needed, kBroken);
  }
  bool ok = true;

private:
  const json::Value &value;
  std::string where;
  CappedErrors &errors;
};

/// [begin, end) of the elements of an array member, or an error.
const json::Array *arrayOf(const json::Value &root, StringRef key, const std::string &path, CappedErrors &errors) {
  const json::Value *list = root.find(key);
  if (list && list->isArray())
    return &list->array();
  errors.error("bad entries", path + ": " + key, "needs a list", kBroken);
  return nullptr;
}

void readFiles(const json::Array &list, const std::string &path, Manifest &manifest, CappedErrors &errors) {
  std::set<std::string> seen;
  for (const json::Value &entry : list) {
    Fields fields(entry, path + ": files[" + std::to_string(&entry - list.data()) + "]", errors);
    ManifestFile file{fields.text("path"), fields.size("bytes"), fields.digest("sha256"), false};
    if (const json::Value *linked = entry.find("linked"))
      file.linked = linked->asBool().value_or(false);
    if (fields.ok && (!isContainedPath(file.path) || !isOutputName(StringRef(file.path).split('/').first)))
      fields.bad("path", "a file of this folder, not '" + file.path + "'");
    if (fields.ok && !seen.insert(file.path).second)
      fields.bad("path", "a name of its own, not a second '" + file.path + "'");
    manifest.files.push_back(std::move(file));
  }
}

void readTensors(const json::Array &list, const std::string &path, Manifest &manifest, CappedErrors &errors) {
  std::map<std::string, uint64_t> sizes;
  for (const ManifestFile &file : manifest.files)
    sizes[file.path] = file.bytes;
  for (const json::Value &entry : list) {
    Fields fields(entry, path + ": tensors[" + std::to_string(&entry - list.data()) + "]", errors);
    ManifestTensor tensor;
    tensor.name = fields.text("name");
    tensor.file = fields.text("file");
    std::string type = fields.text("dtype");
    if (std::optional<DType> known = parseDType(type))
      tensor.type = *known;
    else
      fields.bad("dtype", "a known dtype, not '" + type + "'");
    tensor.offset = fields.size("offset");
    tensor.bytes = fields.size("bytes");
    tensor.sha256 = fields.digest("sha256");
    tensor.expression = fields.text("expression");
    if (const json::Value *shape = entry.find("shape"); shape && shape->isArray())
      for (const json::Value &dimension : shape->array())
        tensor.shape.push_back(dimension.asInt().value_or(-1));
    if (const json::Value *sources = entry.find("sources"); sources && sources->isArray())
      for (const json::Value &source : sources->array())
        tensor.sources.push_back(source.asString().value_or("").str());
    auto file = sizes.find(tensor.file);
    if (fields.ok && file == sizes.end())
      fields.bad("file", "a file of the manifest, not '" + tensor.file + "'");
    else if (fields.ok && (tensor.offset > file->second || tensor.bytes > file->second - tensor.offset))
      fields.bad("offset", "a place inside of " + tensor.file);
    manifest.tensors.push_back(std::move(tensor));
  }
}

void readMap(const json::Value *value, std::map<std::string, std::string> &map) {
  if (value && value->isObject())
    for (const json::Member &member : value->object())
      if (member.value.isString())
        map[member.key] = member.value.string().str();
}

void readBuild(const json::Value *value, ManifestBuild &build) {
  if (!value)
    return;
  auto text = [](const json::Value *member) { return member ? member->asString().value_or("").str() : std::string(); };
  build.tool = text(value->find("tool"));
  build.module = text(value->find("module"));
  readMap(value->find("recipes"), build.recipes);
  readMap(value->find("options"), build.options);
  const json::Value *source = value->find("source");
  if (!source)
    return;
  build.sourceName = text(source->find("name"));
  build.sourceRevision = text(source->find("revision"));
  if (const json::Value *left = source->find("left_out"); left && left->isArray())
    for (const json::Value &file : left->array())
      build.leftOut.emplace_back(text(file.find("name")), text(file.find("reason")));
  const json::Value *files = source->find("files");
  if (!files || !files->isArray())
    return;
  for (const json::Value &file : files->array()) {
    const json::Value *bytes = file.find("bytes");
    build.sourceFiles[text(file.find("name"))] = {static_cast<uint64_t>(bytes ? bytes->asInt().value_or(0) : 0),
                                                  text(file.find("header_sha256"))};
  }
}

/// Names the tensors of a changed file whose bytes differ.
void nameTensors(const ByteSource &source, const Manifest &manifest, const ManifestFile &file, const WorkOptions &work,
                 CappedErrors &errors) {
  for (const ManifestTensor &tensor : manifest.tensors) {
    if (tensor.file != file.path)
      continue;
    Diagnostics reading;
    FailureOr<std::string> digest = sha256Range(source, tensor.offset, tensor.bytes, reading, work);
    if (succeeded(digest) && *digest != tensor.sha256)
      errors.error("tensors that differ", tensor.name,
                   "differs in " + file.path + ": sha256 " + *digest + ", the manifest says " + tensor.sha256, kDiffers,
                   Cause::Answer);
  }
}

LogicalResult verifyFile(const std::string &folder, const Manifest &manifest, const ManifestFile &file, const WorkOptions &work,
                         Diagnostics &diags) {
  if (work.stopping())
    return stopped(diags);
  std::string path = folder + "/" + file.path;
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT || errno == ENOTDIR ? diags.error(file.path, "is missing", kDiffers, Cause::Answer)
                                               : systemError(diags, path, "look at it", errno);
  if (!S_ISREG(info.st_mode))
    return diags.error(file.path, "is a link or a folder, not the file itself", kDiffers, Cause::Answer);
  if (static_cast<uint64_t>(info.st_size) != file.bytes)
    return diags.error(file.path,
                       "has " + Twine(static_cast<uint64_t>(info.st_size)) + " bytes, the manifest says " + Twine(file.bytes),
                       kDiffers, Cause::Answer);
  FailureOr<std::shared_ptr<FileSource>> source = FileSource::open(path, diags);
  if (failed(source))
    return failure();
  FailureOr<std::string> digest = sha256Range(**source, 0, file.bytes, diags, work);
  if (failed(digest))
    return failure();
  if (*digest == file.sha256)
    return success();
  CappedErrors errors(diags, file.path);
  errors.error("files", file.path, "has sha256 " + *digest + ", the manifest says " + file.sha256, kDiffers, Cause::Answer);
  nameTensors(**source, manifest, file, work, errors);
  return failure();
}

} // namespace

FailureOr<Manifest> readManifest(const std::string &folder, Diagnostics &diags) {
  std::error_code ignored;
  std::string path = folder + "/" + kManifestName;
  if (!fs::exists(path, ignored) && fs::exists(folder + "/" + kRejectedManifestName, ignored))
    path = folder + "/" + kRejectedManifestName;
  FailureOr<std::string> text = readSmallFile(path, uint64_t(256) << 20, diags);
  if (failed(text))
    return failure();
  json::Limits limits;
  limits.maxBytes = size_t(256) << 20;
  FailureOr<json::Value> root = json::parse(*text, path, diags, limits);
  if (failed(root))
    return failure();
  const json::Value *version = root->find("manifest");
  if (!version || version->asInt() != 1)
    return diags.error(path + ": manifest",
                       version ? "is a version that this program does not read; it reads 1" : "is missing: this is no manifest",
                       kBroken);
  Manifest manifest;
  CappedErrors errors(diags, path);
  if (const json::Array *files = arrayOf(*root, "files", path, errors))
    readFiles(*files, path, manifest, errors);
  if (const json::Array *tensors = arrayOf(*root, "tensors", path, errors))
    readTensors(*tensors, path, manifest, errors);
  readBuild(root->find("build"), manifest.build);
  if (errors.any())
    return failure();
  return manifest;
}

LogicalResult verifyManifest(const std::string &folder, const Manifest &manifest, const WorkOptions &work, Diagnostics &diags) {
  auto task = [&](size_t i, Diagnostics &messages) { return verifyFile(folder, manifest, manifest.files[i], work, messages); };
  bool ok = succeeded(parallelFor(work.jobs, manifest.files.size(), task, diags, /*keepGoing=*/true));
  std::set<std::string> known;
  for (const ManifestFile &file : manifest.files)
    known.insert(file.path);
  std::vector<std::string> unknown;
  for (const char *top : {"model", "serve"}) {
    std::error_code error;
    fs::recursive_directory_iterator walk(folder + "/" + top, error), end;
    for (; !error && walk != end; walk.increment(error)) {
      std::error_code ignored;
      std::string relative = walk->path().lexically_relative(folder).string();
      if (walk->symlink_status(ignored).type() != fs::file_type::directory && !known.count(relative))
        unknown.push_back(relative);
    }
    if (error && error.value() != ENOENT)
      ok = succeeded(systemError(diags, folder + "/" + top, "list the folder", error.value()));
  }
  std::sort(unknown.begin(), unknown.end());
  CappedErrors errors(diags, folder);
  for (const std::string &file : unknown)
    errors.error("files that are not in the manifest", file, "is not in the manifest", "remove it, or make the artefact again",
                 Cause::Answer);
  return success(ok && unknown.empty());
}

} // namespace flagrelease
