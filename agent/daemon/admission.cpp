#include "agent/daemon/admission.hpp"

#include "shared/base/duration.hpp"
#include "shared/base/error.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace waggle::agent {

using protocol::Deployment;
using protocol::SignedDocument;

namespace {

using namespace std::chrono_literals;

// A sequence is a time in ms. One this far ahead would lock out every operator whose clock is right.
constexpr auto max_jump = std::chrono::days(2 * 365);
// The release date of this version, to be raised with it. A clock that shows an earlier time is not set (boards without
// a battery).
constexpr Time release_date = std::chrono::sys_days(std::chrono::year(2026) / 11 / 1);

template <typename... Args>
std::optional<protocol::Refused> refuse(std::string code, fmt::format_string<Args...> text, Args&&... args) {
    return protocol::Refused{std::move(code), fmt::format(text, std::forward<Args>(args)...)};
}

// `what` is "deployment" or "build request".
template <class Document>
std::optional<protocol::Refused> check_target(std::string_view what, const Document& document,
                                              const NodeIdentity& self) {
    if (document.hive != self.hive)
        return refuse("other-hive", "this {} is for the hive {}, this node is in {}", what, document.hive, self.hive);
    if (document.node != self.node)
        return refuse("other-node", "this {} is for {}, this node is {}", what, document.node, self.node);
    if (std::ranges::find(document.node_keys, self.key) == document.node_keys.end())
        return refuse("other-key", "this {} is for another key of {}, this node's is {}", what, self.node,
                      self.key.fingerprint());
    if (document.system != self.system)
        return refuse("other-system", "this {} is for {}, this node is {}", what, document.system, self.system);
    return std::nullopt;
}

// Whether the operator used --force in a session. On a new node, every document lacks a parent.
bool is_forced(const Deployment& deployment, const std::optional<LastAdmitted>& last) {
    return last && !deployment.parent && deployment.delivery == protocol::Delivery::session;
}

// The creation time that the node remembers of an admitted document. It never exceeds the node's own clock by more than
// the tolerance, so that a laptop whose clock is ahead does not lock operators out. --force also discards the time
// remembered before.
Time created_to_remember(const Deployment& deployment, const AdmissionContext& context) {
    const auto& last = context.last_admitted;
    const Time bounded = std::min<Time>(deployment.created, context.own_clock + clock_tolerance);
    return last && !is_forced(deployment, last) ? std::max(bounded, last->created) : bounded;
}

// In a session, nonce and exporter prove that the operator is present now, so the operator's clock decides whether the
// document has expired. Thus a node whose clock is wrong can receive the configuration that corrects it.
Time judging_clock(const Deployment& deployment, const AdmissionContext& context) {
    if (deployment.delivery == protocol::Delivery::session)
        return context.session_clock;
    return context.last_admitted ? std::max(context.own_clock, context.last_admitted->created) : context.own_clock;
}

std::optional<protocol::Refused> check_time(const Deployment& deployment, const AdmissionContext& context) {
    const Time clock = judging_clock(deployment, context);
    const Time own = context.own_clock;
    if (deployment.created > own + clock_tolerance && is_plausible(own, context.last_admitted) &&
        !is_forced(deployment, context.last_admitted))
        return refuse("bad-time",
                      "this deployment was created at {}, but it is {} on this node: the clock of the machine that "
                      "signed it is {} ahead of the node's; correct the wrong one{}",
                      to_rfc3339(deployment.created), to_rfc3339(own), describe_duration(deployment.created - own),
                      context.last_admitted ? " (--force deploys all the same)" : "");
    if (deployment.created > clock + clock_tolerance)
        return refuse("bad-time",
                      "this deployment was created at {}, but it is only {} by the clock of the machine that sent it",
                      to_rfc3339(deployment.created), to_rfc3339(clock));
    if (deployment.not_before > clock + clock_tolerance)
        return refuse("not-yet-valid", "this deployment may not start before {}; it is {}",
                      to_rfc3339(deployment.not_before), to_rfc3339(clock));
    if (deployment.expires <= clock)
        return refuse("expired", "this deployment expired at {}; it is {}", to_rfc3339(deployment.expires),
                      to_rfc3339(clock));
    return std::nullopt;
}

std::optional<protocol::Refused> check_free(const std::optional<protocol::Running>& running) {
    if (running)
        return refuse("busy", "deployment {} of {} has occupied this node since {} ({})", running->id.brief(),
                      running->operator_key, to_rfc3339(running->since), to_string(running->state));
    return std::nullopt;
}

std::optional<protocol::Refused> check_sequence(const Deployment& deployment, const std::optional<LastAdmitted>& last,
                                                Time clock) {
    if (last && deployment.sequence <= last->sequence)
        return refuse("replayed", "sequence {} is not greater than {}, which this node has admitted already",
                      deployment.sequence, last->sequence);
    // The next sequence is not a jump, whatever was admitted before.
    const bool is_next = last && deployment.sequence == last->sequence + 1;
    if (!is_next && deployment.sequence > unix_ms(clock + max_jump))
        return refuse("sequence-too-far", "sequence {} is more than two years ahead of this node's clock ({})",
                      deployment.sequence, to_rfc3339(clock));
    return std::nullopt;
}

std::optional<protocol::Refused> check_parent(const Deployment& deployment, const std::optional<LastAdmitted>& last) {
    if (!deployment.parent)
        return std::nullopt;
    if (!last)
        return refuse("parent", "the operator saw deployment {} on this node, but it has admitted none yet",
                      deployment.parent->brief());
    if (*deployment.parent != last->id)
        return refuse("parent",
                      "the operator saw {} as this node's last deployment, but {} of {} was admitted since; check what "
                      "it did, then apply again",
                      deployment.parent->brief(), last->id.brief(), last->operator_key);
    return std::nullopt;
}

// The parser has already checked goals and what they need.
std::optional<protocol::Refused> check_reboot_and_delivery(const Deployment& deployment) {
    if (deployment.reboot != protocol::Reboot::never && !protocol::sets_profile(deployment.goal))
        return refuse("reboot-without-boot", "the goal {} cannot be combined with a reboot: only switch and boot can",
                      to_string(deployment.goal));
    if (deployment.delivery != protocol::Delivery::session)
        return refuse("channel-not-supported", "deployments from a channel are not supported by this agent version");
    return std::nullopt;
}

std::optional<protocol::Refused> check_state(const Deployment& deployment, const AdmissionContext& context) {
    // Only a live session can request a reset: a document from a channel may have been held back.
    const bool reset = deployment.reset_state && deployment.delivery == protocol::Delivery::session;
    if (context.condition == StateKeeper::Condition::corrupt && !reset)
        return protocol::Refused{"corrupt-state", context.state_problem};
    return std::nullopt;
}

// Sets `signer` to an operator whose signature is valid, or returns why there is none.
std::optional<protocol::Refused> check_signature(std::string_view what, std::span<const ssh::PublicKey> signers,
                                                 std::span<const ssh::PublicKey> operators,
                                                 std::optional<ssh::PublicKey>& signer) {
    if (signers.empty())
        return refuse("bad-signature", "no valid signature: the {} was modified after it was signed", what);
    for (const auto& key : signers) {
        if (std::ranges::find(operators, key) != operators.end()) {
            signer = key;
            return std::nullopt;
        }
    }
    return refuse("unknown-operator", "the {} is signed by {}, who is not an operator of this node", what,
                  signers.front().fingerprint());
}

template <class T>
const T& require_granted(const std::optional<T>& field, std::string_view what) {
    if (!field)
        throw Error(fmt::format("an admission lacks {}", what));
    return *field;
}

} // namespace

const protocol::Deployment& Admission::require_deployment() const {
    return require_granted(deployment, "the deployment");
}

const ssh::PublicKey& Admission::require_operator_key() const {
    return require_granted(operator_key, "the signer's key");
}

const ssh::PublicKey& BuildAdmission::require_operator_key() const {
    return require_granted(operator_key, "the signer's key");
}

std::optional<protocol::Refused> check_system(const Deployment& deployment, const std::optional<OperatorList>& then,
                                              std::string_view signer) {
    if (!then) {
        if (deployment.remove_agent)
            return std::nullopt;
        return refuse("no-agent", "the new system has no waggle-agent.service, so this deployment would be the last "
                                  "one: enable services.waggle-agent, or use --remove-agent");
    }
    if (then->current.empty())
        return refuse("no-operator", "with the new system no operator could deploy to this node any more: its "
                                     "services.waggle-agent.operators names only operators that a later configuration "
                                     "has removed; `waggle-agent adopt` at the node's console restores a removed key");
    const bool by_a_session = deployment.goal != protocol::Goal::boot || deployment.reboot != protocol::Reboot::never;
    const bool awaits_confirmation = deployment.rollback.enable && !deployment.remove_agent && by_a_session &&
                                     deployment.goal != protocol::Goal::dry_activate;
    const bool signer_stays =
        std::ranges::any_of(then->current, [&](const auto& key) { return key.fingerprint() == signer; });
    if (awaits_confirmation && !signer_stays)
        return refuse("no-confirmer",
                      "the new system does not know {}, who signed this deployment, as an operator, so no one could "
                      "confirm this deployment: add the key to services.waggle-agent.operators, deploy as an operator "
                      "who stays, or hand over with --no-rollback",
                      signer);
    return std::nullopt;
}

bool is_plausible(Time own_clock, const std::optional<LastAdmitted>& last_admitted) {
    return own_clock >= release_date && (!last_admitted || own_clock + clock_tolerance >= last_admitted->created);
}

Admission admit(const SignedDocument& document, const NodeIdentity& self, const AdmissionContext& context) {
    constexpr std::string_view what = "deployment";
    Admission result;
    if (document.payload.size() > protocol::max_payload_bytes) {
        result.refusal = {"bad-document", fmt::format("the deployment is {} bytes, more than {}",
                                                      document.payload.size(), protocol::max_payload_bytes)};
        return result;
    }
    try {
        result.deployment = protocol::parse_deployment(document.payload);
    } catch (const Error& error) {
        result.refusal = {"bad-document", error.what()};
        return result;
    }
    const auto& deployment = *result.deployment;
    const auto& last = context.last_admitted;
    const Time sequence_clock =
        is_plausible(context.own_clock, last) ? context.own_clock : std::max(context.own_clock, context.session_clock);

    auto refusal = check_signature(what, protocol::valid_signers(document), context.operators, result.operator_key);
    if (!refusal)
        refusal = check_target(what, deployment, self);
    // The same deployment again requests nothing new, so its expiry, sequence and parent do not matter.
    if (!refusal && last && last->id == document.id()) {
        result.kind = Admission::Kind::attach;
        return result;
    }
    if (!refusal)
        refusal = check_time(deployment, context);
    // This comes before sequence and parent: of two operators who race, the second learns who holds the node.
    if (!refusal)
        refusal = check_free(context.running);
    if (!refusal)
        refusal = check_sequence(deployment, last, sequence_clock);
    if (!refusal)
        refusal = check_parent(deployment, last);
    if (!refusal)
        refusal = check_reboot_and_delivery(deployment);
    if (!refusal)
        refusal = check_state(deployment, context);
    if (refusal) {
        result.refusal = *refusal;
        return result;
    }
    result.kind = Admission::Kind::granted;
    result.created = created_to_remember(deployment, context);
    return result;
}

BuildAdmission admit_build(const SignedDocument& document, const NodeIdentity& self, const BuildContext& context) {
    constexpr std::string_view what = "build request";
    BuildAdmission result;
    std::optional<protocol::BuildRequest> request;
    try {
        request = protocol::parse_build_request(document.payload);
    } catch (const Error& error) {
        result.refusal = {"bad-document", error.what()};
        return result;
    }
    auto refusal = check_signature(what, protocol::valid_signers(document, protocol::build_namespace),
                                   context.operators, result.operator_key);
    if (!refusal)
        refusal = check_target(what, *request, self);
    if (!refusal && request->exporter != context.exporter)
        refusal = refuse("other-session", "this build request was made for another session");
    if (!refusal)
        refusal = check_free(context.running);
    if (refusal)
        result.refusal = *refusal;
    else
        result.request = std::move(request);
    return result;
}

} // namespace waggle::agent
