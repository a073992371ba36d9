#include "trigger/deploy/dialer.hpp"

#include "trigger/deploy/ssh_tunnel.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>

#include <array>

namespace waggle::trigger {

namespace {

constexpr auto goodbye_time = std::chrono::seconds(6); // a little more than an agent is given to answer a cancel

constexpr auto look_time = std::chrono::seconds(10); // at a node that is refused in any case

std::string wrong_key_sentence(const NodeAddress& address, const KnownNode& known, const ssh::PublicKey& observed) {
    std::vector<std::string> expected;
    for (const ssh::PublicKey& pin : known.keys)
        expected.push_back(pin.fingerprint());
    return fmt::format("{} shows the host key {}, but {} is expected ({}); nothing was signed or sent. Either another "
                       "machine answers at "
                       "that address, or the node was installed anew: compare with `ssh-keygen -lf "
                       "/etc/ssh/ssh_host_ed25519_key.pub` at its "
                       "console before you change {}. Secrets on the node are sealed for its old key: `waggle "
                       "upload-keys --on {}` then seals them for the new one",
                       *address.deployment.target_host, observed.fingerprint(), fmt::join(expected, " or "),
                       address.deployment.agent_host_key ? "deployment.agent.hostKey" : "known_hosts",
                       address.deployment.agent_host_key ? "it" : "the entry", address.name);
}

class Counted {
public:
    explicit Counted(std::atomic<int>& count) : count_(count) { ++count_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    ~Counted() { --count_; }

private:
    std::atomic<int>& count_;
};

} // namespace

Dialer::Dialer(const Interrupt& interrupt) : interrupt_(interrupt), watcher_([this] { watch(); }) {}

Dialer::~Dialer() {
    done_.request();
    watcher_.join();
}

Connect Dialer::connector(const NodeAddress& address, const KnownNode& known) {
    return [this, &address, &known](Deadline deadline) {
        const Counted counted(connecting_);
        interrupt_.check();
        try {
            const std::uint16_t port = address.deployment.agent_port;
            if (!address.deployment.agent_via_ssh)
                return client_.connect(known.destination.host, port, known.keys, deadline);
            const std::string& host = *address.deployment.target_host;
            return connect_through_ssh({host, address.deployment.target_port, port}, [&](Fd socket) {
                return client_.connect_over(std::move(socket), host, port, known.keys, deadline);
            });
        } catch (const net::WrongHostKey& error) {
            throw net::WrongHostKey(wrong_key_sentence(address, known, error.observed()), error.observed());
        }
    };
}

std::string Dialer::with_line_to_add(const std::string& refusal, const NodeAddress& address, const Pins& pins) {
    const auto found = pins.unknown.find(address.name);
    if (found == pins.unknown.end() || address.deployment.agent_via_ssh)
        return refusal;
    try {
        const Counted counted(connecting_);
        try_for_a_while(interrupt_, [&] {
            client_.connect(found->second.host, address.deployment.agent_port, {}, deadline_in(look_time));
        });
    } catch (const net::WrongHostKey& error) { // no key is the right one
        return refusal + "\n" + line_to_add(found->second, error.observed());
    } catch (const std::exception& error) {
        return fmt::format("{} (it could not be asked for its key: {})", refusal, error.what());
    }
    return refusal;
}

void Dialer::watch() {
    std::array<pollfd, 2> entries{pollfd{interrupt_.fd(), POLLIN, 0}, pollfd{done_.fd(), POLLIN, 0}};
    while (::poll(entries.data(), entries.size(), -1) < 0) { // a signal
    }
    const Deadline goodbye = deadline_in(goodbye_time);
    while (!done_.requested()) {
        if (connecting_ >= talking_ || std::chrono::steady_clock::now() >= goodbye)
            client_.abort_all();
        pollfd done{done_.fd(), POLLIN, 0};
        ::poll(&done, 1, 50);
    }
}

} // namespace waggle::trigger
