#pragma once

#include "shared/ssh/key.hpp"
#include "trigger/hive/hive.hpp"

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// There is no key to hold a node against, or one that must not be used. Says what to do.
class NoPin : public Error {
public:
    using Error::Error;
};

struct KnownHostsFile {
    std::filesystem::path path;
    std::string text;
};

// The files that were named (each must exist), else those that exist of ~/.ssh/known_hosts and
// /etc/ssh/ssh_known_hosts.
std::vector<KnownHostsFile> read_known_hosts(std::span<const std::filesystem::path> named);

// The keys of which the node must show one: deployment.agent.hostKey, else what known_hosts lists for its targetHost
// and targetPort. A revoked key, and a hostKey that known_hosts contradicts, are refused.
std::vector<ssh::PublicKey> choose_pins(const DeploymentOptions& deployment, std::span<const KnownHostsFile> files);

// For each node whose key another one has, too: the sentence with which both are refused. A cloned image is the usual
// reason.
std::map<std::string, std::string>
find_shared_keys(const std::map<std::string, std::vector<ssh::PublicKey>>& pins_by_node);

} // namespace waggle::trigger
