#include "devices/DevicesYaml.h"

#include "devices/Device.h"
#include "text/Escape.h"
#include "text/Nearest.h"
#include "text/Yaml.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <cstdlib>
#include <filesystem>

namespace flagrelease {

namespace {

const char kDocument[] = "docs: devices/README.md";
constexpr double kMaxTimeoutSeconds = 7 * 24 * 3600;

class Reader {
public:
  Reader(const std::string &path, Diagnostics &diags) : path(path), diags(diags) {}

  FailureOr<std::vector<DeviceEntry>> read(const yaml::Node &root) {
    std::vector<DeviceEntry> entries;
    const yaml::Node *list = &root;
    if (root.isMapping()) {
      static const StringRef known[] = {"devices"};
      checkKeys(root, known);
      list = root.find("devices");
    }
    if (!list || !list->isSequence()) {
      bad(root, "a list of devices is missing", "write `devices:` with one mapping per device");
      return failure();
    }
    for (const yaml::Node &item : list->items) {
      DeviceEntry entry;
      readEntry(item, entry);
      for (const DeviceEntry &other : entries)
        if (!entry.name.empty() && other.name == entry.name)
          bad(item, "a second device named \"" + escape::terminal(entry.name) + "\", the first is at " + other.place,
              "give each device its own name");
      entries.push_back(std::move(entry));
    }
    if (failures)
      return failure();
    return entries;
  }

private:
  void bad(const yaml::Node &node, const Twine &what, const Twine &remedy) {
    ++failures;
    (void)diags.error(node.place.str(), what, remedy);
  }

  void checkKeys(const yaml::Node &node, llvm::ArrayRef<StringRef> known) {
    for (const yaml::Entry &entry : node.entries)
      if (!llvm::is_contained(known, StringRef(entry.key))) {
        ++failures;
        (void)diags.error(entry.place.str(),
                          "unknown key \"" + escape::terminal(entry.key) + "\"" + nearestNote(entry.key, known),
                          "known here: " + listed(known) + "; " + kDocument);
      }
  }

  std::string text(const yaml::Node &parent, StringRef key, bool required) {
    const yaml::Node *node = parent.find(key);
    if (!node) {
      if (required)
        bad(parent, "key \"" + key + "\" is missing", kDocument);
      return "";
    }
    if (!node->isScalar() || node->isNull() || node->text.empty()) {
      bad(*node, "\"" + key + "\" must be text, not " + (node->isScalar() ? "empty" : "a " + yaml::kindName(node->kind).str()),
          kDocument);
      return "";
    }
    return node->text;
  }

  void readEntry(const yaml::Node &node, DeviceEntry &entry) {
    entry.place = node.place.str();
    if (!node.isMapping())
      return bad(node, "a device must be a mapping, not a " + yaml::kindName(node.kind), kDocument);
    static const StringRef known[] = {"name", "chip", "exec", "runner", "env", "paths", "push", "timeout"};
    checkKeys(node, known);
    entry.name = text(node, "name", true);
    if (entry.name == "reference" || entry.name == "none" || findShippedDevice(entry.name))
      bad(*node.find("name"), "\"" + entry.name + "\" is the name of a device that this program has", "choose another name");
    if (!entry.name.empty() &&
        !llvm::all_of(entry.name, [](char c) { return llvm::isAlnum(c) || StringRef("._:-").contains(c); }))
      bad(*node.find("name"),
          "name \"" + escape::terminal(entry.name) + "\" has characters other than letters, digits and . _ : -",
          "choose another name");
    entry.chip = text(node, "chip", false);
    entry.runner = text(node, "runner", true);
    resolveRunner(entry);
    readExec(node, entry);
    readEnv(node, entry);
    readPaths(node, entry);
    if (const yaml::Node *push = node.find("push")) {
      if (std::optional<bool> value = push->asBool())
        entry.push = *value;
      else
        bad(*push, "\"push\" must be true or false", kDocument);
    }
    if (const yaml::Node *timeout = node.find("timeout")) {
      std::optional<double> value = timeout->asNumber();
      if (value && *value > 0 && *value <= kMaxTimeoutSeconds)
        entry.timeout = std::chrono::milliseconds(static_cast<int64_t>(*value * 1000 + 0.5));
      else
        bad(*timeout,
            "\"timeout\" must be seconds, more than 0 and at most one week, not \"" + escape::terminal(timeout->text, 80) + "\"",
            kDocument);
    }
  }

  void resolveRunner(DeviceEntry &entry) {
    if (entry.runner.find('/') == std::string::npos || StringRef(entry.runner).starts_with("/"))
      return;
    std::error_code ignored;
    entry.runner =
        std::filesystem::absolute(std::filesystem::path(path).parent_path() / entry.runner, ignored).lexically_normal().string();
  }

  void readExec(const yaml::Node &node, DeviceEntry &entry) {
    const yaml::Node *exec = node.find("exec");
    if (!exec) {
      if (entry.runner == "self")
        bad(node, "runner: self needs \"exec\": the command that speaks the protocol", kDocument);
      return;
    }
    if (!exec->isSequence() || exec->items.empty())
      return bad(*exec, "\"exec\" must be a list of words",
                 "write [ssh, host, python3]: one word each, no shell takes them apart");
    for (const yaml::Node &word : exec->items) {
      if (!word.isScalar() || word.text.empty())
        bad(word, "a word of \"exec\" must be text", kDocument);
      else
        entry.exec.push_back(word.text);
    }
  }

  void readEnv(const yaml::Node &node, DeviceEntry &entry) {
    const yaml::Node *env = node.find("env");
    if (!env)
      return;
    if (!env->isMapping())
      return bad(*env, "\"env\" must be a mapping of names to text", kDocument);
    for (const yaml::Entry &variable : env->entries) {
      StringRef key = variable.key;
      if (key.empty() || llvm::isDigit(key[0]) || !llvm::all_of(key, [](char c) { return llvm::isAlnum(c) || c == '_'; }))
        bad(variable.value, "\"" + escape::terminal(key) + "\" is no name of an environment variable", kDocument);
      else if (!variable.value.isScalar())
        bad(variable.value, "the value of \"" + key + "\" must be text", kDocument);
      else
        entry.env[variable.key] = variable.value.text;
    }
  }

  void readPaths(const yaml::Node &node, DeviceEntry &entry) {
    const yaml::Node *paths = node.find("paths");
    if (!paths)
      return;
    if (!paths->isSequence())
      return bad(*paths, "\"paths\" must be a list of {local, remote}", kDocument);
    static const StringRef known[] = {"local", "remote"};
    for (const yaml::Node &item : paths->items) {
      if (!item.isMapping()) {
        bad(item, "an item of \"paths\" must be {local, remote}", kDocument);
        continue;
      }
      checkKeys(item, known);
      PathPair pair{text(item, "local", true), text(item, "remote", true)};
      for (std::string *side : {&pair.local, &pair.remote}) {
        if (side->empty())
          continue;
        if (side->front() != '/')
          bad(item, "\"" + escape::terminal(*side) + "\" is not an absolute path", "write the full path");
        while (side->size() > 1 && side->back() == '/')
          side->pop_back();
      }
      entry.paths.push_back(std::move(pair));
    }
  }

  const std::string &path;
  Diagnostics &diags;
  unsigned failures = 0;
};

} // namespace

FailureOr<std::vector<DeviceEntry>> readDevicesYaml(const std::string &path, Diagnostics &diags) {
  FailureOr<yaml::Node> root = yaml::parseFile(path, diags);
  if (failed(root))
    return failure();
  return Reader(path, diags).read(*root);
}

FailureOr<std::string> findDevicesYaml(StringRef flag, Diagnostics &diags) {
  const char *variable = std::getenv("FLAGRELEASE_DEVICES");
  std::string named = !flag.empty() ? flag.str() : variable ? variable : "";
  std::error_code error;
  if (!named.empty()) {
    if (std::filesystem::is_regular_file(named, error))
      return named;
    return diags.error(flag.empty() ? "FLAGRELEASE_DEVICES" : "--devices", "no such file: " + escape::terminal(named),
                       "name an existing devices.yaml");
  }
  const char *config = std::getenv("XDG_CONFIG_HOME"), *home = std::getenv("HOME");
  std::string folder = config && *config == '/' ? config : home && *home == '/' ? std::string(home) + "/.config" : "";
  std::string path = folder + "/flagrelease/devices.yaml";
  return !folder.empty() && std::filesystem::exists(path, error) ? path : std::string();
}

FailureOr<std::vector<DeviceEntry>> loadDevices(StringRef flag, Diagnostics &diags) {
  FailureOr<std::string> path = findDevicesYaml(flag, diags);
  if (failed(path))
    return failure();
  if (path->empty())
    return std::vector<DeviceEntry>();
  return readDevicesYaml(*path, diags);
}

} // namespace flagrelease
