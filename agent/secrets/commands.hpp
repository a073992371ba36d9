#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace waggle::agent {

// Each adds a subcommand for secrets and returns it. Parsing it sets `chosen` to the function to run.
CLI::App* add_install_secrets(CLI::App& app, std::function<int()>& chosen);
CLI::App* add_secrets(CLI::App& app, std::function<int()>& chosen);
CLI::App* add_await_secret(CLI::App& app, std::function<int()>& chosen);

} // namespace waggle::agent
