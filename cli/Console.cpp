#include "cli/Console.h"

#include "text/Escape.h"
#include "text/Json.h"
#include "text/Sizes.h"

#include "llvm/Support/raw_ostream.h"

#include <unistd.h>

using namespace flagrelease;

/// Well below the 30 s after which a caller may call a command silent; short where a line changes in place.
static constexpr std::chrono::milliseconds kTick{20'000}, kBarTick{250};

Console::Console(const Options &options)
    : quiet(options.quiet), verbose(options.verbose), jsonProgress(options.progress == "json"),
      bar(options.progress == "bar" && ::isatty(2)) {
  StopFlag::onSignals(stop);
  if (!quiet)
    ticker = std::thread([this] { tick(); });
}

Console::~Console() {
  // A reader that went away (`| head`) is no mistake of the program.
  llvm::outs().clear_error();
  llvm::errs().clear_error();
  {
    std::lock_guard lock(mutex);
    ending = true;
  }
  wake.notify_all();
  if (ticker.joinable())
    ticker.join();
}

void Console::clearBar() {
  if (barShown)
    llvm::errs() << "\r\x1b[K";
  barShown = false;
}

void Console::line(const std::string &text) {
  clearBar();
  llvm::errs() << text << '\n';
  llvm::errs().flush();
}

void Console::result(const Twine &text) {
  std::lock_guard lock(mutex);
  clearBar();
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
  current = escape::terminal(name.str());
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

std::string Console::howFar() const {
  uint64_t done = progress.bytesDone, total = progress.bytesTotal;
  return "  " + current + (total ? ": " + humanBytes(done) + " of " + humanBytes(total) : std::string(" goes on"));
}

void Console::tick() {
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, bar ? kBarTick : kTick, [this] { return ending; })) {
    if (current.empty())
      continue;
    if (jsonProgress) {
      json::Object event;
      event.set("event", "progress");
      event.set("stage", current);
      event.set("bytes_done", static_cast<uint64_t>(progress.bytesDone));
      event.set("bytes_total", static_cast<uint64_t>(progress.bytesTotal));
      line(json::toText(json::Value(event)));
    } else if (bar) {
      clearBar();
      llvm::errs() << howFar();
      llvm::errs().flush();
      barShown = true;
    } else {
      line(howFar());
    }
  }
  clearBar();
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
