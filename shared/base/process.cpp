#include "shared/base/process.hpp"

#include "shared/base/error.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <string_view>

extern char** environ;

namespace waggle {

namespace {

constexpr size_t err_tail_bytes = 64 << 10;
constexpr int exit_interval_ms = 50; // between two checks of a child whose pipes may stay open

void check_spawn(int error_number, std::string_view what) {
    if (error_number != 0)
        throw SystemError(what, error_number);
}

// posix_spawn's file actions and attributes, destroyed with the scope.
class SpawnSetup {
public:
    SpawnSetup() {
        check_spawn(posix_spawn_file_actions_init(&actions), "posix_spawn_file_actions_init");
        check_spawn(posix_spawnattr_init(&attributes), "posix_spawnattr_init");
        // A child starts with default signal handling, whatever this program blocks or ignores for itself.
        sigset_t none, all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    SpawnSetup(const SpawnSetup&) = delete;
    SpawnSetup& operator=(const SpawnSetup&) = delete;
    ~SpawnSetup() {
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
    }

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
};

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
    std::vector<std::string> result;
    for (char** entry = environ; *entry; ++entry) {
        std::string_view text(*entry);
        if (!extra.contains(std::string(text.substr(0, text.find('=')))))
            result.emplace_back(text);
    }
    for (const auto& [name, value] : extra)
        result.push_back(name + "=" + value);
    return result;
}

// Both ends close on exec.
std::pair<Fd, Fd> make_socket_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0)
        throw SystemError("socketpair");
    std::pair<Fd, Fd> pair{Fd(ends[0]), Fd(ends[1])};
    for (int end : ends) {
        if (::fcntl(end, F_SETFD, FD_CLOEXEC) != 0)
            throw SystemError("fcntl");
    }
    return pair;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    for (auto& word : words)
        result.push_back(word.data());
    result.push_back(nullptr);
    return result;
}

#ifdef __APPLE__
constexpr std::uint64_t maxrss_unit = 1;
#else
constexpr std::uint64_t maxrss_unit = 1024;
#endif

ExitStatus to_exit_status(int wait_status, const rusage& usage) {
    ExitStatus status;
    if (WIFSIGNALED(wait_status))
        status.signal = WTERMSIG(wait_status);
    else
        status.code = WEXITSTATUS(wait_status);
    status.peak_memory_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * maxrss_unit;
    return status;
}

} // namespace

std::string Command::to_string() const {
    std::string text;
    for (const auto& word : argv) {
        if (!text.empty())
            text += ' ';
        bool plain = !word.empty();
        for (char c : word)
            plain = plain && (std::isalnum(static_cast<unsigned char>(c)) || std::strchr("-_./=:@%+,^", c));
        text += plain ? word : fmt::format("'{}'", word);
    }
    return text;
}

std::string ExitStatus::to_string() const {
    if (signal != 0)
        return fmt::format("killed by signal {} ({})", signal, ::strsignal(signal));
    return fmt::format("exit code {}", code);
}

Child::Child(const Command& command, Streams streams) {
    SpawnSetup setup;
    std::array<Fd, 3> child_ends;
    auto connect = [&](bool piped, int number, Fd& own_end) {
        if (piped) {
            Pipe pipe = make_pipe();
            bool child_reads = number == STDIN_FILENO;
            own_end = child_reads ? std::move(pipe.write) : std::move(pipe.read);
            child_ends[static_cast<size_t>(number)] = child_reads ? std::move(pipe.read) : std::move(pipe.write);
            check_spawn(
                posix_spawn_file_actions_adddup2(&setup.actions, child_ends[static_cast<size_t>(number)].get(), number),
                "posix_spawn_file_actions_adddup2");
        } else if (number == STDIN_FILENO) {
            check_spawn(posix_spawn_file_actions_addopen(&setup.actions, number, "/dev/null", O_RDONLY, 0),
                        "posix_spawn_file_actions_addopen");
        }
    };
    if (streams.socket_stdio) {
        auto [own_end, child_end] = make_socket_pair();
        for (int number : {STDIN_FILENO, STDOUT_FILENO})
            check_spawn(posix_spawn_file_actions_adddup2(&setup.actions, child_end.get(), number),
                        "posix_spawn_file_actions_adddup2");
        stdin_ = std::move(own_end);
        child_ends[STDIN_FILENO] = std::move(child_end);
    } else {
        connect(streams.pipe_stdin, STDIN_FILENO, stdin_);
        connect(streams.pipe_stdout, STDOUT_FILENO, stdout_);
    }
    connect(streams.pipe_stderr, STDERR_FILENO, stderr_);

    std::vector<std::string> words = command.argv;
    std::vector<std::string> environment = merged_environment(command.extra_environment);
    int error_number = ::posix_spawnp(&pid_, words.at(0).c_str(), &setup.actions, &setup.attributes,
                                      pointers(words).data(), pointers(environment).data());
    if (error_number != 0) {
        pid_ = -1;
        throw SystemError(fmt::format("starting {}", words[0]), error_number);
    }
}

Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), stdin_(std::move(other.stdin_)), stdout_(std::move(other.stdout_)),
      stderr_(std::move(other.stderr_)) {}

Child::~Child() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
    }
}

void Child::kill(int signal) {
    if (pid_ > 0)
        ::kill(pid_, signal);
}

std::optional<ExitStatus> Child::ended() {
    int status = 0;
    rusage usage{};
    const pid_t ended = ::wait4(pid_, &status, WNOHANG, &usage);
    if (ended == pid_) {
        pid_ = -1;
        return to_exit_status(status, usage);
    }
    if (ended < 0 && errno != EINTR)
        throw SystemError("wait4");
    return std::nullopt;
}

ExitStatus Child::wait(Deadline deadline) {
    // waitpid(2) has no timeout and pidfds are Linux only, so this polls with a growing pause, 1 ms at first.
    for (int pause_ms = 1;; pause_ms = std::min(pause_ms * 2, 50)) {
        if (const auto status = ended())
            return *status;
        int left_ms = poll_timeout_ms(deadline);
        if (left_ms == 0)
            throw TimedOut("timed out waiting for a child process");
        ::poll(nullptr, 0, std::min(pause_ms, left_ms));
    }
}

namespace {

// Passes whole lines on and keeps the tail of everything.
class StderrLines {
public:
    explicit StderrLines(const std::function<void(std::string_view)>& on_line) : on_line_(on_line) {}

    void add(std::string_view text) {
        tail_ += text;
        if (tail_.size() > 2 * err_tail_bytes)
            tail_.erase(0, tail_.size() - err_tail_bytes);
        if (!on_line_)
            return;
        line_ += text;
        size_t start = 0;
        for (size_t end = 0; (end = line_.find('\n', start)) != std::string::npos; start = end + 1)
            on_line_(std::string_view(line_).substr(start, end - start));
        line_.erase(0, start);
        if (line_.size() > err_tail_bytes)
            flush();
    }

    std::string finish() {
        flush();
        if (tail_.size() > err_tail_bytes)
            tail_.erase(0, tail_.size() - err_tail_bytes);
        return std::move(tail_);
    }

private:
    void flush() {
        if (on_line_ && !line_.empty())
            on_line_(line_);
        line_.clear();
    }

    const std::function<void(std::string_view)>& on_line_;
    std::string tail_;
    std::string line_;
};

// Gives a child that was asked to stop time to do so in order, before the destructor kills it.
void terminate(Child& child) {
    if (child.pid() < 0)
        return; // it has ended
    child.kill(SIGTERM);
    try {
        child.wait(deadline_in(std::chrono::seconds(2)));
    } catch (const TimedOut&) {
        child.kill(SIGKILL);
    }
}

} // namespace

RunResult run(const Command& command, const RunOptions& options) {
    Child child(command, {.pipe_stdin = false, .pipe_stdout = true, .pipe_stderr = true});
    RunResult result;
    StderrLines err(options.on_stderr_line);
    std::array<char, 16384> buffer;

    std::optional<ExitStatus> ended; // checked while the pipes are open only if the exit ends the output
    while (child.stdout_pipe() || child.stderr_pipe()) {
        if (options.until_exit && !ended)
            ended = child.ended();
        std::array<pollfd, 3> entries{pollfd{child.stdout_pipe().get(), POLLIN, 0},
                                      pollfd{child.stderr_pipe().get(), POLLIN, 0},
                                      pollfd{options.interrupt ? options.interrupt->fd() : -1, POLLIN, 0}};
        const int left_ms = poll_timeout_ms(options.deadline);
        int wait_ms = left_ms;
        if (options.until_exit)
            wait_ms = ended ? 0 : std::min(left_ms, exit_interval_ms);
        int ready = ::poll(entries.data(), entries.size(), wait_ms);
        if (ready < 0 && errno != EINTR)
            throw SystemError("poll");
        if (ended && (ready == 0 || left_ms == 0))
            break; // everything that the child itself wrote has been read
        if (ready == 0 && wait_ms != left_ms)
            continue;
        if (ready == 0) {
            terminate(child);
            throw TimedOut(fmt::format("{} did not end in time and was stopped", command.argv[0]));
        }
        if (options.interrupt && options.interrupt->requested()) {
            terminate(child);
            throw Interrupted("interrupted");
        }
        for (int i = 0; ready > 0 && i < 2; ++i) {
            if (!entries[static_cast<size_t>(i)].revents)
                continue;
            Fd& pipe = i == 0 ? child.stdout_pipe() : child.stderr_pipe();
            ssize_t count = ::read(pipe.get(), buffer.data(), buffer.size());
            if (count < 0 && (errno == EINTR || errno == EAGAIN))
                continue;
            if (count <= 0) {
                pipe.close();
                continue;
            }
            std::string_view text(buffer.data(), static_cast<size_t>(count));
            if (i == 1) {
                err.add(text);
            } else if (options.on_stdout) {
                options.on_stdout(text);
                OPENSSL_cleanse(buffer.data(), buffer.size()); // it may be a secret
            } else if (result.out.size() + text.size() > options.max_stdout_bytes) {
                terminate(child);
                throw Error(fmt::format("{} printed more than {} bytes", command.argv[0], options.max_stdout_bytes));
            } else {
                result.out += text;
            }
        }
    }
    try {
        result.status = ended ? *ended : child.wait(options.deadline);
    } catch (const TimedOut&) {
        terminate(child);
        throw TimedOut(fmt::format("{} did not end in time and was stopped", command.argv[0]));
    }
    result.err_tail = err.finish();
    return result;
}

} // namespace waggle
