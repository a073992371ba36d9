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

// A program to run: argv[0] is looked up in PATH, nothing goes through a shell.
struct Command {
    std::vector<std::string> argv;
    std::map<std::string, std::string> extra_environment = {};

    // For messages: the words, quoted where needed.
    std::string to_string() const;
};

// How a child ended: by exit code, or by a signal.
struct ExitStatus {
    int code = 0;                        // valid when signal == 0
    int signal = 0;                      // 0: it exited by itself
    std::uint64_t peak_memory_bytes = 0; // resident, of the child alone

    bool success() const { return signal == 0 && code == 0; }
    // "exit code 3" or "killed by signal 9 (Killed)".
    std::string to_string() const;
};

// A running child process with pipes on the streams that were asked for. The destructor kills (SIGKILL)
// and reaps a child that still runs.
class Child {
public:
    struct Streams {
        bool pipe_stdin = false;   // else /dev/null
        bool pipe_stdout = false;  // else inherited
        bool pipe_stderr = false;  // else inherited
        bool socket_stdio = false; // standard input and output are one stream socket, whose other end is stdin_pipe()
    };

    // Throws Error when the program cannot be started, naming it.
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
    // Throws TimedOut at the deadline; the child then still runs.
    ExitStatus wait(Deadline deadline);
    // nullopt: it still runs.
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
    // Is given standard output piece by piece, in place of RunResult::out.
    std::function<void(std::string_view)> on_stdout = {};
    std::function<void(std::string_view)> on_stderr_line = {}; // called from this thread for each whole line
    const Interrupt* interrupt = nullptr;                      // when requested: SIGTERM, then Interrupted is thrown
    // The end of the program is the end of its output: what it leaves behind may keep the pipes open. Else it is read
    // until nothing holds them.
    bool until_exit = false;
};

struct RunResult {
    ExitStatus status;
    std::string out;
    std::string err_tail; // the last 64 KiB of standard error
};

// Runs a program to its end with nothing on its standard input. At the deadline it is killed and TimedOut thrown.
RunResult run(const Command& command, const RunOptions& options);

} // namespace waggle
