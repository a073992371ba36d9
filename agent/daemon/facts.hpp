#pragma once

#include "agent/daemon/deployments.hpp"
#include "agent/daemon/environment.hpp"
#include "shared/protocol/messages.hpp"

namespace waggle::agent {

// The state of this node, which a session of this version begins with. An unavailable nix daemon or systemd leaves its
// facts empty.
protocol::Facts gather_facts(const Environment& environment, const Deployments& deployments, int session_version);

} // namespace waggle::agent
