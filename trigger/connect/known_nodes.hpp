#pragma once

#include "trigger/connect/pin.hpp"

#include <map>
#include <string>
#include <vector>

namespace waggle::trigger {

// Where a node can be reached, and the keys of which it must show one.
struct KnownNode {
    SshDestination destination;
    std::vector<ssh::PublicKey> keys;
    std::vector<SshDestination> others = {}; // alternatives
};

// The nodes with usable keys, and the reason for each node that must not be connected to.
struct Pins {
    std::map<std::string, KnownNode> nodes;
    std::map<std::string, std::string> refusals;
    std::map<std::string, SshDestination> unknown; // the refused nodes whose key is merely unknown
};
Pins find_pins(const std::map<std::string, DeploymentOptions>& nodes, KnownHostsFiles& known_hosts);

} // namespace waggle::trigger
