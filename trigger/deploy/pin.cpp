#include "trigger/deploy/pin.hpp"

#include "shared/base/file.hpp"
#include "shared/ssh/known_hosts.hpp"
#include "trigger/deploy/identity.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

namespace waggle::trigger {

namespace fs = std::filesystem;

namespace {

constexpr size_t max_known_hosts_bytes = 64 << 20;
constexpr std::uint16_t ssh_port = 22;

bool contains(const std::vector<ssh::PublicKey>& keys, const ssh::PublicKey& key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

ssh::KnownHost look_up(std::span<const KnownHostsFile> files, const std::string& host, std::uint16_t port) {
    ssh::KnownHost all;
    for (const KnownHostsFile& file : files) {
        const ssh::KnownHost found = ssh::find_known_host(file.text, host, port);
        all.keys.insert(all.keys.end(), found.keys.begin(), found.keys.end());
        all.revoked.insert(all.revoked.end(), found.revoked.begin(), found.revoked.end());
        all.other_types.insert(all.other_types.end(), found.other_types.begin(), found.other_types.end());
    }
    return all;
}

std::string advice(const std::string& host, std::uint16_t port) {
    const std::string port_option = port == ssh_port ? "" : fmt::format("-p {} ", port);
    return fmt::format(
        "Get it with `ssh-keyscan -t ed25519 {}{}`, compare its fingerprint with what the node's console "
        "shows (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), and add the line to ~/.ssh/known_hosts:\n"
        "    {} ssh-ed25519 AAAA…\nor set deployment.agent.hostKey = \"ssh-ed25519 AAAA…\" in the hive",
        port_option, host, ssh::known_hosts_name(host, port));
}

} // namespace

std::vector<KnownHostsFile> read_known_hosts(std::span<const fs::path> named) {
    std::vector<KnownHostsFile> files;
    for (const fs::path& path : named)
        files.push_back({path, read_file(path, max_known_hosts_bytes)});
    if (!named.empty())
        return files;
    for (const fs::path& path : {home_folder() / ".ssh" / "known_hosts", fs::path("/etc/ssh/ssh_known_hosts")}) {
        if (std::optional<std::string> text = read_file_if_exists(path, max_known_hosts_bytes))
            files.push_back({path, std::move(*text)});
    }
    return files;
}

std::vector<ssh::PublicKey> choose_pins(const DeploymentOptions& deployment, std::span<const KnownHostsFile> files) {
    const std::string host = deployment.target_host.value_or("");
    const std::uint16_t port = deployment.target_port.value_or(ssh_port);
    const std::string listed_as = ssh::known_hosts_name(host, port);
    ssh::KnownHost known = look_up(files, host, port);

    if (deployment.agent_host_key) {
        std::optional<ssh::PublicKey> key;
        try {
            key = ssh::PublicKey::parse(*deployment.agent_host_key);
        } catch (const ssh::BadKey& error) {
            throw NoPin(fmt::format("deployment.agent.hostKey cannot be used: {}", error.what()));
        }
        if (contains(known.revoked, *key))
            throw NoPin(fmt::format("deployment.agent.hostKey ({}) is marked @revoked for {} in known_hosts",
                                    key->fingerprint(), listed_as));
        if (!known.keys.empty() && !contains(known.keys, *key))
            throw NoPin(
                fmt::format("deployment.agent.hostKey ({}) and known_hosts ({}: {}) do not agree: find out which "
                            "one is right and correct the other",
                            key->fingerprint(), listed_as, known.keys.front().fingerprint()));
        return {*key};
    }

    std::erase_if(known.keys, [&](const ssh::PublicKey& key) { return contains(known.revoked, key); });
    std::sort(known.keys.begin(), known.keys.end());
    known.keys.erase(std::unique(known.keys.begin(), known.keys.end()), known.keys.end());
    if (!known.keys.empty())
        return known.keys;
    if (!known.revoked.empty())
        throw NoPin(fmt::format("the only Ed25519 key that known_hosts lists for {} is marked @revoked. {}", listed_as,
                                advice(host, port)));
    if (!known.other_types.empty())
        throw NoPin(
            fmt::format("known_hosts lists {} with {} only, and Waggle knows nodes by their Ed25519 host key. {}",
                        listed_as, fmt::join(known.other_types, ", "), advice(host, port)));
    throw NoPin(fmt::format("no host key is known for {}, so nothing was sent. {}", listed_as, advice(host, port)));
}

std::map<std::string, std::string>
find_shared_keys(const std::map<std::string, std::vector<ssh::PublicKey>>& pins_by_node) {
    std::map<ssh::PublicKey, std::vector<std::string>> nodes_by_key;
    for (const auto& [node, pins] : pins_by_node) {
        for (const ssh::PublicKey& key : pins)
            nodes_by_key[key].push_back(node);
    }
    std::map<std::string, std::string> refusals;
    for (const auto& [key, nodes] : nodes_by_key) {
        if (nodes.size() < 2)
            continue;
        const std::string sentence =
            fmt::format("{} have the same host key {}: whoever holds one of them could pose as the others; give each "
                        "node a key of its own",
                        fmt::join(nodes, " and "), key.fingerprint());
        for (const std::string& node : nodes)
            refusals[node] = sentence;
    }
    return refusals;
}

} // namespace waggle::trigger
