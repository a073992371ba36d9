#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/deploy/document.hpp"
#include "trigger/deploy/session.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"
#include "trigger/secrets/node_secrets.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace waggle::trigger {

// How long, and how much of its talk, to be patient with a node; tests are less so.
struct Patience {
    std::chrono::milliseconds silence = std::chrono::minutes(15);        // a unit may start for long without a word
    std::chrono::milliseconds reattach = std::chrono::seconds(60);       // after a loss while it activates
    std::chrono::milliseconds after_rollback = std::chrono::seconds(60); // for the way back, after confirmTimeout
    std::chrono::milliseconds reboot = std::chrono::minutes(15);         // of the node, there and perhaps back
    std::chrono::milliseconds cancel_answer = std::chrono::seconds(5);   // after Ctrl-C
    std::chrono::milliseconds backoff = std::chrono::milliseconds(200);  // before the first further try; doubles
    int reconnects_before_activation = 2;
    int reconnects = 100;               // in all: a node that takes us in and lets us go has no end of it
    std::uint64_t lines_shown = 20'000; // of a node's output; its journal has the rest
    std::uint64_t events = 1'000'000;   // and from here on it talks without end; progress is not counted
};

// What a node builds itself.
struct BuildThere {
    nix::StorePath drv;                                          // of its system
    std::function<std::shared_ptr<const Closure>()> derivations; // the closure of that
    std::function<ReadNar()> nar_reader;                         // of these
};

// The outside world of one node's deployment.
struct Surroundings {
    Connect connect;
    std::optional<nix::StorePath> toplevel = std::nullopt;   // nullopt: the goal has none
    std::function<std::shared_ptr<const Closure>()> closure; // of the toplevel
    std::function<ReadNar()> nar_reader;
    const ssh::Signer& identity;
    const Interrupt& interrupt;
    Reporter& reporter;
    Patience patience;
    std::function<bool(const nix::StorePath&)> knows = {}; // whether this machine has the path; empty: not asked
    // Reads the secrets that the node is to have. Empty: it keeps those it has.
    std::function<NodeSecrets()> secrets = {};
    std::optional<BuildThere> build_there = {}; // instead of `closure`
};

// Deploys one node from the first connection to the result, and returns how it ended: it throws nothing.
NodeReport deploy_node(const DeployedNode& node, const Intent& intent, const Surroundings& surroundings) noexcept;

} // namespace waggle::trigger
