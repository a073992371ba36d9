#pragma once

#include "shared/base/fd.hpp"
#include "shared/base/interrupt.hpp"
#include "shared/base/time.hpp"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle {

// A program to run. argv[0] is looked up in PATH; no shell is involved.
struct Command {
    std::vector<std::string> argv;
    std::map<std::string, std::string> extra_environment = {};

    // The words for messages, quoted where needed.
    std::string to_string() const;
};

// How a child ended: with an exit code or by a signal.
struct ExitStatus {
    int code = 0;                        // valid if signal == 0
    int signal = 0;                      // 0: the child exited by itself
    std::uint64_t peak_memory_bytes = 0; // resident, of the child alone

    bool success() const { return signal == 0 && code == 0; }
    // "exit code 3" or "killed by signal 9 (Killed)".
    std::string to_string() const;
};

// A running child process with pipes on the requested streams. The destructor kills (SIGKILL) and reaps a child that is
// still running.
class Child {
public:
    struct Streams {
        bool pipe_stdin = false;   // otherwise /dev/null
        bool pipe_stdout = false;  // otherwise inherited
        bool pipe_stderr = false;  // otherwise inherited
        bool socket_stdio = false; // standard input and output are one stream socket, whose other end is stdin_pipe()
    };

    // Throws Error, naming the program, if it cannot be started.
    Child(const Command& command, Streams streams);
    Child(Child&& other) noexcept;
    Child& operator=(Child&&) = delete;
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    Fd& stdin_pipe() { return stdin_; }
    Fd& stdout_pipe() { return stdout_; }
    Fd& stderr_pipe() { return stderr_; }
    pid_t pid() const { return pid_; }

    void kill(int signal);
    // Throws TimedOut at the deadline; the child then continues to run.
    ExitStatus wait(Deadline deadline);
    // Returns nullopt while the child is running.
    std::optional<ExitStatus> ended();

private:
    pid_t pid_ = -1;
    Fd stdin_;
    Fd stdout_;
    Fd stderr_;
};

struct RunOptions {
    Deadline deadline;
    size_t max_stdout_bytes = 64 << 20; // more is an error
    // Receives standard output piece by piece, in place of RunResult::out.
    std::function<void(std::string_view)> on_stdout = {};
    std::function<void(std::string_view)> on_stderr_line = {}; // called from this thread for each whole line
    const Interrupt* interrupt = nullptr;                      // on a request: sends SIGTERM, then throws Interrupted
    // The output ends when the program exits, because processes that it leaves behind may keep the pipes open.
    // Otherwise the output is read until no process holds the pipes.
    bool until_exit = false;
};

struct RunResult {
    ExitStatus status;
    std::string out;
    std::string err_tail; // the last 64 KiB of standard error
};

// Runs a program to its end, with nothing on its standard input. At the deadline, kills it and throws TimedOut.
RunResult run(const Command& command, const RunOptions& options);

} // namespace waggle
