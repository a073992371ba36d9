#pragma once

#include "shared/net/asio.hpp"
#include "shared/net/connection.hpp"
#include "shared/net/mailbox.hpp"

#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace waggle::net {

// An io_context and the one thread that runs it.
class IoThread {
public:
    IoThread();
    ~IoThread();

    asio::io_context& context() { return context_; }
    asio::io_context::executor_type executor() { return context_.get_executor(); }
    // Lets the thread end when nothing is left to do, and joins it.
    void finish();

private:
    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::thread thread_;
};

// One connection: WebSocket over TLS over TCP. Coroutines on the I/O thread set it up. After start() the I/O thread
// serves its mailbox, which other threads use.
class Link : public std::enable_shared_from_this<Link> {
public:
    Link(std::shared_ptr<IoThread> io, asio::ssl::context& tls, KeepAlive keep_alive);

    // For the I/O thread, before start(). The coroutines throw system_error.
    StreamSocket& socket() { return stream_.next_layer().next_layer(); }
    SSL* tls() { return stream_.next_layer().native_handle(); }
    void set_peer(std::string peer) { peer_ = std::move(peer); }
    // Closes the socket at `deadline`, unless close_at() or start() is called before.
    void close_at(Deadline deadline);
    bool deadline_passed() const { return deadline_passed_; }
    asio::awaitable<void> accept_tls();
    asio::awaitable<void> connect_tls();
    asio::awaitable<void> accept_web_socket(size_t max_message_bytes);
    asio::awaitable<void> connect_web_socket(size_t max_message_bytes);
    asio::awaitable<std::string> read_message();
    asio::awaitable<void> write_message(std::string message);
    asio::awaitable<void> close();

    // For the I/O thread. The connection is set up, and the mailbox is served from here on.
    void start(size_t max_message_bytes);

    // For any thread.
    Mailbox& mailbox() { return mailbox_; }
    const std::string& peer() const { return peer_; }

private:
    using Clock = std::chrono::steady_clock;

    void ask(Mailbox::Task task);
    void set_options(size_t max_message_bytes);
    asio::awaitable<void> read_messages(std::shared_ptr<Link> self);
    asio::awaitable<void> write_messages(std::shared_ptr<Link> self);
    void end(const error_code& error);
    void lose(const std::string& why);
    void close_socket();
    void arm();
    void tick();

    const std::shared_ptr<IoThread> io_; // first, because the members below need its io_context to the end
    const KeepAlive keep_alive_;
    WebSocket stream_;
    asio::steady_timer timer_; // the deadline until start(), then the ticks
    std::string peer_;
    bool deadline_passed_ = false;
    bool closed_ = false;
    bool pong_under_way_ = false;
    Clock::time_point last_heard_;
    Clock::time_point last_said_;
    std::optional<Clock::time_point> writing_since_;
    Mailbox mailbox_;
};

// The owner's end. Its destructor breaks the link.
class LinkConnection : public Connection {
public:
    explicit LinkConnection(std::shared_ptr<Link> link) : link_(std::move(link)) {}
    ~LinkConnection() override { link_->mailbox().abort(); }

    void send(std::string message, Deadline deadline) override;
    std::optional<std::string> receive(Deadline deadline) override { return link_->mailbox().receive(deadline); }
    void finish(Deadline deadline) noexcept override { link_->mailbox().finish(deadline); }
    void abort() noexcept override { link_->mailbox().abort(); }
    std::string peer() const override { return link_->peer(); }

private:
    std::shared_ptr<Link> link_;
};

} // namespace waggle::net
