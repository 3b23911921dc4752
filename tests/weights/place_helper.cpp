// A small migration in a process of its own, which tests kill, stop, lock out and start again.
//
//   weights_place_helper SOURCE OUT [--force] [--link] [--jobs N] [--wait MS] [--hold MS] [--option X] [--no-space-check]
//
// Places SOURCE/a.bin and SOURCE/b.bin, writes a computed file of eight tensors and a text, then manifest and verdict. Prints
// problems to stderr, the state it found to stdout; exits as a command would.
#include "weights/Digest.h"
#include "weights/Manifest.h"
#include "weights/OutputPlace.h"
#include "weights/Placer.h"
#include "weights/StreamWriter.h"

#include "llvm/Support/raw_ostream.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

using namespace flagrelease;

namespace {

int exitWith(const Diagnostics &diags) {
  int code = 0;
  for (const Problem &problem : diags.errors()) {
    llvm::errs() << problem.where << ": " << problem.what << "\n  " << problem.remedy << "\n";
    code = code ? code : static_cast<int>(problem.cause);
  }
  return code;
}

PlannedFile plannedFile() {
  PlannedFile file;
  file.path = "model/computed.bin";
  file.head = "HEAD";
  file.recordEvery = 300'000;
  uint64_t at = 64;
  for (int t = 0; t < 8; ++t) {
    PlannedTensor tensor;
    tensor.name = "t" + std::to_string(t);
    tensor.type = DType::U8;
    tensor.shape = {100 + t, 1001};
    tensor.bytes = static_cast<uint64_t>(100 + t) * 1001;
    tensor.fileOffset = at;
    tensor.producer = [t](int64_t first, llvm::MutableArrayRef<std::byte> out, Diagnostics &) {
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<std::byte>((static_cast<uint64_t>(first) + i) * 31 % 251 + static_cast<uint64_t>(t));
      return success();
    };
    at = (at + tensor.bytes + 63) / 64 * 64;
    file.tensors.push_back(std::move(tensor));
  }
  file.bytes = at + 100; // zeros at the end
  return file;
}

LogicalResult migrate(OutputFolder &out, const std::string &source, bool link, bool checkSpace, const WorkOptions &work,
                      Diagnostics &diags) {
  std::vector<PlaceRequest> requests;
  for (const char *name : {"a.bin", "b.bin"}) {
    FailureOr<std::shared_ptr<FileSource>> file = FileSource::open(source + "/" + name, diags);
    if (failed(file))
      return failure();
    PlaceRequest request{*file, PlaceRequest::whole(**file), std::string("model/") + name, link, {}};
    request.parts = {{8, 100}, {1000, (*file)->size() / 2}};
    requests.push_back(std::move(request));
  }
  PlannedFile planned = plannedFile();
  if (checkSpace && failed(checkDiskSpace(out.path(), bytesToPlace(out, requests) + planned.bytes, diags)))
    return failure();
  FailureOr<std::vector<DoneFile>> placed = placeFiles(out, requests, work, diags);
  if (failed(placed))
    return failure();
  FailureOr<DoneFile> computed = writeStream(out, planned, work, diags);
  if (failed(computed) || failed(out.writeText("model/config.json", "{}\n", diags)))
    return failure();
  Manifest manifest;
  for (DoneFile file : *placed) {
    file.how = "copy"; // so that linked and copied runs can be compared
    manifest.add(file);
  }
  manifest.add(*computed);
  manifest.add(*out.done("model/config.json"));
  for (size_t i = 0; i < planned.tensors.size(); ++i) {
    const PlannedTensor &tensor = planned.tensors[i];
    manifest.tensors.push_back({tensor.name,
                                planned.path,
                                tensor.type,
                                tensor.shape,
                                tensor.fileOffset,
                                tensor.bytes,
                                computed->parts[i],
                                {"s"},
                                "test"});
  }
  manifest.build.tool = "test";
  if (failed(writeManifest(out, manifest, /*rejected=*/false, diags)))
    return failure();
  return out.finish({"device x", "ACCEPT", 0}, diags);
}

} // namespace

int main(int argc, char **argv) {
  std::string source = argv[1];
  OutputOptions options;
  options.path = argv[2];
  WorkOptions work;
  work.memory = 1 << 20;
  StopFlag stop;
  StopFlag::onSignals(stop);
  options.stop = work.stop = &stop;
  Fingerprint fingerprint;
  fingerprint.add("tool", "test 1");
  bool link = false, checkSpace = true;
  long hold = 0;
  for (int i = 3; i < argc; ++i) {
    StringRef word = argv[i];
    if (word == "--force")
      options.force = true;
    else if (word == "--link")
      link = true;
    else if (word == "--no-space-check")
      checkSpace = false;
    else if (word == "--jobs")
      work.jobs = static_cast<unsigned>(std::atoi(argv[++i]));
    else if (word == "--wait")
      options.wait = std::chrono::milliseconds(std::atoi(argv[++i]));
    else if (word == "--hold")
      hold = std::atoi(argv[++i]);
    else if (word == "--option")
      fingerprint.add("--option", argv[++i]);
  }
  Diagnostics diags;
  FailureOr<std::unique_ptr<OutputFolder>> out = OutputFolder::open(options, fingerprint, diags);
  if (failed(out))
    return exitWith(diags);
  static const char *const kStates[] = {"start", "resume", "finished"};
  std::printf("%s\n", kStates[static_cast<int>((*out)->state())]);
  std::fflush(stdout);
  std::this_thread::sleep_for(std::chrono::milliseconds(hold));
  if ((*out)->state() == OutputFolder::State::Finished)
    return (*out)->finishOf("device x")->exitCode;
  if (failed(migrate(**out, source, link, checkSpace, work, diags)))
    return exitWith(diags);
  for (const Problem &note : diags.remarks())
    llvm::errs() << "note: " << note.where << ": " << note.what << "\n";
  return 0;
}
