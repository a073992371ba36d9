#pragma once

namespace waggle::agent {

// waggle-agent's command line; the process's exit code.
int run_cli(int argc, const char* const* argv);

} // namespace waggle::agent
