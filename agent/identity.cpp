#include "agent/identity.hpp"

#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/file.hpp"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>

#include <chrono>
#include <string>

namespace waggle::agent {

namespace {

// The folder may not exist yet, or be mounted over: then no watch sees the file come.
constexpr std::chrono::seconds retry_interval{30};

// Returns when something changed in the folder, or after the interval.
void await_change(const std::filesystem::path& folder, const Interrupt& interrupt) {
    const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (watch)
        ::inotify_add_watch(watch.get(), folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_ATTRIB | IN_CREATE);
    pollfd fds[] = {{.fd = interrupt.fd(), .events = POLLIN, .revents = 0},
                    {.fd = watch.get(), .events = POLLIN, .revents = 0}}; // a negative fd is ignored
    ::poll(fds, 2, static_cast<int>(std::chrono::milliseconds(retry_interval).count()));
    interrupt.check();
}

} // namespace

ssh::PrivateKey await_identity(const std::filesystem::path& file, bool generate, const Interrupt& interrupt) {
    std::string last_problem;
    while (true) {
        try {
            if (generate && !std::filesystem::exists(std::filesystem::symlink_status(file))) {
                std::filesystem::create_directories(file.parent_path());
                const auto key = ssh::PrivateKey::generate();
                write_file_atomically(file, key.to_openssh("waggle-agent"), 0600);
                spdlog::info("made this node's key {} ({})", file.string(), key.public_key().fingerprint());
            }
            return ssh::PrivateKey::load(file);
        } catch (const std::exception& error) {
            if (error.what() != last_problem) {
                last_problem = error.what();
                spdlog::error("{}; waiting for this node's key, no other will be made", last_problem);
            }
        }
        await_change(file.parent_path(), interrupt);
    }
}

} // namespace waggle::agent
