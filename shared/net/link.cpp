#include "shared/net/link.hpp"

#include "shared/protocol/messages.hpp"

#include <fmt/format.h>

namespace waggle::net {
namespace {

constexpr size_t first_read_bytes = 1024;    // until a frame's header shows how much there is
constexpr size_t write_buffer_bytes = 65536; // Beast's default of 4 KiB halves the throughput

} // namespace

IoThread::IoThread() : work_(context_.get_executor()), thread_([this] { context_.run(); }) {}

IoThread::~IoThread() {
    finish();
}

void IoThread::finish() {
    work_.reset();
    if (thread_.joinable())
        thread_.join();
}

Link::Link(std::shared_ptr<IoThread> io, asio::ssl::context& tls, KeepAlive keep_alive)
    : io_(std::move(io)), keep_alive_(keep_alive), stream_(io_->context(), tls), timer_(io_->context()),
      mailbox_([this](Mailbox::Task task) { ask(task); }) {}

void Link::close_at(Deadline deadline) {
    deadline_passed_ = false;
    timer_.expires_at(deadline);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
        bool rearmed = self->timer_.expiry() > Clock::now(); // after this wait had already ended
        if (error || rearmed)
            return;
        self->deadline_passed_ = true;
        self->close_socket();
    });
}

asio::awaitable<void> Link::accept_tls() {
    co_await stream_.next_layer().async_handshake(asio::ssl::stream_base::server, asio::use_awaitable);
}

asio::awaitable<void> Link::connect_tls() {
    co_await stream_.next_layer().async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
}

asio::awaitable<void> Link::accept_web_socket(size_t max_message_bytes) {
    set_options(max_message_bytes);
    co_await stream_.async_accept(asio::use_awaitable);
}

asio::awaitable<void> Link::connect_web_socket(size_t max_message_bytes) {
    set_options(max_message_bytes);
    co_await stream_.async_handshake("waggle-agent", "/", asio::use_awaitable);
}

void Link::set_options(size_t max_message_bytes) {
    stream_.read_message_max(max_message_bytes);
    stream_.binary(true);
    stream_.auto_fragment(false); // one message, one frame
    stream_.write_buffer_bytes(write_buffer_bytes);
}

asio::awaitable<std::string> Link::read_message() {
    std::string message;
    size_t size = 0;
    do {
        message.resize(size + stream_.read_size_hint(first_read_bytes));
        auto room = asio::buffer(message.data() + size, message.size() - size);
        size += co_await stream_.async_read_some(room, asio::use_awaitable);
        last_heard_ = Clock::now();
    } while (!stream_.is_message_done());
    message.resize(size);
    co_return message;
}

asio::awaitable<void> Link::write_message(std::string message) {
    writing_since_ = Clock::now();
    co_await stream_.async_write(asio::buffer(message), asio::use_awaitable);
    writing_since_.reset();
    last_said_ = Clock::now();
}

asio::awaitable<void> Link::close() {
    co_await stream_.async_close(websocket::close_code::normal, asio::use_awaitable);
}

void Link::start(size_t max_message_bytes) {
    stream_.read_message_max(max_message_bytes);
    stream_.control_callback([this](websocket::frame_type, auto) { last_heard_ = Clock::now(); });
    last_heard_ = last_said_ = Clock::now();
    arm();
    asio::co_spawn(io_->context(), read_messages(shared_from_this()), asio::detached);
}

// Called on any thread, with the mailbox locked.
void Link::ask(Mailbox::Task task) {
    asio::post(io_->context(), [self = shared_from_this(), task] {
        if (task == Mailbox::Task::close) {
            self->close_socket();
        } else if (task == Mailbox::Task::write) {
            asio::co_spawn(self->io_->context(), self->write_messages(self), asio::detached);
        } else {
            self->last_heard_ = Clock::now(); // a pause in reading is not the peer's silence
            asio::co_spawn(self->io_->context(), self->read_messages(self), asio::detached);
        }
    });
}

asio::awaitable<void> Link::read_messages(std::shared_ptr<Link> self) {
    try {
        bool room = true;
        while (room) {
            std::string message = co_await self->read_message();
            room = self->mailbox_.deliver(std::move(message));
        }
    } catch (const system_error& error) {
        self->end(error.code());
    } catch (const std::exception& error) {
        self->lose(error.what());
    }
}

asio::awaitable<void> Link::write_messages(std::shared_ptr<Link> self) {
    try {
        Mailbox::Next next = self->mailbox_.next();
        while (next.message) {
            co_await self->write_message(std::move(*next.message));
            next = self->mailbox_.next();
        }
        if (next.close) {
            co_await self->close();
            self->end(websocket::error::closed);
        }
    } catch (const system_error& error) {
        self->end(error.code());
    } catch (const std::exception& error) {
        self->lose(error.what());
    }
}

void Link::end(const error_code& error) {
    auto code = stream_.reason().code;
    if (error == websocket::error::closed && code != websocket::close_code::normal &&
        code != websocket::close_code::none) {
        lose(fmt::format("{} ended the connection with the WebSocket close code {}", peer_,
                         static_cast<unsigned>(code)));
    } else if (error == websocket::error::closed) {
        mailbox_.end_orderly();
        close_socket();
    } else if (error == asio::error::eof || error == asio::ssl::error::stream_truncated) {
        lose(fmt::format("{} closed the connection in the middle of a message", peer_));
    } else {
        lose(fmt::format("the connection with {} was lost: {}", peer_, error.message()));
    }
}

void Link::lose(const std::string& why) {
    mailbox_.lose(why);
    close_socket();
}

void Link::close_socket() {
    error_code ignored;
    closed_ = true;
    timer_.cancel();
    socket().close(ignored);
}

void Link::arm() {
    timer_.expires_after(keep_alive_.tick);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
        if (!error && !self->closed_)
            self->tick();
    });
}

void Link::tick() {
    auto now = Clock::now();
    auto seconds = [](auto duration) { return std::chrono::duration<double>(duration).count(); };
    if (!mailbox_.reading())
        last_heard_ = now; // also from a request to read until reading begins
    else if (now - last_heard_ > keep_alive_.silence)
        return lose(fmt::format("no sign of life from {} for {} s", peer_, seconds(keep_alive_.silence)));
    if (writing_since_ && now - *writing_since_ > keep_alive_.stall)
        return lose(fmt::format("{} has not read a message in {} s", peer_, seconds(keep_alive_.stall)));
    if (!writing_since_ && !pong_under_way_ && now - last_said_ >= keep_alive_.tick) {
        pong_under_way_ = true;
        stream_.async_pong({}, [self = shared_from_this()](const error_code&) { // an error also shows in the reads
            self->pong_under_way_ = false;
            self->last_said_ = Clock::now();
        });
    }
    arm();
}

void LinkConnection::send(std::string message, Deadline deadline) {
    if (message.size() > protocol::max_message_bytes)
        throw Error(fmt::format("a message of {} bytes is too long to be sent", message.size()));
    link_->mailbox().send(std::move(message), deadline);
}

} // namespace waggle::net
