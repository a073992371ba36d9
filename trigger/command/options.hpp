#pragma once

#include "shared/protocol/deployment.hpp"
#include "trigger/connect/reach.hpp"
#include "trigger/hive/nix_options.hpp"
#include "trigger/report/style.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace waggle::trigger {

// The options of every subcommand.
struct GlobalOptions {
    std::optional<std::filesystem::path> config;
    NixOptions nix;
    ColorChoice color = ColorChoice::auto_;
    bool verbose = false;
    bool json = false; // standard output is for programs
};

struct SelectOptions {
    std::optional<std::string> on;
    std::string eval_node_limit = "auto"; // or a number; 0: all nodes in one process
    std::string eval_memory = "80%";      // for all evaluators together; a percentage is of the available memory
    size_t eval_workers = 0;              // evaluators at a time; 0: one per core
    bool eval_cache = true;
};

struct BuildOptions {
    SelectOptions select;
    bool keep_result = false;
    bool dry_run = false;          // print derivations, build nothing
    std::optional<bool> on_target; // overrides deployment.buildOnTarget
    std::optional<std::filesystem::path> timings;
};

struct ConnectOptions {
    size_t parallel = 10; // 0: all nodes at once
    std::optional<std::filesystem::path> identity;
    std::vector<std::filesystem::path> known_hosts;
    Reach reach;
    std::optional<std::uint64_t> upload_limit; // bytes per second, for all nodes together
};

// A default for commands that only ask: nodes that do not answer then delay few others.
inline constexpr size_t asked_at_once = 200;

// The words of --via: "direct", "ssh".
std::vector<std::string> way_words();

// Add the options to a subcommand. The defaults are those that the structs have at the time of the call.
void add_select_options(CLI::App& app, SelectOptions& select);
void add_build_options(CLI::App& app, BuildOptions& build);
void add_connect_options(CLI::App& app, ConnectOptions& connect);
// For commands that send store paths.
void add_upload_limit_option(CLI::App& app, ConnectOptions& connect);

} // namespace waggle::trigger
