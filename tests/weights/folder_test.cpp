// The parts of the output folder inside one process: places, fingerprints, journal, manifest.
#include "tests/support/TempFolder.h"
#include "text/Json.h"
#include "weights/Digest.h"
#include "weights/Journal.h"
#include "weights/Manifest.h"
#include "weights/OutputFolder.h"
#include "weights/OutputPlace.h"
#include "weights/TileRing.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <thread>
#include <unistd.h>

using namespace flagrelease;
using namespace flagrelease::test;

TEST_CASE("where an output folder may not be") {
  TempFolder folder;
  std::filesystem::create_directories(folder / "ckpt/sub");
  std::filesystem::create_directories(folder / "work/model/ckpt");
  std::filesystem::create_directory_symlink(folder / "ckpt", folder / "alias");
  ::setenv("HF_HOME", (folder / "hfhome").c_str(), 1);
  struct Row {
    std::string out, source;
    const char *says; // empty: allowed
  };
  for (const Row &row : {
           Row{folder / "out", folder / "ckpt", ""},
           Row{folder / "ckpt-out", folder / "ckpt", ""},
           Row{folder / "ckpt", folder / "ckpt", "lies in the source"},
           Row{folder / "ckpt/", folder / "ckpt/", "lies in the source"},
           Row{folder / "ckpt/sub/../out", folder / "ckpt", "lies in the source"},
           Row{folder / "alias/out", folder / "ckpt", "lies in the source"},
           Row{folder / "out/../alias/new/deep", folder / "ckpt", "lies in the source"},
           Row{folder / "work", folder / "work/model/ckpt", "would be written over the source"},
           Row{folder / "work", folder / "work/ckpt", ""},
           Row{folder / "models--a--b/snapshots/1/out", folder / "ckpt", "(models--a--b)"},
           Row{folder / ".cache/huggingface/out", folder / "ckpt", "(.cache/huggingface)"},
           Row{folder / ".cache/modelscope/hub/x", folder / "ckpt", "(.cache/modelscope)"},
           Row{folder / "hfhome/hub/x", folder / "ckpt", "(HF_HOME="},
       }) {
    Diagnostics diags;
    bool refused = failed(checkOutputPlace(row.out, {row.source}, diags));
    INFO(row.out << "\n" << textOf(diags));
    CHECK(refused == (*row.says != 0));
    CHECK_THAT(textOf(diags), Catch::Contains(row.says));
  }
  ::unsetenv("HF_HOME");
  OutputOptions options;
  options.path = folder / "ckpt/out";
  options.sources = {folder / "ckpt"};
  Diagnostics opening;
  CHECK(failed(OutputFolder::open(options, Fingerprint(), opening)));
  CHECK_FALSE(std::filesystem::exists(options.path));
  Diagnostics space;
  CHECK(succeeded(checkDiskSpace(folder / "not/yet/there", 1, space)));
  CHECK(failed(checkDiskSpace(folder / "not/yet/there", uint64_t(1) << 60, space)));
  CHECK(space.errors()[0].cause == Cause::Environment);
}

TEST_CASE("fingerprints say what differs") {
  Fingerprint old, now;
  old.add("--scheme", "fp16"), now.add("--scheme", "bf16");
  old.add("gone", "1"), now.add("fresh", "2");
  old.add("same", "3"), now.add("same", "3");
  CHECK(now.differencesFrom(old) ==
        std::vector<std::string>{"--scheme was fp16, is bf16", "fresh is new (2)", "gone is gone (was 1)"});
  CHECK(now.differencesFrom(now).empty());
  CHECK(Fingerprint::fromJson(now.toJson()) == now);
  CHECK(now.digest() != old.digest());
}

TEST_CASE("a journal survives a torn end, and refuses a damaged middle") {
  TempFolder folder;
  std::string path = folder / "journal";
  Diagnostics diags;
  {
    Journal journal;
    REQUIRE(succeeded(journal.open(path, OnDamage::Refuse, diags)));
    for (int i = 0; i < 3; ++i)
      REQUIRE(succeeded(journal.append(json::Object{{"begin", "file\n" + std::to_string(i)}}, diags)));
  }
  std::string whole = readFile(path);
  size_t lastLine = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t length = lastLine; length <= whole.size(); ++length) { // torn at any byte
    writeFile(path, whole.substr(0, length));
    FailureOr<std::vector<json::Value>> facts = readJournal(path, OnDamage::Refuse, diags);
    REQUIRE(succeeded(facts));
    CHECK(facts->size() == (length == whole.size() ? 3 : 2));
    Journal journal;
    REQUIRE(succeeded(journal.open(path, OnDamage::Refuse, diags)));
    REQUIRE(succeeded(journal.append(json::Object{{"finished", 1}}, diags)));
    facts = readJournal(path, OnDamage::Refuse, diags);
    REQUIRE(succeeded(facts));
    CHECK(facts->back().find("finished") != nullptr);
  }
  writeFile(path, whole + std::string(300, '\0')); // size on the disk, bytes not
  CHECK(readJournal(path, OnDamage::Refuse, diags)->size() == 3);
  std::string bad = whole;
  bad[lastLine - 5] ^= 1;
  writeFile(path, bad);
  CHECK(failed(readJournal(path, OnDamage::Refuse, diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("is damaged, and it is not the last one"));
  CHECK(readJournal(path, OnDamage::CutOff, diags)->size() == 1);
  CHECK(readJournal(folder / "absent", OnDamage::Refuse, diags)->empty());
}

TEST_CASE("a damaged journal stops a run, and --force goes on by the manifest") {
  TempFolder folder;
  Fingerprint fingerprint;
  OutputOptions options;
  options.path = folder / "out";
  Diagnostics diags;
  {
    auto out = OutputFolder::open(options, fingerprint, diags);
    REQUIRE(succeeded(out));
    REQUIRE(succeeded((*out)->writeText("model/a", "1", diags)));
    Manifest manifest;
    manifest.add(*(*out)->done("model/a"));
    REQUIRE(succeeded(writeManifest(**out, manifest, false, diags)));
    REQUIRE(succeeded((*out)->finish({"v", "ACCEPT", 0}, diags)));
  }
  std::string journal = readFile(folder / "out/.flagrelease/journal");
  journal[30] ^= 1;
  writeFile(folder / "out/.flagrelease/journal", journal);
  CHECK(failed(OutputFolder::open(options, fingerprint, diags)));
  options.force = true;
  Diagnostics forced;
  auto out = OutputFolder::open(options, fingerprint, forced);
  INFO(textOf(forced));
  REQUIRE(succeeded(out));
  CHECK_FALSE(std::filesystem::exists(folder / "out/model"));
  CHECK_FALSE(std::filesystem::exists(folder / "out/manifest.json"));
}

TEST_CASE("verdicts are remembered by their validation, without a lock on the bytes") {
  TempFolder folder;
  Fingerprint fingerprint;
  OutputOptions options;
  options.path = folder / "out";
  Diagnostics diags;
  {
    auto out = OutputFolder::open(options, fingerprint, diags);
    REQUIRE(succeeded(out));
    CHECK((*out)->state() == OutputFolder::State::Start);
    REQUIRE(succeeded((*out)->writeText("model/a", "1", diags)));
    REQUIRE(succeeded((*out)->finish({"ort:cpu", "UNPROVEN", 4}, diags)));
  }
  {
    auto out = OutputFolder::open(options, fingerprint, diags);
    REQUIRE(succeeded(out));
    REQUIRE((*out)->state() == OutputFolder::State::Finished);
    CHECK((*out)->finishOf("ort:cpu")->exitCode == 4);
    CHECK_FALSE((*out)->finishOf("chip"));
    REQUIRE(succeeded((*out)->writeText("attestations/1.json", "{}", diags)));
    REQUIRE(succeeded((*out)->finish({"chip", "ACCEPT", 0}, diags)));
  }
  auto out = OutputFolder::open(options, fingerprint, diags);
  REQUIRE(succeeded(out));
  CHECK((*out)->state() == OutputFolder::State::Finished);
  CHECK((*out)->finishOf("ort:cpu")->verdict == "UNPROVEN");
  CHECK((*out)->finishOf("chip")->verdict == "ACCEPT");
  CHECK((*out)->lastFinish()->validation == "chip");
  CHECK((*out)->ownFiles() == std::vector<std::string>{"attestations/1.json", "model/a"});
}

TEST_CASE("nothing is written through a link that leads out of the folder") {
  TempFolder folder;
  std::filesystem::create_directories(folder / "elsewhere");
  Fingerprint fingerprint;
  OutputOptions options;
  options.path = folder / "out";
  Diagnostics diags;
  auto out = OutputFolder::open(options, fingerprint, diags);
  REQUIRE(succeeded(out));
  std::filesystem::create_directory_symlink(folder / "elsewhere", folder / "out/model");
  CHECK(failed((*out)->writeText("model/a", "1", diags)));
  CHECK_THAT(textOf(diags), Catch::Contains("is a link or a file"));
  CHECK(std::filesystem::is_empty(folder / "elsewhere"));
}

TEST_CASE("verify names every file and tensor that is not as the manifest says") {
  TempFolder folder;
  Fingerprint fingerprint;
  OutputOptions options;
  options.path = folder / "out";
  Diagnostics diags;
  auto out = OutputFolder::open(options, fingerprint, diags);
  REQUIRE(succeeded(out));
  Manifest manifest;
  for (const char *path : {"model/b", "model/a", "serve/run.sh", "model/gone"}) {
    REQUIRE(succeeded((*out)->writeText(path, std::string("content of ") + path, diags)));
    manifest.add(*(*out)->done(path));
  }
  std::string a = "content of model/a";
  for (int t = 0; t < 3; ++t)
    manifest.tensors.push_back({"t" + std::to_string(t),
                                "model/a",
                                DType::U8,
                                {4},
                                static_cast<uint64_t>(t) * 4,
                                4,
                                sha256(a.substr(static_cast<size_t>(t) * 4, 4)),
                                {"w"},
                                "identity"});
  manifest.build = {"flagrelease 0",
                    "demo",
                    "abc",
                    {{"model.safetensors", {12, sha256(StringRef("h"))}}},
                    {{"modeling.py", "code"}, {"x\ny", "a link out of the source"}},
                    {{"llama", sha256(StringRef("r"))}},
                    {{"--scheme", "source"}},
                    sha256(StringRef("m"))};
  REQUIRE(succeeded(writeManifest(**out, manifest, false, diags)));

  FailureOr<Manifest> read = readManifest(folder / "out", diags);
  INFO(textOf(diags));
  REQUIRE(succeeded(read));
  CHECK(read->toJson() == manifest.toJson());
  CHECK(readFile(folder / "out/manifest.json") == manifest.toJson());
  CHECK(manifest.digest() == sha256(readFile(folder / "out/manifest.json")));
  CHECK(manifest.toJson().find(folder.path) == std::string::npos);
  WorkOptions work;
  work.jobs = 2;
  CHECK(succeeded(verifyManifest(folder / "out", *read, work, diags)));

  std::string flipped = a;
  flipped[5] ^= 1; // in t1
  writeFile(folder / "out/model/a", flipped);
  writeFile(folder / "out/model/b", "short");
  writeFile(folder / "out/model/deep/unknown", "x");
  std::filesystem::remove(folder / "out/model/gone");
  std::filesystem::remove(folder / "out/serve/run.sh");
  std::filesystem::create_symlink("/etc/hostname", folder / "out/serve/run.sh");
  Diagnostics differs;
  CHECK(failed(verifyManifest(folder / "out", *read, work, differs)));
  std::string text = textOf(differs);
  for (const char *say : {"model/a: has sha256", "t1: differs in model/a", "model/b: has 5 bytes, the manifest says 18",
                          "model/gone: is missing", "serve/run.sh: is a link", "model/deep/unknown: is not in the manifest"})
    CHECK_THAT(text, Catch::Contains(say));
  CHECK_THAT(text, !Catch::Contains("t0: differs"));
  for (const Problem &problem : differs.errors())
    CHECK(problem.cause == Cause::Answer);
  // A manifest that is wrong does not appear.
  Diagnostics wrong;
  CHECK(failed(writeManifest(**out, manifest, true, wrong)));
  CHECK_FALSE(std::filesystem::exists(folder / "out/manifest.rejected.json"));
}

TEST_CASE("a rejected manifest takes the place of the other, and back") {
  TempFolder folder;
  Fingerprint fingerprint;
  OutputOptions options;
  options.path = folder / "out";
  Diagnostics diags;
  auto out = OutputFolder::open(options, fingerprint, diags);
  REQUIRE(succeeded(out));
  for (bool rejected : {false, true, false}) {
    REQUIRE(succeeded(writeManifest(**out, Manifest(), rejected, diags)));
    CHECK(std::filesystem::exists(folder / "out/manifest.rejected.json") == rejected);
    CHECK(std::filesystem::exists(folder / "out/manifest.json") != rejected);
    CHECK(succeeded(readManifest(folder / "out", diags)));
  }
}

TEST_CASE("manifests of strangers") {
  struct Row {
    const char *content, *says;
  };
  std::string digest(64, 'a');
  const std::string file =
      "{\"manifest\":1,\"tensors\":[],\"files\":[{\"path\":\"PATH\",\"bytes\":1,\"sha256\":\"" + digest + "\"}]}";
  auto withPath = [&](const char *path) {
    std::string text = file;
    return text.replace(text.find("PATH"), 4, path);
  };
  std::vector<std::pair<std::string, const char *>> rows = {
      {"{", "manifest.json:1"},
      {"{}", "this is no manifest"},
      {"[]", "this is no manifest"},
      {"{\"manifest\":2}", "does not read"},
      {"{\"manifest\":1}", "manifest.json: files: needs a list"},
      {withPath("../x"), "files[0].path: needs a file of this folder, not '../x'"},
      {withPath("/etc/passwd"), "files[0].path: needs a file of this folder"},
      {withPath("home/x"), "files[0].path: needs a file of this folder"},
      {withPath("model/../../x"), "files[0].path: needs a file of this folder"},
      {"{\"manifest\":1,\"tensors\":[],\"files\":[{\"path\":\"model/x\",\"bytes\":-1,\"sha256\":\"" + digest + "\"}]}",
       "files[0].bytes: needs a size"},
      {"{\"manifest\":1,\"tensors\":[],\"files\":[{\"path\":\"model/x\",\"bytes\":1,\"sha256\":\"zz\"}]}",
       "files[0].sha256: needs a sha256"},
      {"{\"manifest\":1,\"tensors\":[],\"files\":[3]}", "files[0].path: needs a text"},
      {"{\"manifest\":1,\"files\":[],\"tensors\":[{\"name\":\"t\",\"file\":\"model/"
       "none\",\"dtype\":\"F32\",\"shape\":[1],\"offset\":0,\"bytes\":4,\"sha256\":\"" +
           digest + "\",\"expression\":\"identity\"}]}",
       "tensors[0].file: needs a file of the manifest, not 'model/none'"},
  };
  for (const auto &[content, says] : rows) {
    TempFolder folder;
    writeFile(folder / "manifest.json", content);
    Diagnostics diags;
    CHECK(failed(readManifest(folder.path, diags)));
    INFO(content);
    CHECK_THAT(textOf(diags), Catch::Contains(says));
    for (const Problem &problem : diags.errors())
      CHECK(problem.cause == Cause::Input);
  }
}

TEST_CASE("--force replaces a folder with logs and statements of later validations, and leaves what others put there") {
  TempFolder folder;
  OutputOptions options;
  options.path = folder / "out";
  Diagnostics diags;
  {
    auto out = OutputFolder::open(options, Fingerprint(), diags);
    REQUIRE(succeeded(out));
    REQUIRE(succeeded((*out)->writeText("model/a", "1", diags)));
    REQUIRE(succeeded((*out)->finish({"v", "ACCEPT", 0}, diags)));
  }
  writeFile(folder / "out/logs/ort_cpu-1.log", "x");
  writeFile(folder / "out/attestations/1-x86-64-ort-cpu.json", "{\"predicateType\":\"urn:flagrelease:validation:1\"}");
  options.force = true;
  CHECK(succeeded(OutputFolder::open(options, Fingerprint(), diags)));
  CHECK_FALSE(std::filesystem::exists(folder / "out/logs"));
  CHECK_FALSE(std::filesystem::exists(folder / "out/attestations"));

  // A statement of another tool is not ours to remove, nor is a link; and what is refused leaves everything as it was.
  writeFile(folder / "out/manifest.json", "{\"manifest\":1,\"files\":[{\"path\":\"model/a\"}]}");
  writeFile(folder / "out/model/a", "1");
  for (std::string name : {"logs/notes.txt", "attestations/other.json"}) {
    writeFile(folder / ("out/" + name), "{\"predicateType\":\"https://slsa.dev/provenance/v1\"}");
    Diagnostics refused;
    CHECK(failed(OutputFolder::open(options, Fingerprint(), refused)));
    CHECK_THAT(textOf(refused), Catch::Contains(name));
    CHECK(std::filesystem::exists(folder / "out/model/a"));
    CHECK(std::filesystem::remove(folder / ("out/" + name)));
  }
  writeFile(folder / "elsewhere.log", "x");
  std::filesystem::create_symlink(folder / "elsewhere.log", folder / "out/logs/link.log");
  Diagnostics refused;
  CHECK(failed(OutputFolder::open(options, Fingerprint(), refused)));
  CHECK(std::filesystem::exists(folder / "elsewhere.log"));
}

TEST_CASE("a manifest cannot make --force remove a file that is not of a migration") {
  TempFolder folder;
  writeFile(folder / "victim", "x");
  writeFile(folder / "out/keep/me", "x");
  writeFile(folder / "out/manifest.json",
            "{\"manifest\":1,\"files\":[{\"path\":\"../victim\"},{\"path\":\"keep/me\"},{\"path\":\"model/../../victim\"}]}");
  OutputOptions options;
  options.path = folder / "out";
  options.force = true;
  Diagnostics diags;
  auto out = OutputFolder::open(options, Fingerprint(), diags);
  INFO(textOf(diags));
  CHECK(succeeded(out));
  CHECK(std::filesystem::exists(folder / "victim"));
  CHECK(std::filesystem::exists(folder / "out/keep/me"));
  CHECK_FALSE(std::filesystem::exists(folder / "out/manifest.json"));
}

TEST_CASE("a ring gives every consumer every tile in order") {
  constexpr uint64_t kTiles = 2000;
  TileRing ring(5, 64, 2);
  std::atomic<uint64_t> next{0};
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 3; ++worker)
    threads.emplace_back([&] {
      for (uint64_t i; (i = next.fetch_add(1)) < kTiles;) {
        llvm::MutableArrayRef<std::byte> buffer = ring.acquire(i);
        buffer[0] = static_cast<std::byte>(i), buffer[1] = static_cast<std::byte>(i >> 8);
        ring.publish(i, 2 + i % 60);
      }
    });
  std::vector<uint64_t> wrong(2, 0), seen(2, 0);
  for (unsigned consumer = 0; consumer < 2; ++consumer)
    threads.emplace_back([&, consumer] {
      while (auto tile = ring.take(consumer)) {
        uint64_t i = seen[consumer]++;
        wrong[consumer] +=
            (*tile)[0] != static_cast<std::byte>(i) || (*tile)[1] != static_cast<std::byte>(i >> 8) || tile->size() != 2 + i % 60;
        ring.release(consumer);
      }
    });
  ring.finish(kTiles);
  for (std::thread &thread : threads)
    thread.join();
  CHECK(seen == std::vector<uint64_t>{kTiles, kTiles});
  CHECK(wrong == std::vector<uint64_t>{0, 0});
}
