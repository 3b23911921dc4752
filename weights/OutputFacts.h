// What the lines of a journal mean. Used by weights/OutputFolder.cpp only.
//
//   {"run":{"format":1,"fingerprint":{...}}}                         a run starts; first line
//   {"begin":PATH}                                                   from here on the file PATH is ours
//   {"tensors":[[NAME,SHA256],...],"of":PATH}                        these tensors are in the work file of PATH
//   {"done":PATH,"bytes":N,"sha256":H,"how":W,"mtime_ns":T,"parts":[H,...]}   PATH is complete under its name
//   {"removed":PATH}                                                 PATH is gone on purpose
//   {"finished":{"validation":F,"verdict":V,"exit":N}}
//   {"removing":true}                                                --force removes the files above
#pragma once

#include "weights/OutputFolder.h"

#include <map>
#include <set>

namespace flagrelease {

struct OutputFacts {
  bool hasRun = false, removing = false;
  Fingerprint fingerprint;
  std::set<std::string> announced;
  std::set<std::string> pending; ///< announced and not done
  std::map<std::string, DoneFile> done;
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> tensors;
  std::vector<Finish> finishes;
  std::set<std::string> listedByManifest;

  /// Facts of a later format are skipped.
  void apply(const json::Value &fact);
  /// Finished, and nothing was begun and left since.
  bool isFinished() const { return !finishes.empty() && pending.empty() && !removing; }
  std::set<std::string> ownFiles() const;
  /// Adds the files that the manifest of an older run lists.
  void addManifest(const std::string &root);
  /// Adds what runs and later validations left there beside the manifest: logs/*.log, and the statements of this tool in
  /// attestations/. They are in no journal: a validation may run where the folder cannot be locked.
  void addRecords(const std::string &root);
};

json::Value doneFact(const DoneFile &file);
json::Value finishFact(const Finish &finish);

} // namespace flagrelease
