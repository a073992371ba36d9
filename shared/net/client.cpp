#include "shared/net/client.hpp"

#include "shared/net/link.hpp"
#include "shared/net/resolve.hpp"
#include "shared/net/tls.hpp"
#include "shared/protocol/messages.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <mutex>

namespace waggle::net {
namespace {

// A node as the operator named it.
struct Target {
    std::string host;
    std::uint16_t port = 0;

    // Returns "alpha (10.83.1.2)", or the address alone if that is the name.
    std::string at(const std::string& addresses) const {
        return host == addresses ? host : fmt::format("{} ({})", host, addresses);
    }
};

struct Attempt {
    std::string address;
    error_code error; // of the TCP connection
};

Unreachable why_unreachable(const Target& target, const std::vector<Attempt>& attempts) {
    std::vector<std::string> addresses;
    std::vector<std::string> each;
    for (const Attempt& attempt : attempts) {
        addresses.push_back(attempt.address);
        each.push_back(fmt::format("{}: {}", attempt.address, attempt.error.message()));
    }
    auto all_are = [&](const error_code& error) {
        return std::ranges::all_of(attempts, [&](const Attempt& attempt) { return attempt.error == error; });
    };
    std::string node = target.at(fmt::format("{}", fmt::join(addresses, ", ")));
    if (all_are(asio::error::connection_refused))
        return Unreachable(fmt::format(
            "nothing listens on port {} of {}: is waggle-agent running, and the firewall open?", target.port, node));
    if (all_are(asio::error::timed_out))
        return Unreachable(fmt::format(
            "no answer from port {} of {}: is the node up, and does a firewall drop the port?", target.port, node));
    return Unreachable(
        fmt::format("port {} of {} cannot be reached ({})", target.port, target.host, fmt::join(each, "; ")));
}

Unreachable not_an_agent(const Target& target, const std::string& address, const std::string& what,
                         const std::exception& cause) {
    return Unreachable(fmt::format("what answers on port {} of {} is not a waggle agent ({}: {})", target.port,
                                   target.at(address), what, cause.what()));
}

Unreachable not_answering(const Target& target, const std::string& address) {
    return Unreachable(fmt::format("port {} of {} is open, but no answer came in time: is waggle-agent overloaded?",
                                   target.port, target.at(address)));
}

TurnedAway closed_at_once(const Target& target, const std::string& address) {
    return TurnedAway(fmt::format("{} closed the connection to port {} at once: it has too many of them, or is not a "
                                  "waggle agent",
                                  target.at(address), target.port));
}

bool is_closed_by_peer(const error_code& error) {
    return error == asio::error::eof || error == asio::error::connection_reset || error == asio::error::broken_pipe ||
           error == asio::ssl::error::stream_truncated;
}

void require_pinned(const Target& target, const ssh::PublicKey& shown, const std::vector<ssh::PublicKey>& pins) {
    if (std::ranges::find(pins, shown) != pins.end())
        return;
    std::vector<std::string> expected;
    for (const ssh::PublicKey& pin : pins)
        expected.push_back(pin.fingerprint());
    throw WrongHostKey(
        fmt::format("{} shows the host key {}, but {} is pinned: it is another machine, or has a new key", target.host,
                    shown.fingerprint(), expected.empty() ? "none" : fmt::format("{}", fmt::join(expected, " or "))),
        shown);
}

} // namespace

class Client::Impl {
public:
    explicit Impl(KeepAlive keep_alive) : keep_alive_(keep_alive), tls_(make_client_tls().release()) {}
    ~Impl();

    NodeConnection connect(const std::string& host, std::uint16_t port, const std::vector<ssh::PublicKey>& pins,
                           Deadline deadline);
    NodeConnection connect_over(Fd socket, const std::string& host, std::uint16_t port,
                                const std::vector<ssh::PublicKey>& pins, Deadline deadline);
    void abort_all() noexcept;

private:
    using Pins = std::vector<ssh::PublicKey>;
    struct Proof {
        ssh::PublicKey node_key;
        protocol::Exporter exporter;
    };

    // The result of a connect, for the thread that waits for it. (Copies of an exception share its text through a
    // reference count that the thread sanitizer cannot see.)
    struct Opened {
        std::unique_ptr<NodeConnection> node; // null: the members below give the reason
        std::string problem;
        std::optional<ssh::PublicKey> wrong_key;
        bool aborted = false;
        bool turned_away = false;

        void set_problem(); // from the current exception, in a catch block
    };

    std::vector<Endpoint> resolve(const Target& target, Deadline deadline);
    asio::awaitable<Opened> try_to_open(Target target, std::vector<Endpoint> endpoints, Pins pins, Deadline deadline);
    asio::awaitable<std::unique_ptr<NodeConnection>> open(Target target, std::vector<Endpoint> endpoints, Pins pins,
                                                          Deadline deadline);
    asio::awaitable<Opened> try_to_greet(std::shared_ptr<Link> link, Target target, Pins pins);
    static NodeConnection take(Opened opened);
    asio::awaitable<error_code> open_tcp(std::shared_ptr<Link> link, Endpoint endpoint);
    asio::awaitable<Proof> greet(std::shared_ptr<Link> link, Target target, std::string address, Pins pins);
    std::shared_ptr<Link> new_link();
    void throw_if_aborted();

    const KeepAlive keep_alive_;
    asio::ssl::context tls_;
    Resolver resolver_;
    std::mutex mutex_;
    std::vector<std::weak_ptr<Link>> links_; // guarded by the mutex, as is aborted_
    bool aborted_ = false;
    std::shared_ptr<IoThread> io_ = std::make_shared<IoThread>();
};

Client::Impl::~Impl() {
    abort_all();
    io_->finish();
}

void Client::Impl::abort_all() noexcept {
    resolver_.cancel_all();
    std::lock_guard guard(mutex_);
    aborted_ = true;
    for (const auto& weak : links_)
        if (auto link = weak.lock())
            link->mailbox().abort();
}

void Client::Impl::throw_if_aborted() {
    std::lock_guard guard(mutex_);
    if (aborted_)
        throw ConnectionLost("connecting was cancelled");
}

// Makes a link that abort_all() reaches.
std::shared_ptr<Link> Client::Impl::new_link() {
    auto link = std::make_shared<Link>(io_, tls_, keep_alive_);
    std::lock_guard guard(mutex_);
    if (aborted_)
        throw ConnectionLost("connecting was cancelled");
    std::erase_if(links_, [](const auto& weak) { return weak.expired(); });
    links_.push_back(link);
    return link;
}

NodeConnection Client::Impl::connect(const std::string& host, std::uint16_t port, const Pins& pins, Deadline deadline) {
    Target target{host, port};
    std::vector<Endpoint> endpoints = resolve(target, deadline);
    throw_if_aborted();
    auto opening = try_to_open(target, std::move(endpoints), pins, deadline);
    return take(asio::co_spawn(io_->context(), std::move(opening), asio::use_future).get());
}

NodeConnection Client::Impl::connect_over(Fd socket, const std::string& host, std::uint16_t port, const Pins& pins,
                                          Deadline deadline) {
    std::shared_ptr<Link> link = new_link();
    link->set_peer(fmt::format("{} through ssh", host));
    link->socket().assign(asio::generic::stream_protocol(AF_UNIX, 0), socket.get());
    socket.release();
    asio::post(io_->context(), [link, deadline] { link->close_at(deadline); });
    auto greeting = try_to_greet(link, {host, port}, pins);
    return take(asio::co_spawn(io_->context(), std::move(greeting), asio::use_future).get());
}

// Returns the connection, or throws the problem that the attempt ended with.
NodeConnection Client::Impl::take(Opened opened) {
    if (opened.node)
        return std::move(*opened.node);
    if (opened.aborted)
        throw ConnectionLost(opened.problem);
    if (opened.wrong_key)
        throw WrongHostKey(opened.problem, *opened.wrong_key);
    if (opened.turned_away)
        throw TurnedAway(opened.problem);
    throw Unreachable(opened.problem);
}

std::vector<Endpoint> Client::Impl::resolve(const Target& target, Deadline deadline) {
    try {
        return resolver_.resolve(target.host, target.port, deadline);
    } catch (const Interrupted&) {
        throw ConnectionLost("connecting was cancelled");
    } catch (const Error& error) {
        throw Unreachable(fmt::format("the name {} does not resolve to an address: {}", target.host, error.what()));
    }
}

asio::awaitable<Client::Impl::Opened> Client::Impl::try_to_open(Target target, std::vector<Endpoint> endpoints,
                                                                Pins pins, Deadline deadline) {
    Opened opened;
    try {
        opened.node = co_await open(target, endpoints, pins, deadline);
    } catch (...) {
        opened.set_problem();
    }
    co_return opened;
}

asio::awaitable<Client::Impl::Opened> Client::Impl::try_to_greet(std::shared_ptr<Link> link, Target target, Pins pins) {
    Opened opened;
    auto connection = std::make_unique<LinkConnection>(link); // breaks the link unless it is handed out
    try {
        Proof proof = co_await greet(link, target, link->peer(), pins);
        opened.node =
            std::make_unique<NodeConnection>(NodeConnection{std::move(connection), proof.node_key, proof.exporter});
    } catch (...) {
        opened.set_problem();
    }
    co_return opened;
}

void Client::Impl::Opened::set_problem() {
    try {
        throw;
    } catch (const WrongHostKey& error) {
        problem = error.what();
        wrong_key = error.observed();
    } catch (const ConnectionLost& error) {
        problem = error.what();
        aborted = true;
    } catch (const TurnedAway& error) {
        problem = error.what();
        turned_away = true;
    } catch (const std::exception& error) {
        problem = error.what();
    }
}

// Each address gets an equal share of the remaining time.
asio::awaitable<std::unique_ptr<NodeConnection>> Client::Impl::open(Target target, std::vector<Endpoint> endpoints,
                                                                    Pins pins, Deadline deadline) {
    std::vector<Attempt> attempts;
    for (size_t i = 0; i < endpoints.size(); ++i) {
        auto now = std::chrono::steady_clock::now();
        auto share = (deadline - now) / static_cast<std::int64_t>(endpoints.size() - i);
        std::shared_ptr<Link> link = new_link();
        auto connection = std::make_unique<LinkConnection>(link); // breaks the link unless it is handed out
        link->close_at(now + share);
        error_code error = co_await open_tcp(link, endpoints[i]);
        throw_if_aborted();
        if (!error) {
            link->close_at(deadline);
            Proof proof = co_await greet(link, target, endpoints[i].address(), pins);
            co_return std::make_unique<NodeConnection>(
                NodeConnection{std::move(connection), proof.node_key, proof.exporter});
        }
        attempts.push_back({endpoints[i].address(), link->deadline_passed() ? asio::error::timed_out : error});
    }
    throw why_unreachable(target, attempts);
}

asio::awaitable<error_code> Client::Impl::open_tcp(std::shared_ptr<Link> link, Endpoint endpoint) {
    asio::ip::tcp::endpoint address;
    std::memcpy(address.data(), &endpoint.storage, endpoint.length);
    address.resize(endpoint.length);
    link->set_peer(endpoint.to_string());
    error_code error;
    try {
        Fd fd = open_tcp_socket(endpoint.family());
        link->socket().assign(address.protocol(), fd.get());
        fd.release();
    } catch (const SystemError& problem) { // for instance, there is no IPv6
        co_return error_code(problem.error_number(), boost::system::system_category());
    }
    co_await link->socket().async_connect(address, asio::redirect_error(asio::use_awaitable, error));
    if (!error)
        link->socket().set_option(asio::ip::tcp::no_delay(true), error);
    co_return error;
}

asio::awaitable<Client::Impl::Proof> Client::Impl::greet(std::shared_ptr<Link> link, Target target, std::string address,
                                                         Pins pins) {
    const char* phase = "TLS";
    try {
        co_await link->connect_tls();
        require_full_handshake(link->tls());
        ssh::PublicKey key = peer_key(link->tls());
        require_pinned(target, key, pins);
        phase = "WebSocket";
        co_await link->connect_web_socket(protocol::max_message_bytes);
        Proof proof{key, exporter(link->tls())};
        link->start(protocol::max_message_bytes);
        co_return proof;
    } catch (const WrongHostKey&) {
        throw;
    } catch (const system_error& error) {
        throw_if_aborted();
        if (link->deadline_passed())
            throw not_answering(target, address);
        if (is_closed_by_peer(error.code()))
            throw closed_at_once(target, address);
        throw not_an_agent(target, address, phase, error);
    } catch (const Error& error) {
        throw not_an_agent(target, address, phase, error);
    }
}

Client::Client(KeepAlive keep_alive) : impl_(std::make_unique<Impl>(keep_alive)) {}

Client::~Client() = default;

NodeConnection Client::connect(const std::string& host, std::uint16_t port, const std::vector<ssh::PublicKey>& pins,
                               Deadline deadline) {
    return impl_->connect(host, port, pins, deadline);
}

NodeConnection Client::connect_over(Fd socket, const std::string& host, std::uint16_t port,
                                    const std::vector<ssh::PublicKey>& pins, Deadline deadline) {
    return impl_->connect_over(std::move(socket), host, port, pins, deadline);
}

void Client::abort_all() noexcept {
    impl_->abort_all();
}

} // namespace waggle::net
