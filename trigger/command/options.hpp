#pragma once

#include "shared/protocol/deployment.hpp"
#include "trigger/connect/reach.hpp"
#include "trigger/hive/nix_options.hpp"
#include "trigger/report/style.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace waggle::trigger {

// For every subcommand.
struct GlobalOptions {
    std::optional<std::filesystem::path> config;
    NixOptions nix;
    ColorChoice color = ColorChoice::auto_;
    bool verbose = false;
};

struct SelectOptions {
    std::optional<std::string> on;
    std::string eval_node_limit = "auto"; // or a number; 0: all nodes in one process
    std::string eval_memory = "80%";      // of all evaluators together; of what is available
    size_t eval_workers = 0;              // evaluators at a time; 0: as many as there are cores
    bool eval_cache = true;
};

struct BuildOptions {
    SelectOptions select;
    bool keep_result = false;
    bool dry_run = false;          // print derivations, build nothing
    std::optional<bool> on_target; // instead of deployment.buildOnTarget
    std::optional<std::filesystem::path> timings;
};

struct ConnectOptions {
    size_t parallel = 10; // 0: all nodes at once
    std::optional<std::filesystem::path> identity;
    std::vector<std::filesystem::path> known_hosts;
    Reach reach;
};

// `waggle build`: connects where a node builds its system itself.
struct BuildCommandOptions {
    BuildOptions build;
    ConnectOptions connect;
};

struct ApplyOptions {
    protocol::Goal goal = protocol::Goal::switch_;
    BuildOptions build;
    ConnectOptions connect;
    bool force = false;
    bool remove_agent = false;
    bool no_rollback = false;
    bool reset_state = false;
    bool install_boot_loader = false;
    bool reboot = false;
    bool reboot_if_needed = false;
    bool replace_unknown_profiles = false;
    bool no_keys = false; // nodes keep the secrets they have
};

struct EvalOptions {
    std::optional<std::string> expression;
    std::optional<std::filesystem::path> file;
    bool instantiate = false;
};

struct ReplOptions {};

struct NodesOptions {
    SelectOptions select;
    bool json = false;
};

struct UploadKeysOptions {
    SelectOptions select;
    ConnectOptions connect;
    bool force = false;
};

struct KeysOptions {
    SelectOptions select;
    ConnectOptions connect;
};

struct StatusOptions {
    SelectOptions select;
    ConnectOptions connect;
};

struct WhoamiOptions {
    SelectOptions select;
    ConnectOptions connect;
};

struct CheckHealthOptions {
    SelectOptions select;
    ConnectOptions connect;
};

struct ConfirmOptions {
    SelectOptions select;
    ConnectOptions connect;
};

struct RebootOptions {
    SelectOptions select;
    ConnectOptions connect;
    size_t timeout = 600; // seconds, from the order to the answer of the rebooted node
};

struct HistoryOptions {
    SelectOptions select;
    ConnectOptions connect;
    size_t limit = 20; // entries of each node
};

struct RollbackOptions {
    SelectOptions select;
    ConnectOptions connect;
    std::optional<size_t> generation; // default: the one before what runs
    bool force = false;
};

} // namespace waggle::trigger
