// Output of a nix daemon: handshake, log messages, then each of the answers that we read.

#include "shared/nix/worker_connection.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace fuzz = waggle::fuzz;
namespace nix = waggle::nix;
using waggle::Fd;

namespace {

constexpr size_t max_input_bytes = 64 << 10; // which a socket holds without a reader
constexpr size_t max_paths = 1000;

void read_answers(Fd ours) {
    nix::WorkerConnection connection(std::move(ours), std::chrono::seconds(5));
    nix::BuildLog log([](std::string_view line) { fuzz::require(line.find('\n') == line.npos); });
    connection.set_listener(&log);
    fuzz::note_taken(); // the handshake
    connection.await_answer();
    const nix::StorePath path = nix::StorePath::parse("00000000000000000000000000000000-fuzz");
    for (;;) {
        switch (connection.reader().number(4, "a choice")) {
        case 0: connection.reader().path_info(path); break;
        case 1: connection.reader().paths(max_paths); break;
        case 2: connection.reader().string(max_paths); break;
        case 3: connection.reader().boolean(); break;
        default: connection.await_answer(); break;
        }
    }
}

} // namespace

FUZZ_TARGET(nix_worker_protocol) {
    std::array<int, 2> ends{};
    fuzz::require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    Fd ours(ends[0]);
    const Fd theirs(ends[1]);
    const std::string_view said = input.substr(0, max_input_bytes);
    fuzz::require(write(theirs.get(), said.data(), said.size()) == static_cast<ssize_t>(said.size()));
    shutdown(theirs.get(), SHUT_WR);
    const bool ended = fuzz::accepted([&] { read_answers(std::move(ours)); });
    fuzz::require(!ended); // it ends with the end of the stream, if nothing else
}
