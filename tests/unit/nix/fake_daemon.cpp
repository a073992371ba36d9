#include "tests/unit/nix/fake_daemon.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/fd.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace waggle::nix {

namespace {

constexpr std::chrono::seconds patience{20};

// False at the end of the stream, also where a client closed with unread answers.
bool read_more(const Fd& fd, std::string& received) {
    std::array<std::byte, 65536> buffer;
    try {
        size_t count = read_some(fd, buffer, deadline_in(patience));
        received += as_text(std::span<const std::byte>(buffer).first(count));
        return count > 0;
    } catch (const SystemError&) {
        return false;
    }
}

} // namespace

StorePath test_path(std::string_view name, char hash_character) {
    return StorePath::parse(std::string(32, hash_character) + "-" + std::string(name));
}

std::string wire(std::uint64_t number) {
    std::string bytes(8, '\0');
    for (char& byte : bytes) {
        byte = static_cast<char>(number & 0xff);
        number >>= 8;
    }
    return bytes;
}

std::string wire(std::string_view text) {
    std::string bytes = wire(text.size()) + std::string(text);
    while (bytes.size() % 8 != 0)
        bytes += '\0';
    return bytes;
}

std::string wire(std::initializer_list<StorePath> paths) {
    std::string bytes = wire(paths.size());
    for (const StorePath& path : paths)
        bytes += wire(path.absolute());
    return bytes;
}

std::string handshake(unsigned minor) {
    std::string bytes = wire(0x6478696f) + wire(0x100 | minor);
    if (minor >= 33)
        bytes += wire("2.99.1");
    if (minor >= 35)
        bytes += wire(1); // trusted
    return bytes + last();
}

std::string last() {
    return wire(message_last);
}

std::string error(std::string_view message, std::initializer_list<std::string_view> traces) {
    std::string bytes =
        wire(message_error) + wire("Error") + wire(0) + wire("Error") + wire(message) + wire(0) + wire(traces.size());
    for (std::string_view trace : traces)
        bytes += wire(0) + wire(trace);
    return bytes;
}

std::string path_info(const PathInfo& info) {
    std::string bytes = wire(1) + wire(info.deriver ? info.deriver->absolute() : "") + wire(to_hex(info.nar_hash)) +
                        wire(info.references.size());
    for (const StorePath& reference : info.references)
        bytes += wire(reference.absolute());
    return bytes + wire(1600000000) + wire(info.nar_size) + wire(1) + wire(1) + wire("cache.example-1:c2ln") + wire("");
}

FakeDaemon::FakeDaemon(std::string greeting, std::string answer, Complete complete)
    : FakeDaemon([this, greeting = std::move(greeting), answer = std::move(answer), complete](const Fd& fd) {
          write_all(fd, greeting, deadline_in(patience));
          while (!complete(received_))
              if (!read_more(fd, received_))
                  return;
          write_all(fd, answer, deadline_in(patience));
          while (read_more(fd, received_)) {
          }
      }) {}

FakeDaemon::FakeDaemon(std::function<void(const Fd&)> answer) : listener_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string path = socket();
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 1) != 0)
        throw SystemError("listening");
    thread_ = std::thread([this, answer = std::move(answer)] {
        pollfd entry{listener_.get(), POLLIN, 0};
        if (::poll(&entry, 1, std::chrono::milliseconds(patience).count()) != 1)
            return;
        Fd connection(::accept(listener_.get(), nullptr, nullptr));
        try {
            answer(connection);
        } catch (const std::exception&) {
            return; // the client went away; what it made of that is what is tested
        }
    });
}

FakeDaemon::~FakeDaemon() {
    if (thread_.joinable())
        thread_.join();
}

Daemon FakeDaemon::connect(std::chrono::milliseconds stall_timeout) const {
    return Daemon::connect(socket(), stall_timeout);
}

const std::string& FakeDaemon::received() {
    thread_.join();
    return received_;
}

} // namespace waggle::nix
