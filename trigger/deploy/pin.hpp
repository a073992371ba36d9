#pragma once

#include "shared/ssh/key.hpp"
#include "trigger/deploy/ssh_destination.hpp"
#include "trigger/hive/hive.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// There is no key to hold a node against, or one that must not be used. Says what to do.
class NoPin : public Error {
public:
    using Error::Error;
};

// As NoPin, but nothing speaks against the node: its key is just not known.
class UnknownHost : public NoPin {
public:
    using NoPin::NoPin;
};

struct KnownHostsFile {
    std::filesystem::path path;
    std::string text;
};

// The known_hosts files of a run, each read once. Not for several threads.
class KnownHostsFiles {
public:
    // The files that were named count instead of those of ssh's configuration. Throws where one cannot be read.
    explicit KnownHostsFiles(std::span<const std::filesystem::path> named);

    // Those for one destination that exist. Throws Error for one that is there and cannot be read.
    std::vector<KnownHostsFile> of(const SshDestination& destination);

private:
    std::vector<KnownHostsFile> named_;
    std::map<std::filesystem::path, std::optional<std::string>> read_;
};

// The keys of which the node must show one: deployment.agent.hostKey, else what known_hosts lists for it. A key that is
// marked @revoked never is one, whoever lists it; a hostKey that known_hosts contradicts is refused.
std::vector<ssh::PublicKey> choose_pins(const DeploymentOptions& deployment, const SshDestination& destination,
                                        std::span<const KnownHostsFile> files);

// Throws NoPin when one of the keys is in a file of RevokedHostKeys (ssh_config(5)), or ssh-keygen cannot tell.
void require_not_revoked(const std::vector<ssh::PublicKey>& keys, const SshDestination& destination);

// The line for known_hosts, and what to compare before it is added.
std::string line_to_add(const SshDestination& destination, const ssh::PublicKey& observed);

// For each node whose key another one has, too: the sentence with which both are refused. A cloned image is the usual
// reason.
std::map<std::string, std::string>
find_shared_keys(const std::map<std::string, std::vector<ssh::PublicKey>>& pins_by_node);

} // namespace waggle::trigger
