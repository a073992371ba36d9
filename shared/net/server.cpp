#include "shared/net/server.hpp"

#include "shared/base/bytes.hpp"
#include "shared/net/link.hpp"
#include "shared/net/places.hpp"
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

// If no connection can be accepted (too many open files), the next attempt comes after this pause.
constexpr std::chrono::seconds accept_pause{1};

// How many connections without a session may have begun a handshake, for each place. Some of them make room but have
// time left.
constexpr size_t talking_per_place = 2;

using Judgement = std::variant<protocol::Refused, OperatorSession>;

protocol::Refused refusal(const std::string& peer, std::string code, std::string message) {
    spdlog::info("refused {}: {}", peer, message);
    return {std::move(code), std::move(message)};
}

// Decides whether the hello opens a session (which then has no connection yet).
Judgement judge(const std::string& hello, const protocol::SessionExpectation& expected, const std::string& peer) {
    try {
        protocol::VerifiedHello verified = protocol::verify_hello(hello);
        protocol::HelloVerdict verdict = protocol::admit_hello(verified, expected);
        if (!verdict.admitted)
            return refusal(peer, verdict.code, verdict.message);
        return OperatorSession{nullptr, verified.operator_key, verified.hello.time, verdict.version, expected.exporter};
    } catch (const Error& error) {
        return refusal(peer, "bad-hello", error.what());
    }
}

} // namespace

// A connection that has not sent a byte yet. It costs a socket, and no TLS.
class Silent : public std::enable_shared_from_this<Silent> {
public:
    Silent(asio::io_context& context, Accepted& accepted) : socket_(context), timer_(context) {
        socket_.assign(accepted.peer.family() == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(),
                       accepted.fd.get());
        accepted.fd.release();
    }

    StreamSocket& socket() { return socket_; }

    // Closes the socket at `deadline`, unless the socket was taken or this is called again before.
    void close_at(Deadline deadline) {
        timer_.expires_at(deadline);
        timer_.async_wait([self = shared_from_this()](const error_code& error) {
            if (!error && self->timer_.expiry() <= std::chrono::steady_clock::now())
                self->close();
        });
    }
    void close() {
        error_code ignored;
        timer_.cancel();
        socket_.close(ignored);
    }
    Deadline deadline() const { return timer_.expiry(); }
    // Whether a byte is ready to be read. False if the peer has closed.
    bool has_spoken() {
        char byte = 0;
        return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    }
    // Also cancels the deadline.
    StreamSocket take_socket() {
        timer_.cancel();
        return std::move(socket_);
    }

private:
    StreamSocket socket_;
    asio::steady_timer timer_;
};

// Everything but the handlers runs on the I/O thread.
class Server::Impl {
public:
    Impl(std::vector<Listener> listeners, ServerOptions options, const ssh::PrivateKey& host_key, SessionPolicy policy,
         Handler handler);
    ~Impl();

    std::uint16_t port() const { return port_; }

private:
    struct Door {
        asio::ip::tcp::acceptor acceptor;
        asio::steady_timer pause;
    };
    struct Connected {
        std::shared_ptr<Silent> silent; // until the peer has sent something
        std::shared_ptr<Link> link;     // from then on
        std::string source;
        std::chrono::steady_clock::time_point began;
        std::thread session;  // once there is one
        bool leaving = false; // makes room for another

        void close_at(Deadline deadline) const { silent ? silent->close_at(deadline) : link->close_at(deadline); }
        void abort() const { silent ? silent->close() : link->mailbox().abort(); }
        std::optional<asio::executor_work_guard<asio::io_context::executor_type>> until_joined;
    };
    using Id = ConnectionId;

    asio::awaitable<void> watch(Door& door);
    bool accept_one(Door& door);
    void admit(Accepted accepted);
    bool make_room_for(const std::string& source);
    std::vector<Unproven> unproven(bool with_silent) const;
    std::shared_ptr<Link> make_link(Id id, const std::string& peer);
    asio::awaitable<void> serve(Id id, std::shared_ptr<Silent> silent, std::string peer);
    asio::awaitable<bool> greet(Id id, std::shared_ptr<Link> link);
    protocol::Refused busy() const;
    bool begin_session(Id id, std::shared_ptr<Link> link, OperatorSession session);
    void run_handler(Id id, OperatorSession session) noexcept;
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

Server::Impl::Impl(std::vector<Listener> listeners, ServerOptions options, const ssh::PrivateKey& host_key,
                   SessionPolicy policy, Handler handler)
    : options_(std::move(options)), host_key_(host_key.public_key()), policy_(std::move(policy)),
      handler_(std::move(handler)), tls_(make_server_tls(host_key).release()) {
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
        connected.abort();
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

// Returns false if accepting fails and would fail again at once.
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
    std::string peer = accepted.peer.to_string();
    if (!make_room_for(source)) {
        spdlog::debug("closed {}: too many connections", peer);
        return;
    }
    auto silent = std::make_shared<Silent>(io_->context(), accepted);
    silent->close_at(deadline_in(options_.hello_timeout));
    Id id = next_id_++;
    connected_.emplace(id,
                       Connected{silent, nullptr, std::move(source), std::chrono::steady_clock::now(), {}, false, {}});
    asio::co_spawn(io_->context(), serve(id, std::move(silent), std::move(peer)), asio::detached);
}

// Returns false if there is no room.
bool Server::Impl::make_room_for(const std::string& source) {
    const PlaceLimits limits{options_.max_connections, options_.max_connections_per_address, options_.max_leaving,
                             options_.least_lifetime};
    auto sessions = std::ranges::count_if(connected_, [](const auto& it) { return it.second.session.joinable(); });
    const Room room =
        make_room(unproven(true), static_cast<size_t>(sessions), source, limits, std::chrono::steady_clock::now());
    for (const Room::Leave& leave : room.leaves) {
        Connected& connected = connected_.at(leave.id);
        connected.leaving = true;
        connected.close_at(std::min<Deadline>(leave.at, connected.began + options_.hello_timeout));
    }
    return room.admitted;
}

std::vector<Unproven> Server::Impl::unproven(bool with_silent) const {
    std::vector<Unproven> found;
    for (const auto& [id, connected] : connected_)
        if (!connected.session.joinable() && (with_silent || connected.link))
            found.push_back({id, connected.source, connected.began, connected.leaving});
    return found;
}

// Makes the link of a connection that has sent something. Returns null if there are too many such connections and no
// source has more of them than its own.
std::shared_ptr<Link> Server::Impl::make_link(Id id, const std::string& peer) {
    Connected& connected = connected_.at(id);
    const std::vector<Unproven> talking = unproven(false);
    if (talking.size() >= talking_per_place * options_.max_connections) {
        const auto leaves = oldest_of_the_greediest(talking, connected.source);
        if (!leaves)
            return nullptr;
        connected_.at(*leaves).leaving = true;
        connected_.at(*leaves).close_at(std::chrono::steady_clock::now());
    }
    auto link = std::make_shared<Link>(io_, tls_, options_.keep_alive);
    link->set_peer(peer);
    link->close_at(connected.silent->deadline());
    link->socket() = connected.silent->take_socket();
    connected.link = link;
    connected.silent.reset();
    return link;
}

asio::awaitable<void> Server::Impl::serve(Id id, std::shared_ptr<Silent> silent, std::string peer) {
    error_code error;
    co_await silent->socket().async_wait(StreamSocket::wait_read, asio::redirect_error(asio::use_awaitable, error));
    std::shared_ptr<Link> link;
    if (!error && !stopping_ && silent->socket().is_open() && silent->has_spoken())
        link = make_link(id, peer);
    if (!link) {
        spdlog::debug("dropped {}: it sent nothing in time, or other connections sent more", peer);
        silent->close();
        forget(id);
        co_return;
    }
    silent.reset();
    const bool in_session = co_await greet(id, link);
    if (!in_session)
        forget(id);
}

// Returns whether it has become a session.
asio::awaitable<bool> Server::Impl::greet(Id id, std::shared_ptr<Link> link) {
    bool in_session = false;
    try {
        link->socket().set_option(asio::ip::tcp::no_delay(true));
        co_await link->accept_tls();
        require_full_handshake(link->tls());
        co_await link->accept_web_socket(protocol::max_hello_bytes);
        protocol::SessionExpectation expected{exporter(link->tls()), random_bytes<32>(), policy_.hive,
                                              policy_.node,          host_key_,          policy_.operators()};
        co_await link->write_message(protocol::to_message(expected.nonce));
        std::string hello = co_await link->read_message();
        Judgement judgement = judge(hello, expected, link->peer());
        if (auto* session = std::get_if<OperatorSession>(&judgement)) {
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
                      link->deadline_passed() ? "it did not send its hello in time" : error.what());
    }
    co_return in_session;
}

protocol::Refused Server::Impl::busy() const {
    return {"busy", fmt::format("this node serves no more than {} sessions: try again when one has ended",
                                options_.max_sessions)};
}

// Returns false if there are too many sessions.
bool Server::Impl::begin_session(Id id, std::shared_ptr<Link> link, OperatorSession session) {
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

void Server::Impl::run_handler(Id id, OperatorSession session) noexcept {
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
    found->second.abort();
    if (had_session)
        found->second.session.join(); // posting this was its last act
    connected_.erase(found);
#ifdef __GLIBC__
    if (had_session && connected_.empty())
        malloc_trim(0); // keeps an idle agent small
#endif
}

Server::Server(ServerOptions options, const ssh::PrivateKey& host_key, SessionPolicy policy, Handler handler)
    : Server(listen_on(options.listen, options.port), options, host_key, std::move(policy), std::move(handler)) {}

Server::Server(std::vector<Listener> listeners, ServerOptions options, const ssh::PrivateKey& host_key,
               SessionPolicy policy, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(listeners), std::move(options), host_key, std::move(policy),
                                   std::move(handler))) {}

Server::~Server() = default;

std::uint16_t Server::port() const {
    return impl_->port();
}

} // namespace waggle::net
