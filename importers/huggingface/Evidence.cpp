#include "importers/huggingface/Evidence.h"

#include "importers/huggingface/Import.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <set>

using namespace flagrelease;
using namespace mlir;

namespace {
/// The name of a tensor without its place: "model.layers.3.self_attn.q_proj.bias" is "self_attn.q_proj.bias".
StringRef withoutLayer(StringRef name) {
  StringRef rest = name;
  while (!rest.empty()) {
    auto [head, tail] = rest.split('.');
    int64_t number = 0;
    if (!head.getAsInteger(10, number) && !tail.empty())
      name = tail;
    rest = tail;
  }
  return name;
}

StringRef paramOf(Value value) {
  auto use = value ? value.getDefiningOp<fr::UseOp>() : fr::UseOp();
  return use ? use.getParam() : StringRef();
}

/// The op that made the heads of q or k, through what only moves or rotates them.
Operation *projectionOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (isa<fr::ReshapeOp, fr::TransposeOp, fr::CastOp, fr::RopeOp>(op))
      value = op->getOperand(0);
    else if (auto append = dyn_cast<fr::StateAppendOp>(op))
      value = append.getValue();
    else
      return op;
  }
  return nullptr;
}

class Options {
public:
  void add(const Twine &option) { all.insert(option.str()); }

  void rope(fr::RopeTableOp table) {
    add("rope=" + fr::stringifyRopeKind(table.getKind()));
    if (table.getAttentionScaling().convertToDouble() != 1)
      add("rope.attention_scaling");
    if (!table.getTruncate())
      add("rope.truncate=false");
  }

  void attention(fr::AttentionOp op) {
    auto q = dimsOf(op.getQ().getType()), k = dimsOf(op.getK().getType());
    int64_t heads = q[1].value(), keyHeads = k[1].value(), size = q[3].value();
    add(heads == keyHeads ? "attention=mha" : keyHeads == 1 ? "attention=mqa" : "attention=gqa");
    double scale = op.getScale().convertToDouble();
    if (std::abs(scale * std::sqrt(static_cast<double>(size)) - 1) > 1e-6)
      add("attention.scale=own");
    if (op.getSoftcap())
      add("attention.softcap");
    if (Operation *made = projectionOf(op.getQ()); isa_and_nonnull<fr::RmsNormOp, fr::LayerNormOp>(made))
      add("attention.qk_norm=" + made->getName().stripDialect());
    if (!op.getMask())
      add("attention.mask=none");
  }

  void mask(fr::AttentionMaskOp op) {
    add(op.getCausal() ? "attention.mask=causal" : "attention.mask=bidirectional");
    (op.getWindow() ? windowed : unlimited) += 1;
  }

  void linear(fr::LinearOp op) {
    if (op.getBias())
      add("bias=" + withoutLayer(paramOf(op.getBias())));
  }

  void norm(fr::RmsNormOp op) {
    if (op.getOffset().convertToDouble() != 0)
      add("rms_norm.offset");
  }

  std::set<std::string> all;
  int64_t windowed = 0, unlimited = 0;
};
} // namespace

std::vector<std::string> flagrelease::optionsOf(const Imported &imported) {
  Options options;
  ModuleOp module = *imported.module;
  std::map<std::string, int> readers; // of params that linear ops and embeddings share
  module.walk([&](Operation *op) {
    if (isa<func::FuncOp, func::ReturnOp, ModuleOp>(op) || op->getParentOfType<fr::ParamOp>() ||
        isa<fr::ParamOp, fr::WeightsOp, fr::WeightOp>(op))
      return;
    options.add("op=" + op->getName().stripDialect());
    if (auto table = dyn_cast<fr::RopeTableOp>(op))
      options.rope(table);
    else if (auto rope = dyn_cast<fr::RopeOp>(op)) {
      options.add(rope.getInterleaved() ? "rope.style=interleaved" : "rope.style=half");
      if (dimsOf(rope.getCos().getType()).back().value() * 2 != dimsOf(rope.getX().getType()).back().value())
        options.add("rope.partial");
    } else if (auto attention = dyn_cast<fr::AttentionOp>(op))
      options.attention(attention);
    else if (auto mask = dyn_cast<fr::AttentionMaskOp>(op))
      options.mask(mask);
    else if (auto linear = dyn_cast<fr::LinearOp>(op)) {
      options.linear(linear);
      if (StringRef weight = paramOf(linear.getWeight()); !weight.empty())
        readers[weight.str()] |= 1;
    } else if (auto norm = dyn_cast<fr::RmsNormOp>(op))
      options.norm(norm);
    else if (auto gelu = dyn_cast<fr::GeluOp>(op))
      options.add("gelu=" + fr::stringifyGeluKind(gelu.getApproximate()));
    else if (auto state = dyn_cast<fr::StateOp>(op))
      options.add("state=" + fr::stringifyStateKind(state.getKind()));
    else if (auto embedding = dyn_cast<fr::EmbeddingOp>(op))
      if (StringRef table = paramOf(embedding.getTable()); !table.empty())
        readers[table.str()] |= 2;
  });
  if (options.windowed)
    options.add(options.unlimited ? "window=some layers" : "window=all layers");
  bool tied = false;
  for (const auto &[param, by] : readers)
    tied |= by == 3;
  if (imported.task == "causal_lm")
    options.add(tied ? "head=tied" : "head=own");
  options.add("task=" + imported.task);

  std::vector<std::string> sorted;
  for (const std::string &option : options.all)
    sorted.push_back(imported.recipe + ": " + option);
  return sorted;
}

std::string flagrelease::evidenceText(const Evidence &evidence) {
  // One option a line: a change of evidence is a change of lines.
  std::string text = "{";
  for (const auto &[option, fixtures] : evidence) {
    text += text.size() > 1 ? ",\n  " : "\n  ";
    json::Array names(fixtures.begin(), fixtures.end());
    text += json::toText(json::Value(option)) + ": " + json::toText(json::Value(names));
  }
  return text + "\n}\n";
}

FailureOr<Evidence> flagrelease::readEvidence(const std::string &path, Diagnostics &diags) {
  Evidence evidence;
  if (!llvm::sys::fs::exists(path))
    return evidence;
  FailureOr<json::Value> root = json::parseFile(path, diags);
  if (failed(root))
    return failure();
  auto wrong = [&](StringRef where) -> FailureOr<Evidence> {
    return diags.error(path, "'" + where + "' is not a list of names of fixtures",
                       "run the test importers_golden_test with FLAGRELEASE_UPDATE=1");
  };
  if (!root->isObject())
    return wrong("$");
  for (const json::Member &member : root->object()) {
    if (!member.value.isArray())
      return wrong(member.key);
    for (const json::Value &name : member.value.array()) {
      if (!name.isString())
        return wrong(member.key);
      evidence[member.key].push_back(name.string().str());
    }
  }
  return evidence;
}

FailureOr<std::vector<std::string>> flagrelease::unprovenOptions(const std::vector<std::string> &options,
                                                                 llvm::ArrayRef<RecipeText> recipe, Diagnostics &diags) {
  std::set<std::string> folders;
  for (const RecipeText &text : recipe)
    folders.insert(llvm::sys::path::parent_path(text.path).str());
  Evidence evidence;
  if (folders.size() == 1) {
    FailureOr<Evidence> read = readEvidence(*folders.begin() + "/_evidence.json", diags);
    if (failed(read))
      return failure();
    evidence = std::move(*read);
  }
  std::vector<std::string> unproven;
  for (const std::string &option : options)
    if (!evidence.count(option))
      unproven.push_back(option);
  return unproven;
}
