#include "trigger/connect/reach.hpp"

#include "shared/base/error.hpp"
#include "shared/protocol/name.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace waggle::trigger {

namespace {

// The value of services.waggle-agent.hive if nothing sets the hive's name for the module, as with Colmena.
constexpr auto default_hive = "hive";

} // namespace

void require_fitting(const Reach& reach, size_t nodes) {
    if (reach.former_node && nodes > 1)
        throw Error(fmt::format("--rename {} is the former name of one node, and {} are selected: choose it with --on",
                                *reach.former_node, nodes));
}

void set_reach(const Reach& reach, NodeAddress& address) {
    address.deployment.agent_via_ssh = reach.via_ssh.value_or(address.deployment.agent_via_ssh);
    std::vector<AgentName> names;
    for (const std::string& hive : {address.hive, reach.former_hive.value_or(address.hive), std::string(default_hive)})
        // An agent that will be named differently from the hive's attribute usually has the attribute's name until
        // then.
        for (const std::string& node : {address.node, reach.former_node.value_or(address.node), address.name}) {
            const AgentName name{hive, node};
            if (protocol::is_name(hive) && protocol::is_name(node) && std::ranges::find(names, name) == names.end())
                names.push_back(name);
        }
    if (!names.empty() && names.front() == AgentName{address.hive, address.node})
        names.erase(names.begin());
    address.former_names = std::move(names);
}

} // namespace waggle::trigger
