#include "shared/base/error.hpp"
#include "shared/base/process.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <thread>

namespace waggle {
namespace {

using namespace std::chrono_literals;

RunOptions within(std::chrono::milliseconds duration) {
    RunOptions options;
    options.deadline = deadline_in(duration);
    return options;
}

Command sh(const std::string& script) {
    return {.argv = {"/bin/sh", "-c", script}, .extra_environment = {}};
}

TEST(Run, CollectsOutputAndExitCode) {
    auto result = run(sh("echo out; echo err >&2; exit 3"), within(10s));
    EXPECT_EQ(result.status.code, 3);
    EXPECT_FALSE(result.status.success());
    EXPECT_EQ(result.out, "out\n");
    EXPECT_EQ(result.err_tail, "err\n");
}

TEST(Run, HandsOutWholeStderrLines) {
    std::vector<std::string> lines;
    auto options = within(10s);
    options.on_stderr_line = [&](std::string_view line) { lines.emplace_back(line); };
    run(sh("printf 'one\\ntwo\\nlast' >&2"), options);
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "last"}));
}

TEST(Run, ProvidesNoInputAndTheExtraEnvironment) {
    Command command = sh("cat; echo $WAGGLE_X");
    command.extra_environment["WAGGLE_X"] = "y";
    EXPECT_EQ(run(command, within(10s)).out, "y\n");
}

TEST(Run, StopsAProgramAtTheDeadline) {
    EXPECT_THROW(run(sh("exec sleep 100"), within(50ms)), TimedOut);
    // This also applies to a program that closes its streams and continues to run.
    EXPECT_THROW(run(sh("exec >&- 2>&-; exec sleep 100"), within(50ms)), TimedOut);
}

TEST(Run, CapsOutput) {
    auto options = within(10s);
    options.max_stdout_bytes = 1000;
    EXPECT_THROW(run(sh("yes"), options), Error);
}

TEST(Run, StopsWhenInterrupted) {
    Interrupt interrupt;
    auto options = within(10s);
    options.interrupt = &interrupt;
    std::jthread later([&] { interrupt.request(); });
    EXPECT_THROW(run(sh("exec sleep 100"), options), Interrupted);
}

TEST(Run, NamesAProgramThatDoesNotExist) {
    if (std::getenv("WAGGLE_EMULATED"))
        GTEST_SKIP()
            << "qemu forks where posix_spawn(3) shares its memory with the child, and the child's error is lost";
    try {
        run({.argv = {"waggle-no-such-program"}, .extra_environment = {}}, within(10s));
        FAIL();
    } catch (const SystemError& error) {
        EXPECT_STREQ(error.what(), "starting waggle-no-such-program: No such file or directory");
    }
}

TEST(Run, DistinguishesASignalFromAnExitCode) {
    auto status = run(sh("kill -9 $$"), within(10s)).status;
    EXPECT_EQ(status.signal, 9);
    EXPECT_EQ(status.to_string(), "killed by signal 9 (Killed)");
}

TEST(Child, IsKilledAndReapedWithItsOwner) {
    pid_t pid = -1;
    {
        Child child(sh("exec sleep 100"), {});
        pid = child.pid();
    }
    EXPECT_EQ(::kill(pid, 0), -1);
}

TEST(Child, TalksThroughItsPipes) {
    Child child({.argv = {"cat"}, .extra_environment = {}}, {.pipe_stdin = true, .pipe_stdout = true});
    auto deadline = deadline_in(10s);
    write_all(child.stdin_pipe(), "ping", deadline);
    std::array<std::byte, 4> answer;
    read_exactly(child.stdout_pipe(), answer, deadline);
    EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(answer.data()), 4), "ping");
    EXPECT_THROW(read_some(child.stdout_pipe(), answer, deadline_in(20ms)), TimedOut);
    child.stdin_pipe().close();
    EXPECT_TRUE(child.wait(deadline).success());
}

TEST(Child, TalksThroughOneSocket) {
    auto deadline = deadline_in(10s);
    Child child({{"cat"}, {}}, {.socket_stdio = true});
    write_all(child.stdin_pipe(), "both ways", deadline);
    std::string answer(9, ' ');
    read_exactly(child.stdin_pipe(), std::as_writable_bytes(std::span(answer)), deadline);
    EXPECT_EQ(answer, "both ways");
    child.stdin_pipe().close();
    EXPECT_TRUE(child.wait(deadline).success());
}

TEST(Command, IsPrintedInShellSyntax) {
    Command command{.argv = {"nix-store", "--option", "a b", ""}, .extra_environment = {}};
    EXPECT_EQ(command.to_string(), "nix-store --option 'a b' ''");
}

} // namespace
} // namespace waggle
