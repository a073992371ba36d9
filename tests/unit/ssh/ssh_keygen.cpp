#include "tests/unit/ssh/ssh_keygen.hpp"

#include "shared/base/error.hpp"

namespace waggle::ssh {

namespace {

Command command_for(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "ssh-keygen");
    return {std::move(arguments), {}};
}

} // namespace

std::string ssh_keygen(std::vector<std::string> arguments) {
    auto command = command_for(std::move(arguments));
    auto result = run(command, {.deadline = deadline_in(std::chrono::seconds(30)), .on_stderr_line = {}});
    if (!result.status.success())
        throw Error(command.to_string() + ": " + result.status.to_string() + ": " + result.err_tail);
    return result.out;
}

bool ssh_keygen_accepts(std::vector<std::string> arguments, const std::string& input) {
    auto deadline = deadline_in(std::chrono::seconds(30));
    Child child(command_for(std::move(arguments)), {.pipe_stdin = true});
    write_all(child.stdin_pipe(), input, deadline);
    child.stdin_pipe().close();
    return child.wait(deadline).success();
}

std::filesystem::path make_key(const TemporaryFolder& folder, const std::string& type, const std::string& passphrase) {
    auto path = folder.path() / type;
    std::vector<std::string> arguments{"-q", "-t", type, "-N", passphrase, "-C", "somebody@example", "-f", path};
    if (type == "rsa")
        arguments.insert(arguments.end(), {"-b", "1024"}); // refused whatever its length; longer ones take seconds
    ssh_keygen(std::move(arguments));
    return path;
}

} // namespace waggle::ssh
