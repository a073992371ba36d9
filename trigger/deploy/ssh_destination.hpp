#pragma once

#include "shared/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

// How ssh(1) would reach a node, and under which name it knows the node's key.
struct SshDestination {
    std::string host; // HostName
    std::uint16_t port = 22;
    std::optional<std::string> key_alias;            // HostKeyAlias
    std::vector<std::filesystem::path> known_hosts;  // those of the user, then the machine's; they need not exist
    std::vector<std::filesystem::path> revoked_keys; // RevokedHostKeys

    // "host", "[host]:port", or the alias, to which ssh adds no port.
    std::string listed_as() const;
};

// What ssh does where nobody configured anything.
SshDestination plain_destination(const std::string& host, std::optional<std::uint16_t> port);

// Reads the output of `ssh -G`. Throws Error where it has no host name or port.
SshDestination parse_ssh_configuration(std::string_view output);

// Asks `ssh -G`, so that ~/.ssh/config counts (or the file that $SSH_CONFIG_FILE names). Where no ssh is installed it
// is the plain destination. Throws Error with ssh's own words when ssh cannot read its configuration.
SshDestination find_destination(const std::string& host, std::optional<std::uint16_t> port);

// "-F FILE" where $SSH_CONFIG_FILE is set, for every ssh that is started.
std::vector<std::string> ssh_configuration_option();

} // namespace waggle::trigger
