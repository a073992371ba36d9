#pragma once

#include <string>

namespace waggle::agent {

// Runs waggle-agent's command line. Returns the process's exit code.
int run_cli(int argc, const char* const* argv);

// What `waggle-agent COMMAND --help` prints; for "", the overview that `waggle-agent --help` prints.
std::string help_of(const std::string& command);

} // namespace waggle::agent
