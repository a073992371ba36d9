#include "shared/nix/worker_connection.hpp"

#include "shared/nix/daemon_error.hpp"
#include "shared/nix/plain_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace waggle::nix {

namespace {

constexpr std::uint64_t client_magic = 0x6e697863;
constexpr std::uint64_t server_magic = 0x6478696f;
constexpr std::uint64_t version(unsigned minor) {
    return 1 << 8 | minor;
}
// 1.35 is the lowest version that Lix supports. The later minor versions only add what we do not use.
constexpr unsigned newest_minor = 35;
constexpr unsigned oldest_minor = 32; // Nix 2.4
constexpr unsigned nix_version_since = 33;
constexpr unsigned trust_since = 35;

// Messages while an operation runs.
constexpr std::uint64_t stderr_next = 0x6f6c6d67;
constexpr std::uint64_t stderr_read = 0x64617461;
constexpr std::uint64_t stderr_write = 0x64617416;
constexpr std::uint64_t stderr_last = 0x616c7473;
constexpr std::uint64_t stderr_error = 0x63787470;
constexpr std::uint64_t stderr_start_activity = 0x53545254;
constexpr std::uint64_t stderr_stop_activity = 0x53544f50;
constexpr std::uint64_t stderr_result = 0x52534c54;

constexpr size_t max_version_bytes = 256;
constexpr size_t max_log_bytes = 1 << 20;
constexpr size_t max_fields = 64;
constexpr size_t max_traces = 1000;
constexpr size_t max_shown_error_bytes = 16 << 10;
constexpr size_t max_shown_log_bytes = 512;
constexpr size_t max_message_bytes = 16 << 10; // for a listener

// Nix puts this word before its messages. Our messages have their own context.
std::string_view without_error_prefix(std::string_view message) {
    while (message.starts_with("error: "))
        message.remove_prefix(7);
    return message;
}

std::string_view trimmed(std::string_view text) {
    size_t first = text.find_first_not_of(" \n\t");
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(" \n\t") - first + 1);
}

} // namespace

void WorkerConnection::shake_hands() {
    WireWriter greeting;
    greeting.number(client_magic);
    greeting.number(version(newest_minor));
    greeting.number(0); // CPU affinity, obsolete
    greeting.number(0); // reserve space, obsolete
    send(greeting.bytes());

    if (reader_.number() != server_magic)
        throw DaemonError("what answers there is not a nix daemon");
    std::uint64_t server = reader_.number();
    auto server_minor = static_cast<unsigned>(server & 0xff);
    if (server >> 8 != 1)
        throw DaemonError(
            fmt::format("the nix daemon speaks protocol {}.{}, and only 1.{} and later 1.x are understood", server >> 8,
                        server_minor, oldest_minor));
    if (server_minor < oldest_minor)
        throw DaemonError(fmt::format("the nix daemon speaks protocol 1.{}, and 1.{} is the oldest that is understood: "
                                      "upgrade Nix there to 2.4 or later",
                                      server_minor, oldest_minor));
    minor_ = std::min(newest_minor, server_minor);
    if (minor_ >= nix_version_since)
        nix_version_ = plain_text(reader_.string(max_version_bytes), max_version_bytes);
    if (minor_ >= trust_since)
        reader_.number(2, "trust"); // 0 unknown, 1 trusted, 2 not trusted; each operation reports a refusal itself
    await_answer();
}

void WorkerConnection::await_answer() {
    while (!take_message()) {
    }
}

void WorkerConnection::flush_before_answer() {
    channel_.flush();
    while (channel_.has_input())
        if (take_message())
            throw DaemonError("the nix daemon answered before it had everything");
}

// Returns true for the message that ends them.
bool WorkerConnection::take_message() {
    switch (std::uint64_t kind = reader_.number()) {
    case stderr_last: return true;
    case stderr_error: throw_error();
    case stderr_next: {
        const std::string text = reader_.string(max_log_bytes);
        last_log_line_ = trimmed(plain_text(text, max_shown_log_bytes));
        if (listener_ != nullptr)
            listener_->said(trimmed(plain_text(text, max_message_bytes)));
        return false;
    }
    case stderr_start_activity: take_activity(); return false;
    case stderr_stop_activity: {
        const std::uint64_t id = reader_.number();
        if (listener_ != nullptr)
            listener_->ends(id);
        return false;
    }
    case stderr_result: {
        const std::uint64_t id = reader_.number();
        const std::uint64_t type = reader_.number();
        const std::vector<std::string> fields = take_fields();
        if (listener_ != nullptr)
            listener_->result(id, type, fields);
        return false;
    }
    case stderr_read:
    case stderr_write:
        throw DaemonError("the nix daemon uses a way to transfer data that it has not used since protocol 1.23");
    default: throw DaemonError(fmt::format("the nix daemon sent a message of unknown kind {:#x}", kind));
    }
}

void WorkerConnection::take_activity() {
    const std::uint64_t id = reader_.number();
    const std::uint64_t level = reader_.number();
    const std::uint64_t type = reader_.number();
    std::string text = reader_.string(max_log_bytes);
    if (!text.empty())
        last_log_line_ = trimmed(plain_text(text, max_shown_log_bytes));
    const std::vector<std::string> fields = take_fields();
    reader_.number(); // parent
    if (listener_ != nullptr)
        listener_->begins(id, level, type, trimmed(plain_text(text, max_message_bytes)), fields);
}

std::vector<std::string> WorkerConnection::take_fields() {
    std::vector<std::string> fields;
    for (std::uint64_t left = reader_.number(max_fields, "the number of fields"); left > 0; --left) {
        if (reader_.number(1, "a field's type") == 0) {
            reader_.number();
            fields.emplace_back();
        } else {
            fields.push_back(reader_.string(max_log_bytes));
        }
    }
    return fields;
}

void WorkerConnection::throw_error() {
    reader_.string(max_version_bytes); // "Error"
    reader_.number();                  // level
    reader_.string(max_log_bytes);     // name, "Error"
    std::string message = plain_text(reader_.string(max_log_bytes), max_shown_error_bytes);
    reader_.number(0, "a position"); // of no file
    std::string traces;
    for (std::uint64_t left = reader_.number(max_traces, "the number of traces"); left > 0; --left) {
        reader_.number(0, "a position");
        std::string trace = reader_.string(max_log_bytes);
        if (traces.size() < max_shown_error_bytes)
            traces += fmt::format("\n{}", trimmed(plain_text(trace, max_shown_log_bytes)));
    }
    throw OperationFailed(fmt::format("{}{}", trimmed(without_error_prefix(trimmed(message))), traces));
}

} // namespace waggle::nix
