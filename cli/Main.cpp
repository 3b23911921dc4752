#include "cli/Knowledge.h"
#include "cli/Verbs.h"
#include "text/Nearest.h"

#include "llvm/ADT/StringExtras.h"

#include <csignal>
#include <iostream>

using namespace flagrelease;

namespace {
const Verb *const kVerbs[] = {&kMigrate, &kPlan, &kInspect, &kRun, &kValidate, &kVerify, &kList, &kCheck, &kDoctor};
const char *const kFooter = R"(examples:
  flagrelease plan     MODEL --chip CHIP
  flagrelease migrate  MODEL --chip CHIP --format onnx --out release/
  flagrelease verify   release/
exit codes: 0 done and accepted, 1 the answer is no, 2 the command or the input is wrong, 3 the environment is,
4 unproven or undecided, 75 try again later)";

/// What is wrong with a command line, in the form of all other problems: CLI11's words name neither a near name nor a remedy.
void explain(const CLI::App &app, const CLI::ParseError &error, const Options &options, Diagnostics &diags) {
  std::vector<CLI::App *> parsed = const_cast<CLI::App &>(app).get_subcommands();
  if (parsed.empty()) {
    std::vector<std::string> verbs;
    for (const Verb *verb : kVerbs)
      verbs.push_back(verb->name);
    std::string word = options.argv.size() > 1 ? options.argv[1] : "";
    (void)diags.error(word.empty() ? "flagrelease" : word,
                      word.empty() ? "needs a verb" : "is no verb" + nearestNote(word, verbs),
                      "known are: " + listed(verbs) + "; see `flagrelease --help`");
    return;
  }
  const CLI::App &verb = *parsed.front();
  std::string help = "see `flagrelease " + verb.get_name() + " --help`";
  if (std::vector<std::string> left = verb.remaining(); !left.empty()) {
    // A word that belongs to an unknown flag stands beside it.
    bool flags = llvm::any_of(left, [](StringRef word) { return word.starts_with("-"); });
    std::vector<std::string> known;
    for (const CLI::Option *option : verb.get_options())
      for (const std::string &name : option->get_lnames())
        known.push_back("--" + name);
    for (StringRef word : left)
      if (StringRef name = word.split('=').first; name.starts_with("-"))
        (void)diags.error(name, ("no such flag of " + verb.get_name() + nearestNote(name, known)), help);
      else if (!flags)
        (void)diags.error(word, "one argument too many for " + verb.get_name(), help);
    return;
  }
  StringRef text = error.what(), prefix = "Could not convert: ";
  if (text.consume_front(prefix)) {
    auto [name, value] = text.split(" = ");
    (void)diags.error(name, "'" + value + "' is no number that it can be", help);
    return;
  }
  auto [name, what] = text.split(": ");
  if (what.empty())
    std::tie(name, what) = text.split(' ');
  std::string more;
  // "chisp not in {models,chips}"
  if (auto [word, members] = what.split(" not in {"); !members.empty()) {
    llvm::SmallVector<StringRef> names;
    members.rtrim('}').split(names, ',');
    more = nearestNote(word, llvm::ArrayRef<StringRef>(names));
  }
  (void)diags.error(name, what + more, help);
}
} // namespace

int main(int argc, char **argv) {
  std::signal(SIGPIPE, SIG_IGN);
  Options options;
  options.argv.assign(argv, argv + argc);
  CLI::App app{"Takes a model from a hub and makes it run, provably right, on another chip.", "flagrelease"};
  app.set_version_flag("--version", std::string(kTool));
  app.require_subcommand(1);
  app.footer(kFooter);
  const Verb *chosen = nullptr;
  for (const Verb *verb : kVerbs) {
    CLI::App *sub = app.add_subcommand(verb->name, verb->summary);
    verb->declare(*sub, options);
    sub->callback([&chosen, verb] { chosen = verb; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    if (error.get_exit_code() == 0)
      return app.exit(error, std::cout, std::cerr); // --help, --version
    Diagnostics diags;
    explain(app, error, options, diags);
    options.progress = "auto"; // it may be what is wrong
    return Console(options).report(diags);
  }
  Console console(options);
  Diagnostics diags;
  int code = chosen->run(options, console, diags);
  int reported = console.report(diags);
  return code ? code : reported;
}
