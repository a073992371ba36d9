#include "trigger/connect/dialer.hpp"

#include "trigger/base/interrupt_on_signals.hpp"
#include "trigger/connect/ssh_tunnel.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>

#include <array>
#include <exception>
#include <functional>

namespace waggle::trigger {

namespace {

// A cancel waits up to 3 s for an answer, in each of two sessions.
constexpr auto goodbye_time = std::chrono::seconds(8);

constexpr auto look_time = std::chrono::seconds(10); // for a node that is refused in any case

// One host and port at which an agent may answer.
struct Way {
    const SshDestination* destination = nullptr;
    const std::string* host = nullptr; // as in the hive
    std::uint16_t port = 0;
};

std::vector<Way> ways_to(const NodeAddress& address, const KnownNode& known) {
    const auto& deployment = address.deployment;
    std::vector<std::uint16_t> ports{deployment.agent_port};
    ports.insert(ports.end(), deployment.other_ports.begin(), deployment.other_ports.end());
    std::vector<Way> ways;
    const auto add = [&](const SshDestination& destination, const std::string& host) {
        for (const std::uint16_t port : ports)
            ways.push_back({&destination, &host, port});
    };
    add(known.destination, deployment.require_target_host());
    for (size_t i = 0; i < known.others.size(); ++i)
        add(known.others[i], deployment.other_hosts[i]);
    return ways;
}

std::string wrong_key_sentence(const std::string& host, const NodeAddress& address, const KnownNode& known,
                               const ssh::PublicKey& observed) {
    std::vector<std::string> expected;
    for (const ssh::PublicKey& pin : known.keys)
        expected.push_back(pin.fingerprint());
    return fmt::format("{} shows the host key {}, but {} is expected ({}); nothing was signed or sent. Either another "
                       "machine answers at "
                       "that address, or the node was reinstalled: compare with `ssh-keygen -lf "
                       "/etc/ssh/ssh_host_ed25519_key.pub` at its "
                       "console before you change {}. Secrets on the node are sealed for its old key: `waggle "
                       "upload-keys --on {}` then seals them for the new one",
                       host, observed.fingerprint(), fmt::join(expected, " or "),
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

net::NodeConnection try_ways(size_t count, size_t& last, Deadline deadline,
                             const std::function<net::NodeConnection(size_t, Deadline)>& connect) {
    std::exception_ptr wrong_key;
    std::exception_ptr turned_away;
    std::vector<std::string> problems;
    const size_t first = last;
    for (size_t tried = 0; tried < count; ++tried) {
        const size_t way = (first + tried) % count;
        const auto now = std::chrono::steady_clock::now();
        try {
            auto connection = connect(way, now + (deadline - now) / static_cast<long>(count - tried));
            last = way;
            return connection;
        } catch (const net::WrongHostKey&) {
            if (!wrong_key)
                wrong_key = std::current_exception();
        } catch (const net::TurnedAway&) {
            if (!turned_away)
                turned_away = std::current_exception();
        } catch (const net::Unreachable& error) {
            problems.emplace_back(error.what());
        }
    }
    for (const auto& failure : {wrong_key, turned_away})
        if (failure)
            std::rethrow_exception(failure);
    throw net::Unreachable(fmt::format("{}", fmt::join(problems, "; ")));
}

Dialer::Dialer(const Interrupt& interrupt) : interrupt_(interrupt), watcher_([this] { watch(); }) {}

Dialer::~Dialer() {
    done_.request();
    watcher_.join();
}

Connect Dialer::connector(const NodeAddress& address, const KnownNode& known) {
    const auto connect_by = [this, &address, &known](const Way& way, Deadline deadline) {
        try {
            if (!address.deployment.agent_via_ssh)
                return client_.connect(way.destination->host, way.port, known.keys, deadline);
            return connect_through_ssh({*way.host, address.deployment.target_port, way.port}, [&](Fd socket) {
                return client_.connect_over(std::move(socket), *way.host, way.port, known.keys, deadline);
            });
        } catch (const net::WrongHostKey& error) {
            throw net::WrongHostKey(wrong_key_sentence(*way.host, address, known, error.observed()), error.observed());
        }
    };
    return [this, connect_by, ways = ways_to(address, known), last = size_t{0}](Deadline deadline) mutable {
        const Counted counted(connecting_);
        return try_ways(ways.size(), last, deadline,
                        [&](size_t i, Deadline share) { return connect_by(ways[i], share); });
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
    } catch (const net::WrongHostKey& error) { // expected, because it accepts no key
        return refusal + "\n" + line_to_add(found->second, error.observed());
    } catch (const std::exception& error) {
        return fmt::format("{} (its key could not be queried: {})", refusal, error.what());
    }
    return refusal;
}

void Dialer::watch() {
    std::array<pollfd, 2> entries{pollfd{interrupt_.fd(), POLLIN, 0}, pollfd{done_.fd(), POLLIN, 0}};
    while (::poll(entries.data(), entries.size(), -1) < 0) { // interrupted by a signal
    }
    Deadline goodbye = deadline_in(goodbye_time);
    while (!done_.requested()) {
        if (Finishing::count() > 0 && !Finishing::asked_to_leave())
            goodbye = deadline_in(goodbye_time); // the connections are still needed
        else if (connecting_ >= active_ || std::chrono::steady_clock::now() >= goodbye)
            client_.abort_all();
        pollfd done{done_.fd(), POLLIN, 0};
        ::poll(&done, 1, 50);
    }
}

} // namespace waggle::trigger
