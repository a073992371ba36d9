#include "tests/unit/nix/fake_daemon.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <thread>

namespace waggle::nix {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

const StorePath drv = test_path("hello-1.0.drv");

std::string text_field(std::string_view text) {
    return wire(1) + wire(text);
}
std::string number_field(std::uint64_t number) {
    return wire(std::uint64_t{0}) + wire(number);
}
std::string activity(std::uint64_t id, std::uint64_t level, std::uint64_t type, std::string_view text,
                     const std::vector<std::string>& fields) {
    std::string bytes = wire(message_start) + wire(id) + wire(level) + wire(type) + wire(text) + wire(fields.size());
    for (const std::string& field : fields)
        bytes += field;
    return bytes + wire(std::uint64_t{0}); // parent
}
std::string builds(std::uint64_t id) {
    return activity(id, 3, 105, "building '/nix/store/x-hello-1.0.drv'",
                    {text_field(drv.absolute()), text_field(""), number_field(1), number_field(1)});
}
std::string log_line(std::uint64_t id, std::string_view line) {
    return wire(message_result) + wire(id) + wire(101) + wire(1) + text_field(line);
}
std::string says(std::string_view text) {
    return wire(message_next) + wire(text);
}

class Build : public testing::Test {
protected:
    void build(FakeDaemon& fake, std::chrono::milliseconds time = 10s) {
        Daemon daemon = fake.connect(50ms); // a builder may be silent for longer
        daemon.build(drv, {.deadline = deadline_in(time), .interrupt = interrupt, .on_line = [&](auto line) {
                               lines.emplace_back(line);
                               if (stops_at_first_line)
                                   interrupt.request();
                           }});
    }
    template <class Error>
    std::string failure(FakeDaemon& fake, std::chrono::milliseconds time = 10s) {
        try {
            build(fake, time);
        } catch (const Error& error) {
            return error.what();
        }
        return "(nothing of the kind)";
    }

    Interrupt interrupt;
    bool stops_at_first_line = false;
    std::vector<std::string> lines;
};

TEST_F(Build, RequestsAllOutputsAndReportsTheLog) {
    FakeDaemon fake(handshake(35), builds(7) + log_line(7, "checking for \x1b[31mgcc") + log_line(8, "of nobody") +
                                       activity(9, 4, 109, "querying info", {}) + says("warning: \x1b[1mlow\nmore") +
                                       wire(message_stop) + wire(7) + log_line(7, "late") + last() + wire(1));
    build(fake);
    EXPECT_THAT(lines, ElementsAre("building '/nix/store/x-hello-1.0.drv'", "hello-1.0> checking for gcc", "of nobody",
                                   "warning: low", "more", "late"));
    EXPECT_THAT(fake.received(), EndsWith(wire(9) + wire(1) + wire(drv.absolute() + "!*") + wire(std::uint64_t{0})));
}

TEST_F(Build, WaitsForASilentBuilder) {
    FakeDaemon fake([](const Fd& fd) {
        std::array<std::byte, 32> greeting;
        write_all(fd, handshake(35), deadline_in(10s));
        read_exactly(fd, greeting, deadline_in(10s));
        std::this_thread::sleep_for(200ms); // four times the connection's stall timeout
        write_all(fd, last() + wire(1), deadline_in(10s));
        std::array<std::byte, 4096> rest;
        while (read_some(fd, rest, deadline_in(10s)) > 0) {
        }
    });
    build(fake);
}

TEST_F(Build, AFailureContainsAllErrorsOfNix) {
    FakeDaemon fake(handshake(35), says("error: builder for '/nix/store/y.drv' failed with exit code 3;\n"
                                        "       last 1 log lines:\n       > oh \x1b[31mno") +
                                       error("1 dependencies of derivation '/nix/store/x.drv' failed to build"));
    EXPECT_EQ(failure<BuildFailed>(fake), "error: builder for '/nix/store/y.drv' failed with exit code 3;\n"
                                          "       last 1 log lines:\n       > oh no\n"
                                          "error: 1 dependencies of derivation '/nix/store/x.drv' failed to build");
    EXPECT_TRUE(lines.empty()); // they come with the failure
}

TEST_F(Build, ManyErrorsAreCut) {
    std::string many;
    for (int i = 0; i < 1000; ++i)
        many += says("error: " + std::string(1000, 'x'));
    FakeDaemon fake(handshake(35), many + error("it failed"));
    const std::string text = failure<BuildFailed>(fake);
    EXPECT_LT(text.size(), 16u << 10);
    EXPECT_THAT(text, EndsWith("error: it failed"));
}

TEST_F(Build, AnInterruptClosesTheConnectionToTheDaemon) {
    FakeDaemon fake(handshake(35), builds(7));
    stops_at_first_line = true; // the next thing is to wait for more
    EXPECT_THROW(build(fake), Interrupted);
    EXPECT_THAT(fake.received(), HasSubstr(wire(drv.absolute() + "!*"))); // it waits for the end of the connection
}

TEST_F(Build, EndsAtItsDeadlineWithOrWithoutOutput) {
    FakeDaemon fake([](const Fd& fd) {
        write_all(fd, handshake(35) + builds(7), deadline_in(10s));
        const std::string line = log_line(7, "and on");
        while (::send(fd.get(), line.data(), line.size(), MSG_NOSIGNAL) > 0) {
        }
    });
    EXPECT_THAT(failure<DaemonError>(fake, 100ms),
                AllOf(HasSubstr("exceeded its time limit"), Not(HasSubstr("progress"))));
    FakeDaemon silent(handshake(35), "");
    EXPECT_THAT(failure<DaemonError>(silent, 100ms), HasSubstr("exceeded its time limit"));
}

TEST_F(Build, ALostDaemonIsNotABuildFailure) {
    FakeDaemon fake([](const Fd& fd) { write_all(fd, handshake(35) + builds(7), deadline_in(10s)); });
    EXPECT_THAT(failure<DaemonError>(fake), HasSubstr("building " + drv.absolute()));
}

} // namespace
} // namespace waggle::nix
