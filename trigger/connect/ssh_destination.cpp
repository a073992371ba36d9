#include "trigger/connect/ssh_destination.hpp"

#include "shared/base/process.hpp"
#include "shared/ssh/known_hosts.hpp"
#include "trigger/base/home_folder.hpp"
#include "trigger/connect/identity.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>

namespace waggle::trigger {

namespace fs = std::filesystem;

namespace {

constexpr auto ssh_time = std::chrono::seconds(20); // a Match exec or a lookup for CanonicalizeHostname may take long

fs::path expand_tilde(const std::string& name) {
    return name.starts_with("~/") ? home_folder() / name.substr(2) : fs::path(name);
}

// ssh prints file names separated by blanks and without quotes. A word that does not begin like a path continues the
// name before it.
void add_files(std::vector<fs::path>& files, std::string_view value) {
    std::vector<std::string> names;
    std::istringstream words{std::string(value)};
    for (std::string word; std::getline(words, word, ' ');) {
        if (names.empty() || word.starts_with('/') || word.starts_with('~'))
            names.push_back(word);
        else
            names.back() += " " + word;
    }
    for (const std::string& name : names) {
        if (!name.empty() && name != "none")
            files.push_back(expand_tilde(name));
    }
}

bool is_installed(const std::string& program) {
    const char* path = std::getenv("PATH");
    std::istringstream folders{path ? path : ""};
    for (std::string folder; std::getline(folders, folder, ':');) {
        if (::access((fs::path(folder) / program).c_str(), X_OK) == 0)
            return true;
    }
    return false;
}

} // namespace

std::string SshDestination::listed_as() const {
    return key_alias ? ssh::known_hosts_name(*key_alias, ssh_port) : ssh::known_hosts_name(host, port);
}

SshDestination plain_destination(const std::string& host, std::optional<std::uint16_t> port) {
    const fs::path own = home_folder() / ".ssh";
    const fs::path machine = "/etc/ssh";
    return {.host = host,
            .port = port.value_or(ssh_port),
            .key_alias = {},
            .known_hosts = {own / "known_hosts", own / "known_hosts2", machine / "ssh_known_hosts",
                            machine / "ssh_known_hosts2"},
            .revoked_keys = {}};
}

SshDestination parse_ssh_configuration(std::string_view output) {
    SshDestination destination;
    destination.port = 0;
    std::vector<fs::path> machine_files;
    while (!output.empty()) {
        const size_t end = std::min(output.find('\n'), output.size());
        const std::string_view line = output.substr(0, end);
        output.remove_prefix(std::min(end + 1, output.size()));
        const size_t blank = line.find(' ');
        if (blank == std::string_view::npos)
            continue;
        const std::string_view keyword = line.substr(0, blank);
        const std::string_view value = line.substr(blank + 1);
        if (keyword == "hostname")
            destination.host = value;
        else if (keyword == "port")
            std::from_chars(value.data(), value.data() + value.size(), destination.port);
        else if (keyword == "hostkeyalias")
            destination.key_alias = std::string(value);
        else if (keyword == "userknownhostsfile")
            add_files(destination.known_hosts, value);
        else if (keyword == "globalknownhostsfile")
            add_files(machine_files, value);
        else if (keyword == "revokedhostkeys")
            add_files(destination.revoked_keys, value);
    }
    if (destination.host.empty() || destination.port == 0)
        throw Error("`ssh -G` names no host and port");
    destination.known_hosts.insert(destination.known_hosts.end(), machine_files.begin(), machine_files.end());
    return destination;
}

SshDestination find_destination(const std::string& host, std::optional<std::uint16_t> port) {
    if (host.empty() || host.starts_with('-') || host.find_first_of(" \t\r\n") != host.npos)
        throw Error(fmt::format("deployment.targetHost \"{}\" is not a host name", host));
    if (host.starts_with('['))
        throw Error(fmt::format("deployment.targetHost \"{}\": write an IPv6 address without brackets, and the port of "
                                "its SSH server in deployment.targetPort",
                                host));
    if (const size_t colon = host.find(':'); colon != host.npos && host.find(':', colon + 1) == host.npos)
        throw Error(fmt::format("deployment.targetHost \"{}\" has a port in it: the port of its SSH server belongs in "
                                "deployment.targetPort, the agent's in deployment.agent.port",
                                host));
    if (!is_installed("ssh"))
        return plain_destination(host, port);
    Command command{{"ssh"}, {}};
    for (const std::string& word : ssh_configuration_option())
        command.argv.push_back(word);
    command.argv.emplace_back("-G");
    if (port)
        command.argv.insert(command.argv.end(), {"-p", std::to_string(*port)});
    command.argv.insert(command.argv.end(), {"--", host});
    const RunResult result = run(command, {.deadline = deadline_in(ssh_time), .on_stderr_line = {}});
    if (!result.status.success())
        throw Error(fmt::format("ssh could not print its configuration for {} (`{}`: {}): {}", host,
                                command.to_string(), result.status.to_string(), result.err_tail));
    return parse_ssh_configuration(result.out);
}

std::vector<std::string> ssh_configuration_option() {
    const char* file = std::getenv("SSH_CONFIG_FILE"); // Colmena's name for it
    if (!file || !*file)
        return {};
    return {"-F", file};
}

} // namespace waggle::trigger
