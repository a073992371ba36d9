#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace waggle::agent {

// Adds the subcommands for secrets. Parsing one sets `chosen` to the function to run.
void add_secret_commands(CLI::App& app, std::function<int()>& chosen);

} // namespace waggle::agent
