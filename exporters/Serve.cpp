#include "exporters/Serve.h"

#include "text/Escape.h"
#include "text/Json.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace flagrelease;

namespace {

std::string replaced(std::string word, StringRef what, StringRef by) {
  for (size_t at = 0; (at = word.find(what.str(), at)) != std::string::npos; at += by.size())
    word.replace(at, what.size(), by.str());
  return word;
}

/// Names come from strangers: a comment of a script is one line.
std::string shown(StringRef name) { return escape::terminal(name, 120); }

/// What clients call the model: nothing that a shell, a URL or a placeholder takes for something else.
std::string servedName(StringRef name) {
  std::string out = name.str();
  for (char &c : out)
    if (!llvm::isAlnum(c) && !StringRef("-_./").contains(c))
      c = '-';
  return out;
}

std::vector<std::string> wordsOf(const ServeRequest &request) {
  std::vector<std::string> words;
  for (std::string word : request.toolchain.serve.argv) {
    word = replaced(word, "{dtype}", request.dtype);
    word = replaced(word, "{context}", std::to_string(request.context));
    words.push_back(replaced(word, "{name}", servedName(request.model)));
  }
  return words;
}

std::string scriptOf(const ServeRequest &request) {
  const Toolchain &toolchain = request.toolchain;
  const ServeCommand &serve = toolchain.serve;
  std::string text = "#!/bin/sh\n# Starts " + shown(request.model) + " (task " + request.task + ", scheme " + request.scheme +
                     ") on " + request.chip.name + " with " + toolchain.engine + ". More arguments are passed on.\n";
  for (const std::string &package : serve.packages)
    text += "# Needs: python3 -m pip install " + escape::shell(package) + "\n";
  if (!serve.image.empty())
    text += "# Image: " + serve.image + " (serve/Containerfile)\n";
  if (serve.packages.empty() && serve.image.empty())
    text += "# No version of the engine is pinned: no source for one is known.\n";
  else if (serve.image.empty())
    text += "# No image is pinned: no source for one is known.\n";
  text += "set -eu\nroot=$(CDPATH= cd -- \"$(dirname -- \"$0\")/..\" && pwd)\n";
  if (!toolchain.visibleEnv.empty())
    text += "export " + toolchain.visibleEnv + "=\"${" + toolchain.visibleEnv + ":-0}\"\n";
  text += "exec";
  std::string model = request.entry.empty() ? "\"$root/model\"" : "\"$root/model\"/" + escape::shell(request.entry);
  for (const std::string &word : wordsOf(request)) {
    // The place of the model is known to the script alone.
    llvm::SmallVector<StringRef> parts;
    StringRef(word).split(parts, "{model}");
    std::string out = parts.front().empty() && parts.size() > 1 ? "" : escape::shell(parts.front());
    for (StringRef part : llvm::ArrayRef(parts).drop_front())
      out += model + (part.empty() ? "" : escape::shell(part));
    text += " " + out;
  }
  return text + " \"$@\"\n";
}

std::string engineJson(const ServeRequest &request) {
  const Toolchain &toolchain = request.toolchain;
  json::Object root;
  root.set("version", 1);
  root.set("chip", request.chip.name);
  root.set("engine", toolchain.engine);
  root.set("format", toolchain.format);
  json::Array argv, packages, sources;
  for (const std::string &word : wordsOf(request))
    argv.emplace_back(replaced(word, "{model}", request.entry.empty() ? "model" : "model/" + request.entry));
  for (const std::string &package : toolchain.serve.packages)
    packages.emplace_back(package);
  for (const std::string &source : toolchain.serve.source)
    sources.emplace_back(source);
  root.set("argv", argv);
  root.set("packages", packages);
  root.set("image", toolchain.serve.image.empty() ? json::Value() : json::Value(toolchain.serve.image));
  if (!toolchain.visibleEnv.empty())
    root.set("visible_env", toolchain.visibleEnv);
  if (!toolchain.triton.empty())
    root.set("triton", toolchain.triton);
  root.set("sources", sources);
  return json::toText(json::Value(root), json::Writer::Style::Pretty);
}

} // namespace

std::vector<ServeFile> flagrelease::serveFiles(const ServeRequest &request) {
  const ServeCommand &serve = request.toolchain.serve;
  if (serve.argv.empty())
    return {};
  std::vector<ServeFile> files = {{"serve/engine.json", engineJson(request)}, {"serve/serve.sh", scriptOf(request)}};
  if (!serve.image.empty()) {
    json::Array entry = {"sh", "/release/serve/serve.sh"};
    for (const std::string &word : serve.imageArguments)
      entry.emplace_back(word);
    files.push_back(
        {"serve/Containerfile", "# Build in the folder above: docker build -f serve/Containerfile .\nFROM " + serve.image +
                                    "\nCOPY model /release/model\nCOPY serve /release/serve\nEXPOSE 8000\nENTRYPOINT " +
                                    json::toText(json::Value(entry)) + "\n"});
  }
  return files;
}
