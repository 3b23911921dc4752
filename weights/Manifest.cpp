#include "weights/Manifest.h"

#include "text/Json.h"
#include "weights/Digest.h"
#include "weights/FailPoint.h"
#include "weights/Files.h"

#include <algorithm>
#include <cassert>
#include <tuple>

namespace flagrelease {

namespace {

/// `items` as the lines of a JSON array.
template <typename T, typename Print> void lines(std::string &out, const std::vector<T> &items, Print print) {
  for (const T &item : items) {
    out += &item == &items.front() ? "\n" : ",\n";
    json::Writer writer(out, json::Writer::Style::Compact);
    writer.beginObject();
    print(writer, item);
    writer.endObject();
  }
}

void printTensor(json::Writer &writer, const ManifestTensor &tensor) {
  writer.member("name", tensor.name);
  writer.member("file", tensor.file);
  writer.member("dtype", dtypeName(tensor.type));
  writer.key("shape");
  writer.beginArray();
  for (int64_t dimension : tensor.shape)
    writer.value(dimension);
  writer.endArray();
  writer.member("offset", tensor.offset);
  writer.member("bytes", tensor.bytes);
  writer.member("sha256", tensor.sha256);
  writer.key("sources");
  writer.beginArray();
  for (const std::string &source : tensor.sources)
    writer.value(source);
  writer.endArray();
  writer.member("expression", tensor.expression);
}

void printMap(json::Writer &writer, StringRef key, const std::map<std::string, std::string> &map) {
  writer.key(key);
  writer.beginObject();
  for (const auto &[name, value] : map)
    writer.member(name, value);
  writer.endObject();
}

std::string printBuild(const ManifestBuild &build) {
  std::string out;
  json::Writer writer(out, json::Writer::Style::Pretty);
  writer.beginObject();
  writer.member("tool", build.tool);
  writer.key("source");
  writer.beginObject();
  writer.member("name", build.sourceName);
  if (!build.sourceRevision.empty())
    writer.member("revision", build.sourceRevision);
  writer.key("files");
  writer.beginArray();
  for (const auto &[name, file] : build.sourceFiles) {
    writer.beginObject();
    writer.member("name", name);
    writer.member("bytes", file.first);
    writer.member("header_sha256", file.second);
    writer.endObject();
  }
  writer.endArray();
  if (!build.leftOut.empty()) {
    writer.key("left_out");
    writer.beginArray();
    for (const auto &[name, reason] : build.leftOut) {
      writer.beginObject();
      writer.member("name", name);
      writer.member("reason", reason);
      writer.endObject();
    }
    writer.endArray();
  }
  writer.endObject();
  printMap(writer, "recipes", build.recipes);
  printMap(writer, "options", build.options);
  writer.member("module", build.module);
  writer.endObject();
  return out;
}

} // namespace

void Manifest::add(const DoneFile &file) { files.push_back({file.path, file.bytes, file.sha256, file.how == "link"}); }

std::string Manifest::toJson() const {
  Manifest sorted = *this;
  std::sort(sorted.files.begin(), sorted.files.end(),
            [](const ManifestFile &a, const ManifestFile &b) { return a.path < b.path; });
  std::sort(sorted.tensors.begin(), sorted.tensors.end(),
            [](const ManifestTensor &a, const ManifestTensor &b) { return std::tie(a.file, a.name) < std::tie(b.file, b.name); });
  std::string out = "{\"manifest\":1,\n\"files\":[";
  lines(out, sorted.files, [](json::Writer &writer, const ManifestFile &file) {
    writer.member("path", file.path);
    writer.member("bytes", file.bytes);
    writer.member("sha256", file.sha256);
    if (file.linked)
      writer.member("linked", true);
  });
  out += "\n],\n\"tensors\":[";
  lines(out, sorted.tensors, printTensor);
  out += "\n],\n\"build\":" + printBuild(build);
  while (out.back() == '\n')
    out.pop_back();
  return out + "\n}\n";
}

std::string Manifest::digest() const { return sha256(toJson()); }

LogicalResult writeManifest(OutputFolder &out, const Manifest &manifest, bool rejected, Diagnostics &diags) {
  bool complete = true;
  for (const ManifestFile &file : manifest.files) {
    std::optional<DoneFile> done = out.done(file.path);
    if (!done || done->sha256 != file.sha256 || done->bytes != file.bytes)
      complete = succeeded(diags.error(out.pathOf(file.path),
                                       done ? "is not the file that was written" : "was changed or removed while the run went on",
                                       "run the same command again: it is made again", Cause::Environment));
  }
  if (!complete)
    return failure();
  StringRef name = rejected ? kRejectedManifestName : kManifestName, other = rejected ? kManifestName : kRejectedManifestName;
  // First away with the other one: an artefact never has both.
  if (failed(out.remove(other, diags)) || failed(failPoint("manifest-before-rename", diags)) ||
      failed(out.writeText(name, manifest.toJson(), diags)))
    return failure();
  return failPoint("manifest-after-rename", diags);
}

} // namespace flagrelease
