#pragma once

#include "shared/base/error.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

inline constexpr std::uint16_t ssh_port = 22;

// How ssh(1) would reach a node, and under which name it knows the node's key.
struct SshDestination {
    std::string host; // HostName
    std::uint16_t port = ssh_port;
    std::optional<std::string> key_alias;            // HostKeyAlias
    std::vector<std::filesystem::path> known_hosts;  // the user's, then the system's; they need not exist
    std::vector<std::filesystem::path> revoked_keys; // RevokedHostKeys

    // The name in known_hosts: "host", "[host]:port", or the alias, to which ssh adds no port.
    std::string listed_as() const;
};

// The destination without any ssh configuration.
SshDestination plain_destination(const std::string& host, std::optional<std::uint16_t> port);

// Parses the output of `ssh -G`. Throws Error if it has no host name or port.
SshDestination parse_ssh_configuration(std::string_view output);

// Asks `ssh -G`, which reads ~/.ssh/config (or the file that $SSH_CONFIG_FILE names). Returns the plain destination if
// ssh is not installed. Throws Error with ssh's message if ssh cannot read its configuration.
SshDestination find_destination(const std::string& host, std::optional<std::uint16_t> port);

// "-F FILE" if $SSH_CONFIG_FILE is set, for every ssh command.
std::vector<std::string> ssh_configuration_option();

} // namespace waggle::trigger
