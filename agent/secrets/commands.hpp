#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace waggle::agent {

// The subcommands that have to do with secrets; when one is parsed, `chosen` is what to do.
void add_secret_commands(CLI::App& app, std::function<int()>& chosen);

} // namespace waggle::agent
