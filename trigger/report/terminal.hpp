#pragma once

#include "trigger/report/reporter.hpp"

#include <memory>

namespace waggle::trigger {

// Shows a run on standard error: on a terminal, a line per node that is redrawn in place. Otherwise, or with `verbose`,
// a plain line per event, "alpha | …". The last state stays on the screen after its destruction.
std::unique_ptr<Reporter> make_reporter(bool verbose, bool color);

// Whether standard error is a terminal.
bool stderr_is_terminal();

} // namespace waggle::trigger
