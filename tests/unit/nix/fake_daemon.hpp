#pragma once

#include "shared/base/file.hpp"
#include "shared/nix/daemon.hpp"

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <thread>

namespace waggle::nix {

// A store path with this name and a hash made of one repeated character.
StorePath test_path(std::string_view name, char hash_character = '0');

// The wire's values, written independently of the code under test.
std::string wire(std::uint64_t number);
std::string wire(std::string_view text);
std::string wire(std::initializer_list<StorePath> paths);

inline constexpr std::uint64_t message_next = 0x6f6c6d67, message_last = 0x616c7473, message_error = 0x63787470,
                               message_start = 0x53545254, message_stop = 0x53544f50, message_result = 0x52534c54;

// What a daemon of protocol 1.`minor` sends before the first operation.
std::string handshake(unsigned minor);
std::string last(); // "the answer follows"
std::string error(std::string_view message, std::initializer_list<std::string_view> traces = {}); // an operation failed
std::string path_info(const PathInfo& info); // the answer to QueryPathInfo

// A Unix socket on which one connection is answered by a thread: with fixed bytes, or by a function.
class FakeDaemon {
public:
    // Whether a request is there as a whole, from all bytes the client has sent.
    using Complete = std::function<bool(const std::string& received)>;
    static bool has_request(const std::string& received) { return received.size() > 32; } // more than the greeting

    // Sends `greeting` at once and `answer` when the request is complete, and reads until the client closes.
    explicit FakeDaemon(std::string greeting, std::string answer = "", Complete complete = has_request);
    explicit FakeDaemon(std::function<void(const Fd&)> answer);
    FakeDaemon(const FakeDaemon&) = delete;
    FakeDaemon& operator=(const FakeDaemon&) = delete;
    ~FakeDaemon();

    std::filesystem::path socket() const { return folder_.path() / "socket"; }
    Daemon connect(std::chrono::milliseconds stall_timeout = std::chrono::seconds(10)) const;
    // All the client has sent; waits until it has closed. Not for a daemon that is a function.
    const std::string& received();

private:
    TemporaryFolder folder_{"waggle-nix-"};
    Fd listener_;
    std::string received_;
    std::thread thread_;
};

} // namespace waggle::nix
