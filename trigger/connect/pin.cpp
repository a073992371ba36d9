#include "trigger/connect/pin.hpp"

#include "shared/base/file.hpp"
#include "shared/base/process.hpp"
#include "shared/ssh/known_hosts.hpp"
#include "trigger/base/trusted_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace waggle::trigger {

namespace fs = std::filesystem;

namespace {

constexpr size_t max_known_hosts_bytes = 64 << 20;

bool contains(const std::vector<ssh::PublicKey>& keys, const ssh::PublicKey& key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
}

// What all files list for one host, and the file that lists each key.
struct Listed : ssh::KnownHost {
    std::map<ssh::PublicKey, fs::path> file_of;
};

Listed look_up(std::span<const KnownHostsFile> files, const SshDestination& destination) {
    Listed all;
    for (const KnownHostsFile& file : files) {
        const ssh::KnownHost found = destination.key_alias
                                         ? ssh::find_known_host(file.text, *destination.key_alias, ssh_port)
                                         : ssh::find_known_host(file.text, destination.host, destination.port);
        for (const ssh::PublicKey& key : found.keys) {
            if (all.file_of.emplace(key, file.path).second)
                all.keys.push_back(key);
        }
        all.revoked.insert(all.revoked.end(), found.revoked.begin(), found.revoked.end());
        all.other_types.insert(all.other_types.end(), found.other_types.begin(), found.other_types.end());
    }
    // A key that one file revokes is revoked everywhere.
    std::erase_if(all.keys, [&](const ssh::PublicKey& key) { return contains(all.revoked, key); });
    return all;
}

std::string in_words(const Listed& known) {
    std::vector<std::string> entries;
    for (const ssh::PublicKey& key : known.keys)
        entries.push_back(fmt::format("{} in {}", key.fingerprint(), known.file_of.at(key).string()));
    return fmt::format("{}", fmt::join(entries, ", "));
}

std::string advice(const SshDestination& destination) {
    const std::string port_option = destination.port == ssh_port ? "" : fmt::format("-p {} ", destination.port);
    return fmt::format(
        "Get it with `ssh-keyscan -t ed25519 {}{}`, compare its fingerprint with what the node's console "
        "shows (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), and add the line to ~/.ssh/known_hosts:\n"
        "    {} ssh-ed25519 AAAA…\nor set deployment.agent.hostKey = \"ssh-ed25519 AAAA…\" in the hive",
        port_option, destination.host, destination.listed_as());
}

ssh::PublicKey key_of_the_hive(const std::string& line) {
    try {
        return ssh::PublicKey::parse(line);
    } catch (const ssh::BadKey& error) {
        throw NoPin(fmt::format("deployment.agent.hostKey cannot be used: {}", error.what()));
    }
}

// Returns nullopt for a comment, or a key of another type.
std::optional<ssh::PublicKey> key_in(std::string_view line) {
    try {
        return ssh::PublicKey::parse(line);
    } catch (const ssh::BadKey&) {
        return std::nullopt;
    }
}

// Whether a list of public keys, one per line, has this one.
bool lists(std::string_view text, const ssh::PublicKey& key) {
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        if (key_in(text.substr(0, end)) == key)
            return true;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return false;
}

// ssh-keygen can read the binary revocation lists (OpenSSH PROTOCOL.krl) that it makes.
bool is_in_revocation_list(const ssh::PublicKey& key, const fs::path& list) {
    const TemporaryFolder folder;
    const fs::path file = folder.path() / "key.pub";
    write_file_atomically(file, key.to_string() + "\n", 0600);
    const RunResult result = run({{"ssh-keygen", "-Q", "-f", list, file}, {}},
                                 {.deadline = deadline_in(std::chrono::seconds(10)), .on_stderr_line = {}});
    if (result.out.find("REVOKED") != result.out.npos)
        return true;
    if (!result.status.success())
        throw Error(result.err_tail);
    return false;
}

bool is_revoked(const ssh::PublicKey& key, const fs::path& list) {
    constexpr std::string_view binary_mark = "SSHKRL\n";
    try {
        const std::string text = read_file(list, max_known_hosts_bytes);
        return text.starts_with(binary_mark) ? is_in_revocation_list(key, list) : lists(text, key);
    } catch (const Error& error) { // like ssh: an unreadable list revokes every key
        throw NoPin(fmt::format("cannot check whether {} is revoked, because RevokedHostKeys {} cannot be read: {}",
                                key.fingerprint(), list.string(), error.what()));
    }
}

} // namespace

namespace {

// A user who can write to the file chooses which machine is accepted as a node.
void require_trusted(const fs::path& known_hosts) {
    if (const std::optional<std::string> reason = reason_to_distrust(known_hosts))
        throw NoPin(fmt::format("host keys are read only from files that other users cannot change: {}", *reason));
}

} // namespace

KnownHostsFiles::KnownHostsFiles(std::span<const fs::path> named) {
    for (const fs::path& path : named) {
        require_trusted(path);
        named_.push_back({path, read_file(path, max_known_hosts_bytes)});
    }
}

std::vector<KnownHostsFile> KnownHostsFiles::of(const SshDestination& destination) {
    if (!named_.empty())
        return named_;
    std::vector<KnownHostsFile> files;
    for (const fs::path& path : destination.known_hosts) {
        require_trusted(path);
        auto found = read_.find(path);
        if (found == read_.end())
            found = read_.emplace(path, read_file_if_exists(path, max_known_hosts_bytes)).first;
        if (found->second)
            files.push_back({path, *found->second});
    }
    return files;
}

std::vector<ssh::PublicKey> choose_pins(const DeploymentOptions& deployment, const SshDestination& destination,
                                        std::span<const KnownHostsFile> files) {
    const std::string listed_as = destination.listed_as();
    Listed known = look_up(files, destination);

    if (deployment.agent_host_key) {
        const ssh::PublicKey key = key_of_the_hive(*deployment.agent_host_key);
        if (contains(known.revoked, key))
            throw NoPin(fmt::format("deployment.agent.hostKey ({}) is marked @revoked for {} in known_hosts",
                                    key.fingerprint(), listed_as));
        if (!known.keys.empty() && !contains(known.keys, key))
            throw NoPin(
                fmt::format("deployment.agent.hostKey ({}) and known_hosts ({}: {}) do not agree: find out which "
                            "one is right and correct the other",
                            key.fingerprint(), listed_as, in_words(known)));
        return {key};
    }

    if (!known.keys.empty()) {
        std::sort(known.keys.begin(), known.keys.end());
        return known.keys;
    }
    if (!known.revoked.empty())
        throw NoPin(fmt::format(
            "every Ed25519 key that known_hosts lists for {} is marked @revoked: the node needs a new one. {}",
            listed_as, advice(destination)));
    if (!known.other_types.empty())
        throw UnknownHost(
            fmt::format("known_hosts lists {} with {} only, and Waggle knows nodes by their Ed25519 host key. {}",
                        listed_as, fmt::join(known.other_types, ", "), advice(destination)));
    throw UnknownHost(
        fmt::format("no host key is known for {}, so nothing was sent. {}", listed_as, advice(destination)));
}

void require_not_revoked(const std::vector<ssh::PublicKey>& keys, const SshDestination& destination) {
    for (const fs::path& list : destination.revoked_keys) {
        for (const ssh::PublicKey& key : keys) {
            if (is_revoked(key, list))
                throw NoPin(
                    fmt::format("the host key {} of {} is revoked in {} (RevokedHostKeys of ssh's configuration)",
                                key.fingerprint(), destination.listed_as(), list.string()));
        }
    }
}

std::string line_to_add(const SshDestination& destination, const ssh::PublicKey& observed) {
    return fmt::format(
        "The machine at that address now shows {}. If, and only if, the node's console shows the same, add this "
        "line:\n    {} {}",
        observed.fingerprint(), destination.listed_as(), observed.to_string());
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
            fmt::format("{} have the same host key {}: each of them could pose as the others; give each node a key of "
                        "its own",
                        fmt::join(nodes, " and "), key.fingerprint());
        for (const std::string& node : nodes)
            refusals[node] = sentence;
    }
    return refusals;
}

} // namespace waggle::trigger
