#include "cli/Knowledge.h"
#include "cli/Verbs.h"

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
    // CLI11 has codes of its own; ours say who has to act.
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : 2;
  }
  Console console(options);
  Diagnostics diags;
  int code = chosen->run(options, console, diags);
  int reported = console.report(diags);
  return code ? code : reported;
}
