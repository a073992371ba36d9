#include "shared/net/server.hpp"

#include "shared/base/bytes.hpp"
#include "shared/net/link.hpp"
#include "shared/net/socket.hpp"
#include "shared/net/tls.hpp"
#include "shared/protocol/messages.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <list>
#include <map>
#include <thread>
#include <variant>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace waggle::net {
namespace {

// While no further connection can be accepted (too many open files), the next try comes after this.
constexpr std::chrono::seconds accept_pause{1};

using Judgement = std::variant<protocol::Refused, Session>;

protocol::Refused refusal(const std::string& peer, std::string code, std::string message) {
    spdlog::info("refused {}: {}", peer, message);
    return {std::move(code), std::move(message)};
}

// Whether the hello opens a session (which then has no connection yet).
Judgement judge(const std::string& hello, const protocol::SessionExpectation& expected, const std::string& peer) {
    try {
        protocol::VerifiedHello verified = protocol::verify_hello(hello);
        protocol::HelloVerdict verdict = protocol::admit_hello(verified, expected);
        if (!verdict.admitted)
            return refusal(peer, verdict.code, verdict.message);
        return Session{nullptr, verified.operator_key, verified.hello.time, verdict.version, expected.exporter};
    } catch (const Error& error) {
        return refusal(peer, "bad-hello", error.what());
    }
}

} // namespace

// Everything but the handlers is on the I/O thread.
class Server::Impl {
public:
    Impl(ServerOptions options, const ssh::PrivateKey& host_key, SessionPolicy policy, Handler handler);
    ~Impl();

    std::uint16_t port() const { return port_; }

private:
    struct Door {
        asio::ip::tcp::acceptor acceptor;
        asio::steady_timer pause;
    };
    struct Connected {
        std::shared_ptr<Link> link;
        std::string source;
        std::thread session;  // once there is one
        bool leaving = false; // has made room for another
        std::optional<asio::executor_work_guard<asio::io_context::executor_type>> until_joined;
    };
    using Id = std::uint64_t;

    asio::awaitable<void> watch(Door& door);
    bool accept_one(Door& door);
    void admit(Accepted accepted);
    bool make_room();
    asio::awaitable<void> greet(Id id, std::shared_ptr<Link> link);
    protocol::Refused busy() const;
    bool begin_session(Id id, std::shared_ptr<Link> link, Session session);
    void run_handler(Id id, Session session) noexcept;
    void forget(Id id);
    void stop();

    const ServerOptions options_;
    const ssh::PublicKey host_key_;
    const SessionPolicy policy_;
    const Handler handler_;
    asio::ssl::context tls_;
    std::uint16_t port_ = 0;
    std::shared_ptr<IoThread> io_;
    std::list<Door> doors_;
    std::map<Id, Connected> connected_;
    Id next_id_ = 1;
    bool accept_problem_logged_ = false;
    bool stopping_ = false;
};

Server::Impl::Impl(ServerOptions options, const ssh::PrivateKey& host_key, SessionPolicy policy, Handler handler)
    : options_(std::move(options)), host_key_(host_key.public_key()), policy_(std::move(policy)),
      handler_(std::move(handler)), tls_(make_server_tls(host_key).release()) {
    std::vector<Listener> listeners = listen_on(options_.listen, options_.port);
    port_ = listeners.front().endpoint.port();
    io_ = std::make_shared<IoThread>();
    for (Listener& listener : listeners) {
        auto protocol = listener.endpoint.family() == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
        Door& door =
            doors_.emplace_back(Door{asio::ip::tcp::acceptor(io_->context()), asio::steady_timer(io_->context())});
        door.acceptor.assign(protocol, listener.fd.get());
        listener.fd.release();
    }
    asio::post(io_->context(), [this] {
        for (Door& door : doors_)
            asio::co_spawn(io_->context(), watch(door), asio::detached);
    });
}

Server::Impl::~Impl() {
    asio::post(io_->context(), [this] { stop(); });
    io_->finish(); // after the last session's handler has returned and its thread is joined
}

void Server::Impl::stop() {
    stopping_ = true;
    for (Door& door : doors_) {
        error_code ignored;
        door.acceptor.close(ignored);
        door.pause.cancel();
    }
    for (auto& [id, connected] : connected_)
        connected.link->mailbox().abort();
}

asio::awaitable<void> Server::Impl::watch(Door& door) {
    error_code error;
    while (!stopping_) {
        co_await door.acceptor.async_wait(asio::ip::tcp::acceptor::wait_read,
                                          asio::redirect_error(asio::use_awaitable, error));
        if (stopping_ || accept_one(door))
            continue;
        door.pause.expires_after(accept_pause);
        co_await door.pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
}

// False: it cannot be done now, and would fail again at once.
bool Server::Impl::accept_one(Door& door) {
    Accepted accepted = accept_from(door.acceptor.native_handle());
    if (accepted.problem != 0) {
        if (!std::exchange(accept_problem_logged_, true))
            spdlog::warn("no connection can be accepted: {}", std::strerror(accepted.problem));
        return false;
    }
    if (!accepted.fd)
        return true;
    accept_problem_logged_ = false;
    try {
        admit(std::move(accepted));
    } catch (const std::exception& error) {
        spdlog::warn("a connection cannot be served: {}", error.what());
    }
    return true;
}

void Server::Impl::admit(Accepted accepted) {
    std::string source = accepted.peer.source();
    auto from_source = std::ranges::count_if(connected_, [&](const auto& it) { return it.second.source == source; });
    if (static_cast<size_t>(from_source) >= options_.max_connections_per_address || !make_room()) {
        spdlog::debug("closed {}: too many connections", accepted.peer.to_string());
        return;
    }
    auto link = std::make_shared<Link>(io_, tls_, options_.keep_alive);
    link->set_peer(accepted.peer.to_string());
    auto protocol = accepted.peer.family() == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
    link->socket().assign(protocol, accepted.fd.get());
    accepted.fd.release();
    Id id = next_id_++;
    connected_.emplace(id, Connected{link, std::move(source), {}, false, {}});
    asio::co_spawn(io_->context(), greet(id, link), asio::detached);
}

// Where all places are taken, the connection that has gone longest without proving anything leaves: a flood of silent
// ones cannot keep an operator out, whose proof takes milliseconds. False: all of them are sessions.
bool Server::Impl::make_room() {
    auto staying = std::ranges::count_if(connected_, [](const auto& it) { return !it.second.leaving; });
    if (static_cast<size_t>(staying) < options_.max_connections)
        return true;
    for (auto& [id, connected] : connected_) { // ids grow: the oldest first
        if (connected.leaving || connected.session.joinable())
            continue;
        connected.leaving = true;
        connected.link->close_at(std::chrono::steady_clock::now());
        return true;
    }
    return false;
}

asio::awaitable<void> Server::Impl::greet(Id id, std::shared_ptr<Link> link) {
    bool in_session = false;
    try {
        link->close_at(deadline_in(options_.hello_timeout));
        link->socket().set_option(asio::ip::tcp::no_delay(true));
        co_await link->accept_tls();
        require_full_handshake(link->tls());
        co_await link->accept_web_socket(protocol::max_hello_bytes);
        protocol::SessionExpectation expected{exporter(link->tls()), random_bytes<32>(), policy_.hive,
                                              policy_.node,          host_key_,          policy_.operators()};
        co_await link->write_message(protocol::to_message(expected.nonce));
        std::string hello = co_await link->read_message();
        Judgement judgement = judge(hello, expected, link->peer());
        if (auto* session = std::get_if<Session>(&judgement)) {
            in_session = begin_session(id, link, std::move(*session));
            if (!in_session)
                judgement = busy();
        }
        if (auto* refused = std::get_if<protocol::Refused>(&judgement)) {
            co_await link->write_message(protocol::encode(*refused));
            co_await link->close();
        }
    } catch (const std::exception& error) {
        spdlog::debug("dropped {}: {}", link->peer(),
                      link->deadline_passed() ? "it has not said hello in time" : error.what());
    }
    if (!in_session)
        forget(id);
}

protocol::Refused Server::Impl::busy() const {
    return {"busy", fmt::format("this node serves no more than {} sessions: try again when one has ended",
                                options_.max_sessions)};
}

// False: there are too many.
bool Server::Impl::begin_session(Id id, std::shared_ptr<Link> link, Session session) {
    auto sessions = std::ranges::count_if(connected_, [](const auto& it) { return it.second.session.joinable(); });
    if (stopping_ || static_cast<size_t>(sessions) >= options_.max_sessions)
        return false;
    Connected& connected = connected_.at(id);
    session.connection = std::make_unique<LinkConnection>(link);
    try {
        connected.until_joined.emplace(io_->executor());
        connected.session = std::thread(&Impl::run_handler, this, id, std::move(session));
    } catch (const std::system_error& error) {
        spdlog::warn("starting a session's thread: {}", error.what());
        connected.until_joined.reset();
        return false;
    }
    link->start(protocol::max_message_bytes);
    return true;
}

void Server::Impl::run_handler(Id id, Session session) noexcept {
    std::string peer = session.connection->peer();
    try {
        handler_(std::move(session));
    } catch (const ConnectionLost& lost) {
        spdlog::info("session: {}", lost.what());
    } catch (const std::exception& error) {
        spdlog::error("the session with {} ended: {}", peer, error.what());
    }
    asio::post(io_->context(), [this, id] { forget(id); });
}

void Server::Impl::forget(Id id) {
    auto found = connected_.find(id);
    if (found == connected_.end())
        return;
    bool had_session = found->second.session.joinable();
    found->second.link->mailbox().abort();
    if (had_session)
        found->second.session.join(); // it has posted this as its last act
    connected_.erase(found);
#ifdef __GLIBC__
    if (had_session && connected_.empty())
        malloc_trim(0); // an idle agent is a small one
#endif
}

Server::Server(ServerOptions options, const ssh::PrivateKey& host_key, SessionPolicy policy, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(options), host_key, std::move(policy), std::move(handler))) {}

Server::~Server() = default;

std::uint16_t Server::port() const {
    return impl_->port();
}

} // namespace waggle::net
