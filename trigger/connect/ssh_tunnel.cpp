#include "trigger/connect/ssh_tunnel.hpp"

#include "trigger/connect/ssh_destination.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <deque>

namespace waggle::trigger {

namespace {

constexpr auto last_words_time = std::chrono::milliseconds(500);
constexpr size_t max_last_words = 64 << 10; // a banner may come first
constexpr std::string_view open_failed = "open failed: ";

// A connection, and the ssh process that carries it.
class TunnelConnection : public net::Connection {
public:
    TunnelConnection(Child ssh, std::unique_ptr<net::Connection> inner)
        : ssh_(std::move(ssh)), inner_(std::move(inner)) {}

    void send(std::string message, Deadline deadline) override { inner_->send(std::move(message), deadline); }
    std::optional<std::string> receive(Deadline deadline) override { return inner_->receive(deadline); }
    void finish(Deadline deadline) noexcept override { inner_->finish(deadline); }
    void abort() noexcept override { inner_->abort(); }
    std::string peer() const override { return inner_->peer(); }

private:
    Child ssh_;
    std::unique_ptr<net::Connection> inner_; // destroyed first
};

// Returns what ssh prints before it exits.
std::string last_words(Child& ssh) {
    std::string text;
    std::array<char, 1024> piece{};
    const Deadline deadline = deadline_in(last_words_time);
    try {
        while (text.size() < max_last_words) {
            const size_t count = read_some(ssh.stderr_pipe(), std::as_writable_bytes(std::span(piece)), deadline);
            if (count == 0)
                break;
            text.append(piece.data(), count);
        }
    } catch (const Error&) {
        return text; // ssh has not exited yet; this is its output so far
    }
    return text;
}

// Returns why there is no route: sshd's message if it cannot connect, otherwise the last lines, except those that give
// no reason.
std::string reason_in(std::string_view words) {
    constexpr size_t most_lines = 3;
    std::deque<std::string_view> lines;
    for (size_t begin = 0; begin < words.size();) {
        const size_t end = std::min(words.find_first_of("\r\n", begin), words.size());
        const auto line = words.substr(begin, end - begin);
        if (const size_t at = line.find(open_failed); at != line.npos)
            return std::string(line.substr(at + open_failed.size()));
        if (!line.empty() && !line.starts_with("Connection closed by UNKNOWN") &&
            !line.starts_with("Warning: Permanently added"))
            lines.push_back(line);
        if (lines.size() > most_lines)
            lines.pop_front();
        begin = end + 1;
    }
    return fmt::format("{}", fmt::join(lines, "; "));
}

} // namespace

Command tunnel_command(const SshRoute& route) {
    if (route.host.empty() || route.host.starts_with('-'))
        throw Error(fmt::format("deployment.targetHost \"{}\" is not a host name", route.host));
    Command command{{"ssh"}, {}};
    for (const std::string& word : ssh_configuration_option())
        command.argv.push_back(word);
    for (const char* option : {"BatchMode=yes", "ClearAllForwardings=yes", "ForwardAgent=no", "LogLevel=INFO"})
        command.argv.insert(command.argv.end(), {"-o", option});
    if (route.ssh_port)
        command.argv.insert(command.argv.end(), {"-p", std::to_string(*route.ssh_port)});
    command.argv.insert(command.argv.end(), {"-W", fmt::format("localhost:{}", route.agent_port), "--", route.host});
    return command;
}

std::string tunnel_failure(const std::string& command, std::string_view words, const std::string& symptom) {
    const std::string reason = reason_in(words);
    if (reason.empty())
        return fmt::format("{} (by `{}`)", symptom, command);
    const auto has = [&](std::string_view part) { return reason.find(part) != reason.npos; };
    const std::string_view advice =
        has("prohibited")
            ? "; the node's sshd may not connect to its own port: see AllowTcpForwarding and PermitOpen in "
              "its sshd_config, and permitopen in authorized_keys"
        : has("connect failed") ? "; see `systemctl status waggle-agent.socket` on the node"
                                : "";
    return fmt::format("ssh leads to no agent: {}{} (`{}`)", reason, advice, command);
}

net::NodeConnection connect_through_ssh(const SshRoute& route, const std::function<net::NodeConnection(Fd)>& connect) {
    const Command command = tunnel_command(route);
    Child ssh(command, {.pipe_stderr = true, .socket_stdio = true});
    try {
        net::NodeConnection link = connect(std::move(ssh.stdin_pipe()));
        link.connection = std::make_unique<TunnelConnection>(std::move(ssh), std::move(link.connection));
        return link;
    } catch (const net::Unreachable& error) {
        ssh.kill(SIGTERM);
        throw net::Unreachable(tunnel_failure(command.to_string(), last_words(ssh), error.what()));
    }
}

} // namespace waggle::trigger
