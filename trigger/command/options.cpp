#include "trigger/command/options.hpp"

#include "shared/base/error.hpp"
#include "trigger/deploy/upload_limit.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace waggle::trigger {

namespace {

constexpr const char* way_by_ssh = "ssh";

void add_on_target_options(CLI::App& app, BuildOptions& build) {
    auto* there = app.add_flag_callback(
        "--build-on-target", [&build] { build.on_target = true; },
        "Build each system on its own node (default: deployment.buildOnTarget)");
    app.add_flag_callback(
           "--no-build-on-target", [&build] { build.on_target = false; },
           "Build all systems on this machine, even with deployment.buildOnTarget = true")
        ->excludes(there);
}

} // namespace

std::vector<std::string> way_words() {
    return {"direct", way_by_ssh};
}

void add_select_options(CLI::App& app, SelectOptions& select) {
    app.add_option_function<std::vector<std::string>>(
           "--on",
           [&select](const std::vector<std::string>& rules) { select.on = fmt::format("{}", fmt::join(rules, ",")); },
           "Select nodes by name, glob or @tag; a,b: either, a&b: both, !a: exclude; may be repeated (default: "
           "all)")
        ->type_name("NODES")
        ->allow_extra_args(false);
    app.add_option("--eval-node-limit", select.eval_node_limit,
                   "Nodes to evaluate in one process: a number, 0 for all, or auto")
        ->type_name("N");
    app.add_option("--eval-memory", select.eval_memory,
                   "Memory for all evaluators together: 4G, 800M, or a share of the available memory (default: 80%)")
        ->type_name("SIZE");
    app.add_option("--eval-workers", select.eval_workers, "Evaluators to run at a time (default: one per core)")
        ->type_name("N")
        ->check(CLI::Range(0, 1024));
    app.add_flag("!--no-eval-cache", select.eval_cache, "Ignore the evaluation cache");
}

void add_build_options(CLI::App& app, BuildOptions& build) {
    add_select_options(app, build.select);
    app.add_flag("--keep-result", build.keep_result,
                 "Keep each system as a GC root, .gcroots/node-NAME next to the hive");
    add_on_target_options(app, build);
    app.add_option("--timings", build.timings, "Write the duration of each phase to a file, as JSON")
        ->type_name("FILE");
}

void add_connect_options(CLI::App& app, ConnectOptions& connect) {
    app.add_option("-p,--parallel", connect.parallel,
                   connect.parallel == 0 ? "Nodes at a time (default: all)"
                                         : fmt::format("Nodes at a time (default: {}; 0: all)", connect.parallel))
        ->type_name("N")
        ->check(CLI::Range(0, 100'000));
    app.add_option("--identity", connect.identity,
                   "The operator's SSH key, or its .pub file when the ssh-agent holds it (default: "
                   "~/.ssh/id_ed25519, else the "
                   "ssh-agent's only Ed25519 key)")
        ->type_name("FILE");
    app.add_option("--known-hosts", connect.known_hosts,
                   "File with host keys; may be repeated (default: the files that ssh would use for the host)")
        ->type_name("FILE")
        ->allow_extra_args(false);
    app.add_option_function<std::string>(
           "--via", [&connect](const std::string& way) { connect.reach.via_ssh = way == way_by_ssh; },
           "How to reach the agents: direct, or ssh (default: deployment.agent.via)")
        ->type_name("WAY")
        ->check(CLI::IsMember(way_words()));
    app.add_option("--rename", connect.reach.former_node,
                   "The node's name in its running configuration, if the hive renames it")
        ->type_name("OLD-NODE");
    app.add_option("--rename-hive", connect.reach.former_hive,
                   "The hive's name in the nodes' running configurations, if meta.name has changed")
        ->type_name("OLD-HIVE");
}

void add_upload_limit_option(CLI::App& app, ConnectOptions& connect) {
    app.add_option_function<std::string>(
           "--upload-limit", [&connect](const std::string& rate) { connect.upload_limit = parse_rate(rate); },
           "Bytes per second to send to all nodes together, as 500K, 2M or 1G (default: no limit)")
        ->type_name("RATE")
        ->check([](const std::string& rate) {
            try {
                parse_rate(rate);
                return std::string();
            } catch (const Error& error) {
                return std::string(error.what());
            }
        });
}

} // namespace waggle::trigger
