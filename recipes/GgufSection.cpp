#include "recipes/GgufSection.h"

#include "recipes/Fields.h"
#include "recipes/StepReader.h"
#include "text/Escape.h"
#include "text/Nearest.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace flagrelease;

namespace {

constexpr std::pair<StringRef, GgufKeyType> kTypes[] = {{"u32", GgufKeyType::U32},   {"f32", GgufKeyType::F32},
                                                        {"bool", GgufKeyType::Bool}, {"string", GgufKeyType::String},
                                                        {"u32s", GgufKeyType::U32s}, {"f32s", GgufKeyType::F32s}};

class SectionReader {
public:
  explicit SectionReader(Diagnostics &diags) : diags(diags) {}

  FailureOr<GgufSection> read(const yaml::Node &node) {
    ErrorMark mark(diags);
    out.place = node.place;
    Fields fields(node, "the gguf section", diags);
    out.arch = fields.needText("arch");
    if (const yaml::Node *reads = fields.get("reads"); reads && !reads->isNull())
      out.reads = fields.text("reads").value_or("");
    out.tasks = fields.texts("tasks");
    if (const yaml::Node *let = fields.get("let"))
      lets(*let, "let", out.let);
    out.layers = expr(fields.need("layers"));
    if (const yaml::Node *refuse = fields.get("refuse"))
      refusals(*refuse);
    eachOf(fields.need("keys"), "keys", [&](const yaml::Entry &entry) { key(entry); });
    eachOf(fields.get("config"), "config", [&](const yaml::Entry &entry) {
      if (std::optional<Expr> value = expr(&entry.value))
        out.config.emplace_back(entry.key, *value);
    });
    eachOf(fields.get("inert"), "inert", [&](const yaml::Entry &entry) {
      if (!entry.value.isScalar() || entry.value.isNull())
        fields.error(entry.value, "'" + entry.key + "' needs the reason why it changes nothing");
      out.inert[entry.key] = entry.value.text;
    });
    eachOf(fields.get("ignore"), "ignore", [&](const yaml::Entry &entry) {
      if (!entry.value.isScalar() || entry.value.isNull())
        fields.error(entry.value, "'" + entry.key + "' needs the reason why files do without it");
      out.ignore[entry.key] = entry.value.text;
    });
    eachOf(fields.need("tensors"), "tensors", [&](const yaml::Entry &entry) { tensor(entry); });
    eachOf(fields.get("made"), "made", [&](const yaml::Entry &entry) { made(entry); });
    fields.finish();
    if (!out.reads.empty() && out.config.empty())
      fields.error(node, "the section says `reads` and has no `config`");
    if (!mark.clean())
      return failure();
    return std::move(out);
  }

private:
  void fail(const Place &place, const Twine &what, const Twine &remedy = "") { (void)diags.error(place.str(), what, remedy); }

  std::optional<Expr> expr(const yaml::Node *node) {
    if (!node)
      return std::nullopt;
    FailureOr<Expr> parsed = Expr::parse(*node, diags);
    return succeeded(parsed) ? std::optional(*parsed) : std::nullopt;
  }

  void eachOf(const yaml::Node *node, StringRef what, llvm::function_ref<void(const yaml::Entry &)> visit) {
    if (!node || node->isNull())
      return;
    if (!node->isMapping())
      return fail(node->place, "`" + what + "` is a mapping, found a " + yaml::kindName(node->kind));
    for (const yaml::Entry &entry : node->entries)
      visit(entry);
  }

  void lets(const yaml::Node &node, StringRef what, std::vector<Let> &into) {
    eachOf(&node, what, [&](const yaml::Entry &entry) {
      if (std::optional<Expr> value = expr(&entry.value))
        into.push_back({entry.key, *value, entry.place});
    });
  }

  void refusals(const yaml::Node &node) {
    if (!node.isSequence())
      return fail(node.place, "`refuse` is a list of {when, reason}");
    for (const yaml::Node &item : node.items) {
      Fields fields(item, "a refusal", diags);
      std::optional<Expr> when = expr(fields.need("when"));
      std::string reason = fields.needText("reason");
      fields.finish();
      if (when)
        out.refusals.push_back({*when, reason});
    }
  }

  void key(const yaml::Entry &entry) {
    GgufKeyRule rule{entry.key, GgufKeyType::U32, {}, std::nullopt, entry.place};
    if (!entry.value.isMapping())
      return fail(entry.value.place, "the key '" + entry.key + "' needs its type and value", "write {u32: EXPRESSION}");
    bool typed = false;
    for (const yaml::Entry &part : entry.value.entries) {
      const auto *type = llvm::find_if(kTypes, [&](const auto &t) { return t.first == part.key; });
      std::optional<Expr> value = expr(&part.value);
      if (part.key == "when")
        rule.when = value;
      else if (type == std::end(kTypes) || typed)
        return fail(part.place, "'" + part.key + "' is no type, or a second one",
                    "one of u32, f32, bool, string, u32s, f32s, and `when`");
      else if (value) {
        typed = true;
        rule.type = type->second;
        rule.value = *value;
      }
    }
    if (!typed)
      return fail(entry.place, "the key '" + entry.key + "' has no value", "write {u32: EXPRESSION}");
    out.keys.push_back(std::move(rule));
  }

  void tensor(const yaml::Entry &entry) {
    GgufTensorRule rule;
    rule.name = entry.key;
    rule.place = entry.place;
    Fields fields(entry.value, "a tensor", diags);
    rule.from = fields.needText("from");
    rule.optional = fields.boolean("optional").value_or(false);
    if (const yaml::Node *store = fields.get("store")) {
      if (store->text != "f32")
        fields.error(*store, "`store` is f32, or is left out");
      rule.f32 = true;
    }
    if (const yaml::Node *rows = fields.get("rows"); rows && !rows->isNull())
      rule.rows = pattern(*rows);
    if (const yaml::Node *sizes = fields.get("sizes"); sizes && !sizes->isNull())
      lets(*sizes, "sizes", rule.sizes);
    rule.rowsWhen = expr(fields.get("when"));
    fields.finish();
    for (const std::string *name : {&rule.name, &rule.from})
      if (StringRef(*name).ends_with(".weight") || StringRef(*name).ends_with(".bias"))
        fail(entry.place, "'" + *name + "' stands for .weight and .bias", "leave the suffix out");
    if (StringRef(rule.from).contains("{i}") != rule.perLayer())
      fail(entry.place, "'" + rule.name + "' and '" + rule.from + "' must both have {i}, or none");
    if (rule.rows) {
      unsigned unknown = 0;
      for (const std::string &axis : rule.rows->axes)
        if (!llvm::all_of(axis, llvm::isDigit) && llvm::none_of(rule.sizes, [&](const Let &let) { return let.name == axis; }))
          ++unknown;
      if (unknown > 1)
        fail(rule.rows->place, "more than one axis has no size", "give all but one in `sizes`");
    }
    out.tensors.push_back(std::move(rule));
  }

  void made(const yaml::Entry &entry) {
    GgufMadeRule rule;
    rule.name = entry.key;
    rule.place = entry.place;
    Fields fields(entry.value, "a made tensor", diags);
    rule.list = expr(fields.get("list"));
    if (const yaml::Node *factors = fields.get("rope_factors")) {
      Fields inner(*factors, "rope_factors", diags);
      rule.dim = expr(inner.need("dim"));
      rule.theta = expr(inner.need("theta"));
      rule.scaling = expr(inner.need("scaling"));
      inner.finish();
    }
    rule.when = expr(fields.get("when"));
    fields.finish();
    if (!rule.list && !rule.dim)
      fail(entry.place, "a made tensor has `list` or `rope_factors`");
    out.made.push_back(std::move(rule));
  }

  /// One side of a pattern as its axes in order.
  std::optional<std::vector<std::string>> side(StringRef text, const Place &place) {
    std::vector<std::string> axes;
    bool inside = false;
    for (size_t i = 0; i < text.size();) {
      char c = text[i];
      if (c == ' ')
        ++i;
      else if (c == '(' || c == ')') {
        if (inside == (c == '('))
          return fail(place, "parentheses of a rows pattern do not match, in '" + text + "'"), std::nullopt;
        inside = c == '(';
        ++i;
      } else if (llvm::isAlnum(c)) {
        StringRef axis = text.drop_front(i).take_while([](char d) { return llvm::isAlnum(d) || d == '_'; });
        axes.push_back(axis.str());
        i += axis.size();
      } else
        return fail(place, "'" + StringRef(&c, 1) + "' has no meaning in a rows pattern"), std::nullopt;
    }
    if (inside || axes.empty() || axes.size() > 8)
      return fail(place, "a side of a rows pattern has one to eight axes, with closed parentheses"), std::nullopt;
    return axes;
  }

  std::optional<RowPattern> pattern(const yaml::Node &node) {
    auto [left, right] = StringRef(node.text).split("->");
    std::optional<std::vector<std::string>> from = side(left, node.place), to = side(right, node.place);
    if (!from || !to)
      return std::nullopt;
    RowPattern rows{*from, {}, node.place};
    for (const std::string &axis : *to) {
      auto at = llvm::find(*from, axis);
      if (at == from->end() || llvm::count(*from, axis) != 1 || llvm::count(*to, axis) != 1 || from->size() != to->size())
        return fail(node.place, "both sides of a rows pattern must have the same axes, each once"), std::nullopt;
      rows.permutation.push_back(at - from->begin());
    }
    return rows;
  }

  Diagnostics &diags;
  GgufSection out;
};

} // namespace

FailureOr<GgufSection> flagrelease::readGgufSection(const yaml::Node &node, Diagnostics &diags) {
  return SectionReader(diags).read(node);
}
