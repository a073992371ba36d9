#include "agent/activation/descendants.hpp"
#include "shared/base/process.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <string>

namespace waggle::agent {
namespace {

TEST(Descendants, AreKilledIncludingGrandchildren) {
    adopt_orphans();
    Child::Streams streams;
    streams.pipe_stdout = true;
    // A program that starts another process.
    Child child({.argv = {"sh", "-c", "sleep 600 >/dev/null & echo $!; exec sleep 600"}, .extra_environment = {}},
                streams);
    std::string line(32, '\0');
    const auto bytes = ::read(child.stdout_pipe().get(), line.data(), line.size());
    ASSERT_GT(bytes, 0);
    pid_t left = 0;
    std::from_chars(line.data(), line.data() + bytes, left);
    ASSERT_EQ(::kill(left, 0), 0);
    kill_descendants(deadline_in(std::chrono::seconds(20)));
    EXPECT_NE(::kill(left, 0), 0);
}

} // namespace
} // namespace waggle::agent
