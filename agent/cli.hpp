#pragma once

namespace waggle::agent {

// Runs waggle-agent's command line. Returns the process's exit code.
int run_cli(int argc, const char* const* argv);

} // namespace waggle::agent
