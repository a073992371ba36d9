#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/build/store.hpp"
#include "trigger/connect/session.hpp"
#include "trigger/deploy/document.hpp"
#include "trigger/deploy/packed_nars.hpp"
#include "trigger/deploy/places.hpp"
#include "trigger/deploy/upload_limit.hpp"
#include "trigger/report/node_report.hpp"
#include "trigger/report/reporter.hpp"
#include "trigger/secrets/node_secrets.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace waggle::trigger {

// Limits on time and messages for one node. Tests use smaller ones.
struct DeployLimits {
    std::chrono::milliseconds silence = std::chrono::minutes(15);  // a unit may take long to start without output
    std::chrono::milliseconds reattach = std::chrono::seconds(60); // after a lost connection during the activation
    std::chrono::milliseconds after_rollback = std::chrono::seconds(60); // for the rollback, after confirmTimeout
    std::chrono::milliseconds reboot = std::chrono::minutes(15); // of the node, into the new system and perhaps back
    std::chrono::milliseconds cancel_answer = std::chrono::seconds(5);  // after Ctrl-C, in each of two sessions
    std::chrono::milliseconds backoff = std::chrono::milliseconds(200); // before the first retry; doubles
    int reconnects_before_activation = 2;
    int reconnects = 100;               // in total; bounds a node that keeps accepting and dropping us
    std::uint64_t lines_shown = 20'000; // of a node's output; the rest is in its journal
    std::uint64_t messages = 1'000'000; // five per second for two days; more are an attack
    std::chrono::milliseconds fetch = std::chrono::hours(1); // a fixed allowance, plus the time at least_rate
    std::uint64_t least_rate = 32 << 10;                     // bytes per second on average
    std::chrono::milliseconds activation_slack = std::chrono::hours(1); // in addition to activationTimeout
};

// What a node needs to build its own system.
struct RemoteBuild {
    nix::StorePath drv;                                          // of its system
    std::function<std::shared_ptr<const Closure>()> derivations; // the closure of `drv`
    std::function<ReadNar()> nar_reader;                         // of the derivations
    PackedNars* packed_nars = nullptr;                           // of the derivations
};

// What the deployment of one node depends on. Tests substitute parts of it.
struct DeployContext {
    Connect connect;
    std::optional<nix::StorePath> toplevel = std::nullopt;   // nullopt: the goal has none
    std::function<std::shared_ptr<const Closure>()> closure; // of the toplevel
    std::function<ReadNar()> nar_reader;
    const ssh::Signer& identity;
    const Interrupt& interrupt;
    Reporter& reporter;
    DeployLimits limits;
    std::function<bool(const nix::StorePath&)> knows = {}; // whether this machine has the path; empty: do not check
    // Reads the secrets for the node. Empty: the node keeps those that it has.
    std::function<NodeSecrets()> secrets = {};
    std::optional<RemoteBuild> remote_build = {}; // instead of `closure`
    Places* places = nullptr;                     // limits the nodes in work; nullptr: no limit
    PackedNars* packed_nars = nullptr;            // those of nar_reader; nullptr: they travel uncompressed
    UploadLimit* upload_limit = nullptr;          // of all nodes together; nullptr: no limit

    // Each returns what a build on the node needs. Throws Error if the deployment has none.
    const nix::StorePath& require_toplevel() const {
        if (!toplevel)
            throw Error("this deployment has no system");
        return *toplevel;
    }
    const RemoteBuild& require_remote_build() const {
        if (!remote_build)
            throw Error("this deployment has no derivation for the node to build");
        return *remote_build;
    }
};

} // namespace waggle::trigger
