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

// The identity of this node, which a document must name.
struct NodeIdentity {
    std::string hive;
    std::string node;
    std::string system;
    ssh::PublicKey key;
};

// What admission checks a deployment against, in addition to the node's identity.
struct AdmissionContext {
    std::span<const ssh::PublicKey> operators; // of the committed configuration
    StateKeeper::Condition condition = StateKeeper::Condition::none;
    std::string state_problem; // of a corrupt state
    std::optional<LastAdmitted> last_admitted;
    std::optional<protocol::Running> running;
    Time own_clock;
    Time session_clock; // the time in the session's hello plus the time since
};

// A document may be this far ahead of a clock, because no two clocks show the same time.
inline constexpr std::chrono::minutes clock_tolerance{5};

// Whether this node's clock can be right: it shows a time after this agent's release and not before the newest
// deployment that the node has admitted. A board without a battery starts at 1970.
bool is_plausible(Time own_clock, const std::optional<LastAdmitted>& last_admitted);

struct Admission {
    enum class Kind {
        granted,
        attach, // the last admitted deployment again: the session follows it
        refused,
    };
    Kind kind = Kind::refused;
    std::optional<protocol::Deployment> deployment; // granted, attach
    std::optional<ssh::PublicKey> operator_key;     // the signer's
    Time created;                                   // granted: the new LastAdmitted::created
    protocol::Refused refusal;

    // The fields that an admission has unless it is refused. Throw Error if it lacks them, which only a bug can cause.
    const protocol::Deployment& require_deployment() const;
    const ssh::PublicKey& require_operator_key() const;
};

// Decides whether this deployment may run on this node. Checks in the order of docs/reference/protocol.md, and changes
// nothing.
Admission admit(const protocol::SignedDocument& document, const NodeIdentity& self, const AdmissionContext& context);

// What admission checks a build request against, in addition to the node's identity.
struct BuildContext {
    std::span<const ssh::PublicKey> operators;
    protocol::Exporter exporter{}; // of the session that brought it
    std::optional<protocol::Running> running;
};

struct BuildAdmission {
    std::optional<protocol::BuildRequest> request; // granted
    std::optional<ssh::PublicKey> operator_key;    // the signer's
    protocol::Refused refusal;                     // otherwise

    // The signer of a granted request. Throws Error if there is none, which only a bug can cause.
    const ssh::PublicKey& require_operator_key() const;
};

// Decides whether this node may carry out the build request. Changes nothing. A request needs neither sequence nor
// time, because it is valid in one session only.
BuildAdmission admit_build(const protocol::SignedDocument& document, const NodeIdentity& self,
                           const BuildContext& context);

// Checks whether a system may become this node's next one: unless the deployment removes the agent, it must have one
// with at least one operator, and the signer (a fingerprint) must remain an operator if the deployment needs a
// confirmation. `then` are its operators; nullopt: it has no agent. Returns nullopt if the system is acceptable.
std::optional<protocol::Refused> check_system(const protocol::Deployment& deployment,
                                              const std::optional<OperatorList>& then, std::string_view signer);

} // namespace waggle::agent
