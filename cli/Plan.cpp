// What would happen: nothing is written, and only headers are read.
#include "cli/Artefact.h"
#include "cli/Verbs.h"
#include "text/Escape.h"
#include "text/Sizes.h"

#include "llvm/ADT/StringExtras.h"

using namespace flagrelease;

namespace {
std::string planJson(const Model &model, const MigrationPlan &plan) {
  json::Object root;
  root.set("verdict", planVerdictName(plan.verdict).str());
  root.set("chip", plan.chip->name);
  root.set("model", model.source.name);
  root.set("family", model.imported.recipe);
  root.set("task", model.imported.task);
  root.set("format", plan.format);
  root.set("engine", plan.toolchain->engine);
  root.set("scheme", plan.scheme->name);
  root.set("kv_cache", plan.cacheText);
  root.set("context", plan.context);
  root.set("batch", plan.batch);
  json::Object bytes;
  bytes.set("weights", plan.weightBytes);
  bytes.set("kv_cache", plan.cacheBytes);
  bytes.set("activations_estimate", plan.activationBytes);
  bytes.set("disk", plan.diskBytes);
  root.set("bytes", bytes);
  json::Array reasons, limits, operators, lowering;
  for (const std::string &reason : plan.reasons)
    reasons.emplace_back(reason);
  for (const std::string &limit : plan.limits)
    limits.emplace_back(limit);
  for (const PlannedOperator &op : plan.operators) {
    json::Object entry;
    entry.set("name", op.name);
    entry.set("verdict", opVerdictName(op.level).str());
    entry.set("count", op.count);
    entry.set("reason", op.reason);
    operators.emplace_back(entry);
  }
  for (const OnnxChoice &choice : plan.lowering.choices) {
    json::Object entry;
    entry.set("op", choice.op);
    entry.set("way", choice.way);
    entry.set("count", choice.count);
    lowering.emplace_back(entry);
  }
  json::Array fallbacks;
  for (const auto &[tensor, reason] : plan.fallbacks) {
    json::Object entry;
    entry.set("tensor", tensor);
    entry.set("reason", reason);
    fallbacks.emplace_back(entry);
  }
  root.set("reasons", reasons);
  root.set("fallbacks", fallbacks);
  root.set("operators", operators);
  root.set("lowering", lowering);
  root.set("limits", limits);
  return json::toText(json::Value(root), json::Writer::Style::Compact);
}

int run(const Options &options, Console &console, Diagnostics &diags) {
  FailureOr<Model> model = openModel(options, console, diags);
  FailureOr<TargetRecipes> targets = failed(model) ? FailureOr<TargetRecipes>(failure()) : loadTargetRecipes(options, diags);
  FailureOr<MigrationPlan> plan =
      failed(targets) ? FailureOr<MigrationPlan>(failure()) : choosePlan(options, *model, *targets, diags);
  if (failed(plan) || failed(lower(*model, *plan, false, options.dumpDir, &*plan, options, diags)))
    return exitCodeOf(diags);
  int code = plan->verdict == PlanVerdict::Infeasible ? 1 : 0;
  if (options.json) {
    console.result(planJson(*model, *plan));
    return code;
  }
  console.result(planVerdictName(plan->verdict) + ": " + escape::terminal(model->source.name) + " (" + model->imported.recipe +
                 ", " + model->imported.task + ") for " + plan->chip->name + " through " + plan->toolchain->engine);
  for (const std::string &reason : plan->reasons)
    console.result("  " + escape::terminal(reason));
  console.result("  format " + plan->format + ", scheme " + plan->scheme->name + ", cache " + plan->cacheText + ", context " +
                 Twine(plan->context) + ", batch " + Twine(plan->batch));
  console.result("  weights " + humanBytes(plan->weightBytes) + ", cache " + humanBytes(plan->cacheBytes) +
                 ", activations about " + humanBytes(plan->activationBytes) + ", disk " + humanBytes(plan->diskBytes));
  if (std::optional<double> gib = plan->chip->memoryGib())
    console.result("  the chip has " + humanBytes(static_cast<uint64_t>(*gib * 1073741824.0)));
  if (!plan->table)
    console.result("  the engine owns the graph: operators not checked");
  std::map<std::string, std::vector<std::string>> byLevel;
  for (const PlannedOperator &op : plan->operators)
    byLevel[opVerdictName(op.level).str()].push_back(op.name + " x" + std::to_string(op.count));
  for (const auto &[level, names] : byLevel)
    console.result("  " + level + ": " + llvm::join(names, ", "));
  for (const OnnxChoice &choice : plan->lowering.choices)
    if (choice.way == "decomposed")
      console.result("  " + choice.op + " x" + Twine(choice.count) + " decomposed into " + llvm::join(choice.nodes, ", "));
  for (const auto &[tensor, reason] : plan->fallbacks)
    console.result("  " + escape::terminal(tensor) + ": " + escape::terminal(reason));
  for (const std::string &limit : plan->limits)
    console.result("  limit: " + escape::terminal(limit));
  return code;
}

void declare(CLI::App &app, Options &options) {
  declareSource(app, options);
  declareTarget(app, options);
}
} // namespace

const Verb flagrelease::kPlan = {"plan", "say whether and how a chip takes a model, reading headers only", declare, run};
