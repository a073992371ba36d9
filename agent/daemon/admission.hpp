#pragma once

#include "agent/state/state.hpp"
#include "shared/base/time.hpp"
#include "shared/protocol/build_request.hpp"
#include "shared/protocol/deployment.hpp"
#include "shared/protocol/messages.hpp"
#include "shared/protocol/signed_document.hpp"
#include "shared/ssh/key.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// What this node answers to.
struct NodeIdentity {
    std::string hive;
    std::string node;
    std::string system;
    ssh::PublicKey key;
};

// What a deployment is held against, besides the node itself.
struct AdmissionContext {
    std::span<const ssh::PublicKey> operators; // of the committed configuration
    StateKeeper::Condition condition = StateKeeper::Condition::none;
    std::string state_problem; // of a corrupt state
    std::optional<LastAdmitted> last_admitted;
    std::optional<protocol::Running> running;
    Time own_clock;
    Time session_clock; // the time in the session's hello, and what has passed since
};

// A document may be this far ahead of a clock: no two clocks show the same time.
inline constexpr std::chrono::minutes clock_tolerance{5};

// Whether this node's clock can be right: it shows a time after this agent's release and not before the newest
// deployment that the node has admitted. A board without a battery starts at 1970.
bool is_plausible(Time own_clock, const std::optional<LastAdmitted>& last_admitted);

struct Admission {
    enum class Kind {
        granted,
        attach, // the last admitted deployment again: nothing to admit, but to be told how it goes
        refused,
    };
    Kind kind = Kind::refused;
    std::optional<protocol::Deployment> deployment; // granted, attach
    std::optional<ssh::PublicKey> operator_key;     // who signed it
    Time created;                                   // granted: what LastAdmitted::created becomes
    protocol::Refused refusal;
};

// May this deployment run on this node? Asks in the order of docs/protocol.md, changes nothing.
Admission admit(const protocol::SignedDocument& document, const NodeIdentity& self, const AdmissionContext& context);

// What a build request is held against, besides the node itself.
struct BuildContext {
    std::span<const ssh::PublicKey> operators;
    protocol::Exporter exporter{}; // of the session in which it came
    std::optional<protocol::Running> running;
};

struct BuildAdmission {
    std::optional<protocol::BuildRequest> request; // granted
    std::optional<ssh::PublicKey> operator_key;    // who signed it
    protocol::Refused refusal;                     // else
};

// May this node build what is asked for? Changes nothing. It needs neither sequence nor time: a request counts in one
// session only.
BuildAdmission admit_build(const protocol::SignedDocument& document, const NodeIdentity& self,
                           const BuildContext& context);

// Whether a system makes sense as this node's next one: once it runs there must be an agent, and its operators (`then`;
// nullopt: it has no agent) must be such that the deployment can be confirmed by who signed it (a fingerprint).
// nullopt: it does.
std::optional<protocol::Refused> check_system(const protocol::Deployment& deployment,
                                              const std::optional<OperatorList>& then, std::string_view signer);

} // namespace waggle::agent
