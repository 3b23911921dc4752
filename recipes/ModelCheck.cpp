// What can be said about names before any checkpoint is there: does every name refer to something?
#include "recipes/ModelReader.h"

#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"

using namespace flagrelease;

namespace {

class Checker {
public:
  Checker(const ModelRecipe &recipe, Diagnostics &diags) : recipe(recipe), diags(diags) {}

  bool run() {
    std::vector<std::string> inputs = {"input_ids", "attention_mask", "position_ids"};
    if (!recipe.inputs.empty()) {
      inputs.clear();
      for (const GraphInput &input : recipe.inputs)
        inputs.push_back(input.name);
    }
    known = inputs;
    bindAll(recipe.graph);
    check(recipe.graph, "", /*keepIds=*/true);
    size_t trunk = known.size();
    for (const Task &task : recipe.tasks) {
      bindAll(task.body);
      check(task.body, "", /*keepIds=*/true);
      for (const auto &[output, value] : task.outputs)
        checkName(value, task.place, "output '" + escape::terminal(output, 80) + "'");
      known.resize(trunk);
    }
    for (const NamedGraph &graph : recipe.graphs) {
      known = inputs;
      known.insert(known.end(), graph.in.begin(), graph.in.end());
      bindAll(graph.body);
      check(graph.body, graph.name, /*keepIds=*/true);
      for (const std::string &value : graph.out)
        checkName(value, graph.place, "result of graph '" + graph.name + "'");
    }
    for (const HiddenList &list : recipe.hidden)
      for (const std::string &path : list.steps)
        checkHidden(path);
    checkCircles();
    for (const auto &[stack, place] : pops)
      if (!llvm::is_contained(pushes, stack))
        fail(place, "nothing is pushed on the stack '" + escape::terminal(stack, 80) + "'");
    return good;
  }

private:
  void fail(const Place &place, const Twine &what, const Twine &remedy = "") {
    (void)diags.error(place.str(), what, remedy);
    good = false;
  }

  /// A name up to its first expression, with '*' for what follows.
  static std::string pattern(StringRef text) {
    size_t open = text.find_first_of("{[");
    if (open == StringRef::npos)
      return text.str();
    return (text.take_front(open) + (text[open] == '[' ? "." : "") + "*").str();
  }

  /// Names bound by `out` and by Bind parameters count everywhere in their graph: a repeat may read what an earlier round bound.
  void bindAll(const StepList &steps) {
    for (const Step &step : steps) {
      for (const Template &name : step.out)
        known.push_back(pattern(name.text()));
      for (const Param &param : step.params)
        bindParam(param);
      if (step.kind == "scan") // the body's names for slices and states
        for (const Param &param : step.params)
          for (const Param &name : param.nested)
            known.push_back(name.name);
      bindAll(step.body);
      for (const StepList &branch : step.branches)
        bindAll(branch);
      for (const Case &one : step.cases)
        bindAll(one.body);
    }
  }
  void bindParam(const Param &param) {
    if (param.type == ParamType::Bind && param.nameTemplate)
      known.push_back(pattern(param.nameTemplate->text()));
    for (const Param &inner : param.nested)
      bindParam(inner);
  }

  void checkName(StringRef text, const Place &place, StringRef what) {
    std::string wanted = pattern(text);
    StringRef start = StringRef(wanted).split('*').first;
    bool pattern = start.size() != wanted.size();
    if (wanted == "stream")
      return;
    for (const std::string &name : known) {
      auto [prefix, rest] = StringRef(name).split('*');
      bool open = prefix.size() != name.size();
      if (name == wanted || (open && start.starts_with(prefix)) || (pattern && prefix.starts_with(start)))
        return;
    }
    fail(place, what + ": no value '" + escape::terminal(text, 120) + "' here" + nearestNote(text, known),
         "bind it with `out`, or give an earlier step this id");
  }

  void checkParam(const Param &param) {
    if (param.type == ParamType::Value && param.nameTemplate)
      checkName(param.nameTemplate->text(), param.place, "'" + param.name + "'");
    for (const Param &inner : param.nested)
      checkParam(inner);
  }

  /// `keepIds`: the ids of this list stay known, for tasks and outputs; inner ones end with their list.
  void check(const StepList &steps, StringRef graph, bool keepIds = false) {
    size_t outer = known.size();
    for (const Step &step : steps) {
      for (const Template &name : step.in)
        checkName(name.text(), name.place(), "`in`");
      for (const Param &param : step.params)
        checkParam(param);
      if (step.kind == "call")
        checkCall(step, graph);
      const Param *stack = step.find("stack");
      if (step.kind == "push")
        pushes.push_back(stack ? stack->literal : "");
      else if (step.kind == "pop")
        pops.push_back({stack ? stack->literal : "", step.place});
      check(step.body, graph);
      for (const StepList &branch : step.branches)
        check(branch, graph);
      for (const Case &one : step.cases)
        check(one.body, graph);
      if (!step.id.empty())
        known.push_back(step.id);
    }
    if (!keepIds)
      known.resize(outer);
  }

  void checkCall(const Step &step, StringRef caller) {
    const Param *name = step.find("graph");
    const NamedGraph *graph = name ? recipe.findGraph(name->literal) : nullptr;
    if (!graph) {
      std::vector<std::string> names;
      for (const NamedGraph &each : recipe.graphs)
        names.push_back(each.name);
      if (name && !name->expr)
        fail(name->place, "no graph '" + escape::terminal(name->literal, 80) + "'" + nearestNote(name->literal, names));
      return;
    }
    calls.push_back({caller.str(), graph->name});
    size_t given = step.in.empty() ? 1 : step.in.size();
    if (given != std::max<size_t>(graph->in.size(), 1))
      fail(step.place, "graph '" + graph->name + "' takes " + Twine(std::max<size_t>(graph->in.size(), 1)) +
                           " values, `in` gives " + Twine(given));
    if (!step.out.empty() && step.out.size() != std::max<size_t>(graph->out.size(), 1))
      fail(step.place, "graph '" + graph->name + "' gives " + Twine(std::max<size_t>(graph->out.size(), 1)) +
                           " values, `out` names " + Twine(step.out.size()));
  }

  void checkCircles() {
    // A graph that reaches itself would never end.
    for (const NamedGraph &graph : recipe.graphs) {
      std::vector<StringRef> reached = {graph.name};
      for (size_t i = 0; i < reached.size(); ++i)
        for (const auto &[from, to] : calls)
          if (from == reached[i]) {
            if (to == graph.name)
              return fail(graph.place, "the graph '" + graph.name + "' calls itself");
            if (!llvm::is_contained(reached, StringRef(to)))
              reached.push_back(to);
          }
    }
  }

  void checkHidden(StringRef path) {
    const StepList *list = &recipe.graph;
    StringRef rest = path;
    if (rest.consume_front("graphs.")) {
      auto [name, after] = rest.split('/');
      const NamedGraph *graph = recipe.findGraph(name);
      list = graph ? &graph->body : nullptr;
      rest = after;
    }
    while (list) {
      auto [id, after] = rest.split('/');
      if (after.empty())
        (void)id.consume_back(".out"); // what each round of a repeat gives
      auto step = llvm::find_if(*list, [&, wanted = id](const Step &each) { return each.id == wanted; });
      if (step == list->end())
        break;
      if (after.empty())
        return;
      list = &step->body;
      rest = after;
    }
    const yaml::Node *node = recipe.flattened.find("hidden");
    fail(node ? node->place : Place(), "`hidden` names no step of the graph: '" + escape::terminal(path, 120) + "'");
  }

  const ModelRecipe &recipe;
  Diagnostics &diags;
  bool good = true;
  std::vector<std::string> known;
  std::vector<std::string> pushes;
  std::vector<std::pair<std::string, Place>> pops;
  std::vector<std::pair<std::string, std::string>> calls;
};

} // namespace

bool flagrelease::checkModelRecipe(const ModelRecipe &recipe, Diagnostics &diags) { return Checker(recipe, diags).run(); }
