#pragma once

#include "agent/deployments.hpp"
#include "shared/base/time.hpp"
#include "shared/net/connection.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/ssh/key.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace waggle::agent {

// An operator's session, as it was admitted.
struct SessionStart {
    net::Connection& connection;
    Time hello_time;
    int version = 1;
    std::optional<ssh::PublicKey> operator_key = std::nullopt; // of who is listened to while an operator
    protocol::Exporter exporter{};                             // of its TLS session
};

struct SessionLimits {
    std::chrono::milliseconds idle{15 * 60 * 1000};    // without a deployment: someone builds, or forgot us
    std::chrono::milliseconds after_result{60 * 1000}; // the trigger closes when it has the result
    std::chrono::milliseconds feed_stall{60 * 1000};   // no byte of a closure list or NAR that was asked for
    std::chrono::milliseconds send{60 * 1000};         // a trigger that takes nothing
};

// Speaks with one trigger until it leaves: facts first, then what it asks for. Deployments outlive it.
void serve_session(const SessionStart& start, Deployments& deployments, const SessionLimits& limits = {});

} // namespace waggle::agent
