#include "recipes/TensorPatterns.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace flagrelease;

namespace {
/// '*' for what stands in braces.
std::string plain(StringRef text) {
  std::string out;
  int depth = 0;
  for (char c : text) {
    if (c == '{' && depth++ == 0)
      out += '*';
    else if (c == '}')
      --depth;
    else if (depth == 0)
      out += c;
  }
  return out;
}

std::string join(const std::string &at, StringRef name) {
  if (name.consume_front("/") || at.empty())
    return name.str();
  return name.empty() ? at : at + "." + name.str();
}

class Collector {
public:
  explicit Collector(const ModelRecipe &recipe) : recipe(recipe) {}

  void add(const StepList &steps, const std::string &outer, unsigned depth = 0) {
    for (const Step &step : steps) {
      const std::string at = step.at ? join(outer, plain(step.at->text())) : outer;
      for (const Param &param : step.params)
        add(param, at);
      if (const Param *graph = step.kind == "call" && depth < 8 ? step.find("graph") : nullptr)
        if (const NamedGraph *called = recipe.findGraph(graph->literal))
          add(called->body, at, depth + 1);
      add(step.body, at, depth);
      for (const StepList &branch : step.branches)
        add(branch, at, depth);
      for (const Case &one : step.cases)
        add(one.body, at, depth);
    }
  }

  std::set<std::string> names;

private:
  void add(const Param &param, const std::string &at) {
    if (param.type == ParamType::Tensor && param.nameTemplate)
      names.insert(join(at, plain(param.nameTemplate->text())));
    for (const Param &inner : param.nested)
      add(inner, at);
  }

  const ModelRecipe &recipe;
};
} // namespace

std::set<std::string> flagrelease::tensorPatterns(const ModelRecipe &recipe) {
  Collector collector(recipe);
  collector.add(recipe.graph, "");
  for (const Task &task : recipe.tasks)
    collector.add(task.body, "");
  return std::move(collector.names);
}

std::string flagrelease::tensorPattern(StringRef name) {
  llvm::SmallVector<StringRef> parts;
  name.split(parts, '.');
  std::string out;
  for (StringRef part : parts)
    out += (out.empty() ? "" : ".") + (!part.empty() && llvm::all_of(part, llvm::isDigit) ? std::string("*") : part.str());
  return out;
}
