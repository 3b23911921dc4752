#include "cli/Console.h"

#include "text/Escape.h"
#include "text/Json.h"
#include "text/Sizes.h"

#include "llvm/Support/raw_ostream.h"

#include <unistd.h>

using namespace flagrelease;

Console::Console(const Options &options)
    : quiet(options.quiet), verbose(options.verbose), jsonProgress(options.progress == "json"),
      showProgress(!options.quiet && (options.progress != "auto" || ::isatty(2) || true)) {
  StopFlag::onSignals(stop);
  if (showProgress)
    ticker = std::thread([this] { tick(); });
}

Console::~Console() {
  {
    std::lock_guard lock(mutex);
    ending = true;
  }
  wake.notify_all();
  if (ticker.joinable())
    ticker.join();
}

void Console::line(const std::string &text) {
  llvm::errs() << text << '\n';
  llvm::errs().flush();
}

void Console::result(const Twine &text) {
  std::lock_guard lock(mutex);
  llvm::outs() << text << '\n';
  llvm::outs().flush();
}

void Console::info(const Twine &text) {
  if (quiet || jsonProgress)
    return;
  std::lock_guard lock(mutex);
  line(text.str());
}

void Console::detail(const Twine &text) {
  if (verbose)
    info(text);
}

void Console::stage(const Twine &name) {
  if (quiet)
    return;
  std::lock_guard lock(mutex);
  current = name.str();
  progress.bytesDone = 0;
  progress.bytesTotal = 0;
  if (jsonProgress) {
    json::Object event;
    event.set("event", "stage");
    event.set("stage", current);
    line(json::toText(json::Value(event)));
  } else {
    line("  " + current);
  }
}

void Console::tick() {
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, std::chrono::seconds(20), [this] { return ending; })) {
    if (current.empty())
      continue;
    uint64_t done = progress.bytesDone, total = progress.bytesTotal;
    if (jsonProgress) {
      json::Object event;
      event.set("event", "progress");
      event.set("stage", current);
      event.set("bytes_done", done);
      event.set("bytes_total", total);
      line(json::toText(json::Value(event)));
    } else {
      line("  " + current + (total ? ": " + humanBytes(done) + " of " + humanBytes(total) : std::string(" goes on")));
    }
  }
}

int flagrelease::exitCodeOf(const Diagnostics &diags) {
  return diags.hasErrors() ? static_cast<int>(diags.errors().front().cause) : 0;
}

int Console::report(const Diagnostics &diags) {
  std::lock_guard lock(mutex);
  for (const Problem &note : diags.remarks())
    if (!quiet)
      line("note: " + escape::terminal(note.where) + ": " + escape::terminal(note.what));
  for (const Problem &problem : diags.errors()) {
    line("error: " + escape::terminal(problem.where) + ": " + escape::terminal(problem.what));
    if (!problem.remedy.empty())
      line("  note: " + escape::terminal(problem.remedy));
  }
  return exitCodeOf(diags);
}
