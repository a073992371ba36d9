#include "trigger/deploy/document.hpp"

#include "shared/base/duration.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace waggle::trigger {

using protocol::Deployment;
using protocol::Facts;
using protocol::Refused;

namespace {

constexpr auto session_expiry = std::chrono::hours(1); // for the start; it may finish later
// The node compares notBefore with the later of its clock and the hello's time, which is slightly before the
// document's.
constexpr auto clock_tolerance = std::chrono::minutes(5);
// The greatest difference between two correct clocks.
constexpr auto max_clock_difference = std::chrono::minutes(5);
// How far ahead of its clock a node accepts a sequence.
constexpr auto max_jump = std::chrono::days(2 * 365);

} // namespace

std::optional<Refused> reason_to_refuse(const DeployedNode& node, const Intent& intent) {
    if (!node.agent_enabled && !intent.remove_agent && protocol::activates(intent.goal))
        return Refused{
            "no-agent",
            "its configuration does not set services.waggle-agent.enable, so this deployment would be the last one: "
            "enable the agent (if the node runs none yet, install it with the tool that deploys the node today), or "
            "add --remove-agent to remove it"};
    if (node.hive.empty() || node.node.empty())
        return Refused{"no-agent",
                       "its configuration does not set services.waggle-agent.hive and services.waggle-agent.node"};
    return std::nullopt;
}

std::optional<Refused> reason_to_refuse(const DeployedNode& node, const Facts& facts, Time now) {
    if (facts.system != node.system)
        return Refused{"other-system",
                       fmt::format("the hive makes a {} system, the node is {}: set nixpkgs.system, or correct "
                                   "targetHost",
                                   node.system, facts.system)};
    // Our next sequence would be even greater, and would be refused.
    if (facts.last_sequence > unix_ms(now + max_jump))
        return Refused{"sequence-too-far",
                       fmt::format("the sequence number that it admitted last, {}, is years ahead of this machine's "
                                   "clock ({}): correct this clock, or run `waggle-agent reset-clock` at the node's "
                                   "console",
                                   facts.last_sequence, to_rfc3339(now))};
    return std::nullopt;
}

std::optional<std::string> clock_warning(const Facts& facts, Time now) {
    const auto ahead = facts.time - now;
    if (ahead > max_clock_difference)
        return fmt::format("its clock is {} ahead of this machine's", describe_duration(ahead));
    if (ahead < -max_clock_difference)
        return fmt::format("its clock is {} behind this machine's", describe_duration(ahead));
    return std::nullopt;
}

std::int64_t next_sequence(const Facts& facts, Time now) {
    return std::max(unix_ms(now), facts.last_sequence + 1);
}

Deployment make_deployment(const DeployedNode& node, const AgentName& name, const Intent& intent, const Facts& facts,
                           const ssh::PublicKey& node_key, const Contents& contents, Time now) {
    Deployment deployment;
    deployment.hive = name.hive;
    deployment.node = name.node;
    deployment.node_keys = {node_key};
    deployment.system = node.system;
    deployment.goal = intent.goal;
    deployment.toplevel = contents.toplevel;
    deployment.closure = contents.closure;
    deployment.secrets = contents.secrets;
    deployment.sequence = next_sequence(facts, now);
    if (!intent.force)
        deployment.parent = facts.last_admitted;
    deployment.created = now;
    deployment.not_before = now - clock_tolerance;
    deployment.expires = now + session_expiry;
    deployment.rollback = node.deployment.rollback;
    if (intent.no_rollback)
        deployment.rollback.enable = false;
    deployment.reboot = intent.reboot;
    deployment.local_content = node.deployment.local_content;
    deployment.remove_agent = intent.remove_agent;
    deployment.reset_state = intent.reset_state;
    deployment.install_boot_loader = intent.install_boot_loader;
    deployment.git = intent.git;
    deployment.specialisation = node.deployment.specialisation;
    return deployment;
}

} // namespace waggle::trigger
