#include "tests/unit/ssh/running_agent.hpp"

#include "shared/base/error.hpp"

#include <array>

namespace waggle::ssh {

RunningAgent::RunningAgent(const TemporaryFolder& folder)
    : socket_(folder.path() / "agent"),
      process_(Command{{"ssh-agent", "-D", "-a", socket_}, {{"SSH_ASKPASS", "/bin/false"}, {"DISPLAY", ":none"}}},
               {.pipe_stdout = true}) {
    std::array<std::byte, 1> first; // it prints its address when it listens
    read_exactly(process_.stdout_pipe(), first, deadline_in(std::chrono::seconds(20)));
}

void RunningAgent::add(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "ssh-add");
    const Command command{std::move(arguments), {{"SSH_AUTH_SOCK", socket_}}};
    const RunResult result = run(command, {.deadline = deadline_in(std::chrono::seconds(20)), .on_stderr_line = {}});
    if (!result.status.success())
        throw Error(command.to_string() + ": " + result.err_tail);
}

} // namespace waggle::ssh
