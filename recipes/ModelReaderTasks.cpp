#include "recipes/ModelReader.h"

#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"

using namespace flagrelease;

bool ModelReader::readTasks(const yaml::Node &node) {
  if (!node.isMapping())
    return fail(node.place, "`tasks` is a mapping from names to {match, options, let, do, outputs}");
  bool good = true;
  for (const yaml::Entry &entry : node.entries)
    good &= readTask(entry);
  return good;
}

bool ModelReader::readTask(const yaml::Entry &entry) {
  static constexpr StringRef kKeys[] = {"match", "options", "let", "do", "outputs"};
  Task task;
  task.name = entry.key;
  task.place = entry.place;
  if (!entry.value.isMapping())
    return fail(entry.value.place, "a task is a mapping, found a " + yaml::kindName(entry.value.kind));
  bool good = true;
  for (const yaml::Entry &key : entry.value.entries) {
    if (key.key == "match")
      good &= readMatch(key.value, task.match, diags);
    else if (key.key == "options")
      good &= readOptions(key.value, task);
    else if (key.key == "let")
      good &= steps.readLets(key.value, task.let);
    else if (key.key == "do")
      good &= steps.readList(key.value, task.body);
    else if (key.key == "outputs")
      good &= readOutputs(key.value, task);
    else
      good = fail(key.place, "unknown key '" + escape::terminal(key.key, 80) + "' of a task" + nearestNote(key.key, kKeys));
  }
  if (!entry.value.find("outputs"))
    good = fail(entry.place, "the task '" + escape::terminal(entry.key, 80) + "' lacks `outputs:`",
                "write outputs: {name of the artefact's output: value of the graph}");
  recipe.tasks.push_back(std::move(task));
  return good;
}

bool ModelReader::readOptions(const yaml::Node &node, Task &task) {
  if (!node.isMapping())
    return fail(node.place, "`options` is a mapping from names to {token} or {default}");
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    TaskOption option;
    option.name = entry.key;
    option.place = entry.place;
    if (!isIdentifier(entry.key, /*dashes=*/false))
      good = fail(entry.place, "'" + escape::terminal(entry.key, 80) + "' cannot be a name in expressions");
    for (const yaml::Entry &key : entry.value.entries) {
      if (key.key == "token" && key.value.isScalar() && !key.value.isNull()) {
        option.token = key.value.text;
      } else if (key.key == "default") {
        FailureOr<Expr> expr = Expr::parse(key.value, diags);
        if (failed(expr))
          good = false;
        else
          option.otherwise = *expr;
      } else {
        good = fail(key.place,
                    "an option has token (text) and default (an expression), not '" + escape::terminal(key.key, 80) + "'");
      }
    }
    task.options.push_back(std::move(option));
  }
  return good;
}

bool ModelReader::readOutputs(const yaml::Node &node, Task &task) {
  if (!node.isMapping() || node.entries.empty())
    return fail(node.place, "`outputs` is a mapping from names to values of the graph");
  bool good = true;
  for (const yaml::Entry &entry : node.entries) {
    if (entry.value.isScalar() && !entry.value.isNull())
      task.outputs.push_back({entry.key, entry.value.text});
    else
      good = fail(entry.value.place, "expected the name of a value");
  }
  return good;
}

bool ModelReader::readLogical(const yaml::Node &node, LogicalTensor::Kind kind) {
  if (!node.isSequence())
    return fail(node.place, "expected a list of {from, into, …}, found a " + yaml::kindName(node.kind));
  bool good = true;
  for (const yaml::Node &item : node.items) {
    LogicalTensor one;
    one.kind = kind;
    one.place = item.place;
    if (!item.isMapping()) {
      good = fail(item.place, "expected a mapping, found a " + yaml::kindName(item.kind));
      continue;
    }
    for (const yaml::Entry &entry : item.entries)
      good &= readLogicalKey(entry, one);
    bool complete = !one.from.empty() && !one.into.empty();
    if (kind == LogicalTensor::Kind::Split)
      complete &= !one.rows.empty();
    else if (kind == LogicalTensor::Kind::Stack)
      complete &= !one.over.empty() && one.times.has_value();
    else
      complete &= !one.body.empty();
    if (!complete)
      good = fail(item.place, kind == LogicalTensor::Kind::Split   ? "a split needs from, rows and into"
                              : kind == LogicalTensor::Kind::Stack ? "a stack needs from, over, times and into"
                                                                   : "a derive needs from, into and do");
    recipe.logical.push_back(std::move(one));
  }
  return good;
}

bool ModelReader::readLogicalKey(const yaml::Entry &entry, LogicalTensor &out) {
  const yaml::Node &node = entry.value;
  using Kind = LogicalTensor::Kind;
  auto text = [&](std::string &into) {
    if (!node.isScalar() || node.isNull())
      return fail(node.place, "'" + entry.key + "' is text");
    into = node.text;
    return true;
  };
  if (entry.key == "from")
    return text(out.from);
  if (entry.key == "into" && out.kind != Kind::Split) {
    out.into.assign(1, {"", ""});
    return text(out.into[0].second);
  }
  if (entry.key == "into") {
    if (!node.isMapping() || node.entries.empty())
      return fail(node.place, "`into` of a split is a mapping from groups of the pattern to names");
    for (const yaml::Entry &group : node.entries) {
      if (!group.value.isScalar() || group.value.isNull())
        return fail(group.value.place, "expected the name of a tensor");
      out.into.push_back({group.key, group.value.text});
    }
    return true;
  }
  if (entry.key == "rows" && out.kind == Kind::Split)
    return text(out.rows);
  if (entry.key == "sizes" && out.kind == Kind::Split)
    return steps.readLets(node, out.sizes);
  if (entry.key == "over" && out.kind == Kind::Stack)
    return text(out.over);
  if (entry.key == "times" && out.kind == Kind::Stack) {
    FailureOr<Expr> expr = Expr::parse(node, diags);
    if (succeeded(expr))
      out.times = *expr;
    return succeeded(expr);
  }
  if (entry.key == "do" && out.kind == Kind::Derive)
    return steps.readList(node, out.body);
  return fail(entry.place, "unknown key '" + escape::terminal(entry.key, 80) + "'");
}
