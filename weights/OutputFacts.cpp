#include "weights/OutputFacts.h"

#include "weights/Files.h"
#include "weights/OutputPlace.h"

#include <filesystem>

namespace flagrelease {

namespace fs = std::filesystem;

namespace {

std::string text(const json::Value *value) { return value && value->isString() ? value->string().str() : std::string(); }
int64_t number(const json::Value *value) { return value && value->isInt() ? value->integer() : 0; }

} // namespace

void OutputFacts::apply(const json::Value &fact) {
  if (const json::Value *run = fact.find("run")) {
    *this = OutputFacts();
    hasRun = true;
    if (const json::Value *print = run->find("fingerprint"))
      fingerprint = Fingerprint::fromJson(*print);
  } else if (const json::Value *begin = fact.find("begin")) {
    std::string path = text(begin);
    announced.insert(path);
    pending.insert(path);
    done.erase(path);
  } else if (const json::Value *list = fact.find("tensors"); list && list->isArray()) {
    auto &known = tensors[text(fact.find("of"))];
    for (const json::Value &pair : list->array())
      if (pair.isArray() && pair.array().size() == 2)
        known.emplace_back(text(&pair.array()[0]), text(&pair.array()[1]));
  } else if (const json::Value *path = fact.find("done")) {
    DoneFile file;
    file.path = text(path);
    file.bytes = static_cast<uint64_t>(number(fact.find("bytes")));
    file.sha256 = text(fact.find("sha256"));
    file.how = text(fact.find("how"));
    file.mtimeNs = number(fact.find("mtime_ns"));
    if (const json::Value *parts = fact.find("parts"); parts && parts->isArray())
      for (const json::Value &part : parts->array())
        file.parts.push_back(text(&part));
    pending.erase(file.path);
    tensors.erase(file.path);
    done[file.path] = std::move(file);
  } else if (const json::Value *removed = fact.find("removed")) {
    std::string path = text(removed);
    announced.erase(path);
    pending.erase(path);
    done.erase(path);
  } else if (const json::Value *finished = fact.find("finished")) {
    finishes.push_back(
        {text(finished->find("validation")), text(finished->find("verdict")), static_cast<int>(number(finished->find("exit")))});
  } else if (fact.find("removing"))
    removing = true;
}

std::set<std::string> OutputFacts::ownFiles() const {
  std::set<std::string> own = announced;
  own.insert(listedByManifest.begin(), listedByManifest.end());
  return own;
}

void OutputFacts::addManifest(const std::string &root) {
  for (const char *name : {"manifest.json", "manifest.rejected.json"}) {
    Diagnostics unread; // a manifest that is absent or damaged lists nothing
    FailureOr<std::string> content = readSmallFile(root + "/" + name, uint64_t(256) << 20, unread);
    if (failed(content))
      continue;
    FailureOr<json::Value> manifest = json::parse(*content, name, unread);
    if (failed(manifest))
      continue;
    listedByManifest.insert(name);
    const json::Value *files = manifest->find("files");
    if (!files || !files->isArray())
      continue;
    for (const json::Value &file : files->array()) {
      std::string path = text(file.find("path"));
      // Only what a migration writes: a manifest that came from elsewhere must not point at anything else.
      if (isContainedPath(path) && isOutputName(StringRef(path).split('/').first))
        listedByManifest.insert(path);
    }
  }
}

void OutputFacts::addRecords(const std::string &root) {
  if (!hasRun && listedByManifest.empty())
    return; // a folder that is not ours has no records of ours
  for (const char *folder : {"attestations", "logs"}) {
    std::error_code error;
    for (fs::directory_iterator it(root + "/" + folder, error), end; !error && it != end; it.increment(error)) {
      std::error_code ignored;
      if (it->symlink_status(ignored).type() != fs::file_type::regular)
        continue;
      bool ours = StringRef(folder) == "logs" && it->path().extension() == ".log";
      if (StringRef(folder) == "attestations" && it->path().extension() == ".json") {
        Diagnostics unread; // what cannot be read is not ours
        FailureOr<std::string> content = readSmallFile(it->path().string(), uint64_t(16) << 20, unread);
        FailureOr<json::Value> statement =
            failed(content) ? FailureOr<json::Value>(failure()) : json::parse(*content, it->path().string(), unread);
        ours = succeeded(statement) && StringRef(text(statement->find("predicateType"))).starts_with("urn:flagrelease:");
      }
      if (ours)
        listedByManifest.insert(it->path().lexically_relative(root).string());
    }
  }
}

json::Value doneFact(const DoneFile &file) {
  json::Object fact;
  fact.append("done", file.path);
  fact.append("bytes", file.bytes);
  fact.append("sha256", file.sha256);
  fact.append("how", file.how);
  fact.append("mtime_ns", file.mtimeNs);
  if (!file.parts.empty()) {
    json::Array parts;
    for (const std::string &part : file.parts)
      parts.push_back(part);
    fact.append("parts", std::move(parts));
  }
  return fact;
}

json::Value finishFact(const Finish &finish) {
  json::Object end, fact;
  end.append("validation", finish.validation);
  end.append("verdict", finish.verdict);
  end.append("exit", finish.exitCode);
  fact.append("finished", std::move(end));
  return fact;
}

} // namespace flagrelease
