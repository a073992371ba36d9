#pragma once

#include "agent/daemon/deployments.hpp"
#include "agent/daemon/environment.hpp"
#include "shared/base/time.hpp"
#include "shared/net/connection.hpp"
#include "shared/protocol/hello.hpp"
#include "shared/ssh/key.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace waggle::agent {

// An operator's session that was admitted.
struct SessionStart {
    net::Connection& connection;
    Time hello_time;
    int version = 1;                                           // of the session protocol
    std::optional<ssh::PublicKey> operator_key = std::nullopt; // its requests are valid while this key is an operator's
    protocol::Exporter exporter{};                             // of the TLS session
};

struct SessionLimits {
    std::chrono::milliseconds idle{15 * 60 * 1000};    // no deployment: the operator is building or has gone
    std::chrono::milliseconds after_result{60 * 1000}; // the trigger closes when it has the result
    std::chrono::milliseconds feed_stall{60 * 1000};   // no byte of a requested closure list or NAR
    std::chrono::milliseconds send{60 * 1000};         // the peer is not reading
};

// Serves one trigger until it disconnects: sends the facts, then handles its requests. Deployments outlive the session.
void serve_session(const SessionStart& start, const Environment& environment, Deployments& deployments,
                   const SessionLimits& limits = {});

} // namespace waggle::agent
