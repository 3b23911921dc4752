// The only place that prints: results on stdout, everything else on stderr.
#pragma once

#include "cli/Options.h"
#include "text/Diagnostics.h"
#include "weights/Work.h"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace flagrelease {

class Console {
public:
  explicit Console(const Options &options);
  ~Console();

  /// A line of the result.
  void result(const Twine &line);
  /// A line about what goes on; not with --quiet. `detail` lines need --verbose.
  void info(const Twine &line);
  void detail(const Twine &line);
  /// Names the stage that begins, which may hold names from files. At least every 20 s a line says how far it is.
  void stage(const Twine &name);
  /// Prints all problems and notes; returns the exit code that they ask for (0 if there is no problem).
  int report(const Diagnostics &diags);

  Progress progress; ///< what the running stage counts
  StopFlag stop;

private:
  void line(const std::string &text);
  void clearBar();
  void tick();
  std::string howFar() const;
  const bool quiet, verbose, jsonProgress;
  const bool bar;        ///< --progress bar, and stderr is a terminal: the running stage is one line that changes in place
  bool barShown = false; ///< it stands in the terminal's last line
  std::mutex mutex;
  std::string current;
  std::thread ticker;
  std::condition_variable wake;
  bool ending = false;
};

/// The exit code of the first problem.
int exitCodeOf(const Diagnostics &diags);

} // namespace flagrelease
