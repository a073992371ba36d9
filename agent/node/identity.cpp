#include "agent/node/identity.hpp"

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

// The folder may not exist yet or may be mounted over later. The watch then does not notice the file.
constexpr std::chrono::seconds retry_interval{30};

// Watches the folder from construction on.
class FolderWatch {
public:
    explicit FolderWatch(const std::filesystem::path& folder) : watch_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
        if (watch_)
            ::inotify_add_watch(watch_.get(), folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_ATTRIB);
    }

    // Returns after a change, or after retry_interval.
    void wait(const Interrupt& interrupt) const {
        pollfd fds[] = {{.fd = interrupt.fd(), .events = POLLIN, .revents = 0},
                        {.fd = watch_.get(), .events = POLLIN, .revents = 0}}; // a negative fd is ignored
        ::poll(fds, 2, static_cast<int>(std::chrono::milliseconds(retry_interval).count()));
        interrupt.check();
    }

private:
    Fd watch_;
};

} // namespace

ssh::PrivateKey await_identity(const std::filesystem::path& file, bool generate, const Interrupt& interrupt) {
    std::string last_problem;
    while (true) {
        const FolderWatch watch(file.parent_path()); // first, so that no change after the check is missed
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
        watch.wait(interrupt);
    }
}

} // namespace waggle::agent
