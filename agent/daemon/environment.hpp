#pragma once

#include "agent/daemon/admission.hpp"
#include "agent/node/host.hpp"
#include "agent/node/node_store.hpp"
#include "agent/state/archive.hpp"
#include "agent/state/state.hpp"
#include "agent/units/transient_units.hpp"
#include "shared/base/time.hpp"
#include "shared/protocol/messages.hpp"
#include "shared/ssh/key.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

namespace waggle::agent {

// What the daemon's parts need of the node and of this agent's configuration; tests substitute fakes.
struct Environment {
    NodeIdentity self;
    std::vector<ssh::PublicKey> configured; // operators; agent/node/operators.hpp says when they count
    Host& host;
    TransientUnits& units;
    StateKeeper& state;
    Archive& archive;
    // Throws Error if the nix daemon is not running or does not answer within the given time.
    std::function<std::unique_ptr<NodeStore>(std::chrono::milliseconds)> open_store;
    std::chrono::seconds store_timeout; // within which the nix daemon must make progress on a request
    std::function<Time()> clock;
    std::filesystem::path state_dir;
    std::function<protocol::HealthReport()> check_health = {}; // of the running system
    std::function<void()> reboot = {};                         // requests a reboot and returns
    std::function<protocol::SecretsReport()> report_secrets = {};
    std::filesystem::path config_file = {}; // of this agent
};

} // namespace waggle::agent
