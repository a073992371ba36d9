#include "trigger/deploy/ssh_tunnel.hpp"

#include "trigger/deploy/ssh_destination.hpp"

#include <fmt/format.h>

#include <array>
#include <csignal>

namespace waggle::trigger {

namespace {

constexpr auto last_words_time = std::chrono::milliseconds(500);
constexpr size_t max_last_words = 2000;

// A connection and the ssh that carries it.
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
    std::unique_ptr<net::Connection> inner_; // gone first
};

// What ssh says before it goes: its last line is the reason.
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
        return text; // it has not ended: what it said so far
    }
    return text;
}

std::string trimmed(const std::string& text) {
    const size_t end = text.find_last_not_of("\r\n ");
    return end == text.npos ? "" : text.substr(0, end + 1);
}

} // namespace

Command tunnel_command(const SshRoute& route) {
    if (route.host.empty() || route.host.starts_with('-'))
        throw Error(fmt::format("deployment.targetHost \"{}\" is not a host name", route.host));
    Command command{{"ssh"}, {}};
    for (const std::string& word : ssh_configuration_option())
        command.argv.push_back(word);
    for (const char* option : {"BatchMode=yes", "ClearAllForwardings=yes", "ForwardAgent=no", "LogLevel=ERROR"})
        command.argv.insert(command.argv.end(), {"-o", option});
    if (route.ssh_port)
        command.argv.insert(command.argv.end(), {"-p", std::to_string(*route.ssh_port)});
    command.argv.insert(command.argv.end(), {"-W", fmt::format("localhost:{}", route.agent_port), "--", route.host});
    return command;
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
        const std::string words = trimmed(last_words(ssh));
        throw net::Unreachable(
            fmt::format("{} (by `{}`{}{})", error.what(), command.to_string(), words.empty() ? "" : ": ", words));
    }
}

} // namespace waggle::trigger
