#pragma once

#include "shared/ssh/key.hpp"
#include "trigger/connect/ssh_destination.hpp"
#include "trigger/hive/hive.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace waggle::trigger {

// There is no usable key to verify a node with. The message says what to do.
class NoPin : public Error {
public:
    using Error::Error;
};

// The node's key is merely unknown; nothing contradicts it.
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
    // `named` files replace those of ssh's configuration. Throws Error if one cannot be read.
    explicit KnownHostsFiles(std::span<const std::filesystem::path> named);

    // The existing files for one destination. Throws Error for an unreadable one.
    std::vector<KnownHostsFile> of(const SshDestination& destination);

private:
    std::vector<KnownHostsFile> named_;
    std::map<std::filesystem::path, std::optional<std::string>> read_;
};

// The keys of which the node must show one: deployment.agent.hostKey, otherwise those in known_hosts. Never returns a
// key that is marked @revoked, and refuses a hostKey that known_hosts contradicts.
std::vector<ssh::PublicKey> choose_pins(const DeploymentOptions& deployment, const SshDestination& destination,
                                        std::span<const KnownHostsFile> files);

// Throws NoPin if one of the keys is in a file of RevokedHostKeys (ssh_config(5)), or if ssh-keygen cannot check it.
void require_not_revoked(const std::vector<ssh::PublicKey>& keys, const SshDestination& destination);

// The line for known_hosts, and what to compare before adding it.
std::string line_to_add(const SshDestination& destination, const ssh::PublicKey& observed);

// The refusal for each node that shares its key with another node, usually because of a cloned image.
std::map<std::string, std::string>
find_shared_keys(const std::map<std::string, std::vector<ssh::PublicKey>>& pins_by_node);

} // namespace waggle::trigger
