#include "shared/base/bytes.hpp"
#include "tests/unit/nix/fake_daemon.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

namespace waggle::nix {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

const StorePath path_a = test_path("a"), path_b = test_path("b"), path_c = test_path("c");

PathInfo info_of(const StorePath& path, std::vector<StorePath> references = {}) {
    return {.path = path,
            .nar_hash = sha256(path.base_name()),
            .nar_size = 120,
            .references = std::move(references),
            .deriver = {}};
}

std::string failure_of_query(const std::string& answer) {
    FakeDaemon fake(handshake(35), answer);
    Daemon daemon = fake.connect(milliseconds(500));
    try {
        daemon.query_path_infos(std::array{path_a});
    } catch (const DaemonError& error) {
        return error.what();
    }
    return "(no DaemonError)";
}

TEST(Daemon, AsksForValidPathsWithoutSubstituting) {
    FakeDaemon fake(handshake(35), last() + wire({path_c, path_a}));
    {
        Daemon daemon = fake.connect();
        EXPECT_EQ(daemon.query_valid_paths(std::array{path_a, path_b, path_c}), (std::set{path_a, path_c}));
    }
    EXPECT_THAT(fake.received(), HasSubstr(wire(31) + wire({path_a, path_b, path_c}) + wire(0)));
}

TEST(Daemon, ReadsPathInfosInTheOrderAskedFor) {
    PathInfo info = info_of(path_a, {path_c, path_b});
    info.deriver = test_path("a.drv");
    FakeDaemon fake(handshake(35), last() + wire(0) + last() + path_info(info));
    Daemon daemon = fake.connect();
    auto infos = daemon.query_path_infos(std::array{path_b, path_a});
    ASSERT_EQ(infos.size(), 2u);
    EXPECT_FALSE(infos[0]);
    ASSERT_TRUE(infos[1]);
    EXPECT_EQ(infos[1]->path, path_a);
    EXPECT_EQ(infos[1]->nar_hash, info.nar_hash);
    EXPECT_EQ(infos[1]->nar_size, 120u);
    EXPECT_EQ(infos[1]->references, (std::vector{path_b, path_c})); // sorted
    EXPECT_EQ(infos[1]->deriver, info.deriver);
}

TEST(Daemon, SkipsLogMessages) {
    std::string log = wire(message_next) + wire("warning: something\n") + wire(message_start) + wire(7) + wire(3) +
                      wire(100) + wire("copying") + wire(2) + wire(0) + wire(5) + wire(1) + wire("field") + wire(0) +
                      wire(message_result) + wire(7) + wire(101) + wire(1) + wire(1) + wire("line") +
                      wire(message_stop) + wire(7);
    FakeDaemon fake(handshake(35), log + last() + wire({path_a}));
    EXPECT_EQ(fake.connect().query_valid_paths(std::array{path_a}), std::set{path_a});
}

TEST(Daemon, PipelinesManyRequests) {
    // The fake reads no request before this many are there, so a client that waits for each answer would stall.
    constexpr size_t ahead = 100, count = 1000;
    const size_t request_bytes = wire(26).size() + wire(path_a.absolute()).size();
    FakeDaemon fake([&](const Fd& fd) {
        Deadline deadline = deadline_in(std::chrono::seconds(10));
        std::vector<std::byte> requests(32);
        read_exactly(fd, requests, deadline);
        write_all(fd, handshake(35), deadline);
        for (size_t answered = 0; answered < count; answered += ahead) {
            requests.resize(ahead * request_bytes);
            read_exactly(fd, requests, deadline);
            for (size_t i = 0; i < ahead; ++i)
                write_all(fd, last() + path_info(info_of(path_a)), deadline);
        }
    });
    auto infos = fake.connect().query_path_infos(std::vector<StorePath>(count, path_a));
    ASSERT_EQ(infos.size(), count);
    EXPECT_TRUE(infos.back());
}

TEST(Daemon, ReadsWhileItSends) {
    // Answers that fill every buffer before all requests are sent: each side must read while it writes.
    constexpr size_t count = 20000;
    std::string answers;
    for (size_t i = 0; i < count; ++i)
        answers += last() + wire(1);
    FakeDaemon fake([&](const Fd& fd) {
        Deadline deadline = deadline_in(std::chrono::seconds(10));
        write_all(fd, handshake(35), deadline);
        std::vector<std::byte> requests(32 + count * (wire(11).size() + wire(path_a.absolute()).size()));
        auto writing = std::async(std::launch::async, [&] { write_all(fd, answers, deadline); });
        read_exactly(fd, requests, deadline);
        writing.get();
    });
    EXPECT_NO_THROW(fake.connect().add_temp_roots(std::vector<StorePath>(count, path_a)));
}

TEST(Daemon, RegistersAnIndirectRootByItsLink) {
    FakeDaemon fake(handshake(35), last() + wire(1));
    fake.connect().add_indirect_root("/var/lib/waggle-agent/gcroot");
    EXPECT_THAT(fake.received(), HasSubstr(wire(12) + wire("/var/lib/waggle-agent/gcroot")));
}

TEST(Daemon, ReportsTheDaemonsErrorWithItsTraces) {
    EXPECT_EQ(failure_of_query(error("\x1b[31;1merror:\x1b[0m database is \x1b[35;1mlocked\x1b[0m\n",
                                     {"while querying", "while waiting"})),
              "asking for path infos: database is locked\nwhile querying\nwhile waiting");
    EXPECT_EQ(failure_of_query(error("gone")), "asking for path infos: gone");
}

TEST(Daemon, CannotBeUsedAfterAnError) {
    FakeDaemon fake(handshake(35), error("gone") + last() + wire({path_a}));
    Daemon daemon = fake.connect();
    EXPECT_THROW(daemon.query_valid_paths(std::array{path_a}), DaemonError);
    EXPECT_THROW(daemon.query_valid_paths(std::array{path_a}), DaemonError);
}

TEST(Daemon, RefusesMalformedAnswers) {
    std::string head = last() + wire(1) + wire("");
    std::string hash(64, '0');
    std::uint64_t huge = std::uint64_t{1} << 62;
    struct Case {
        std::string what;
        std::string answer;
    };
    const Case cases[] = {
        {"unknown message", wire(0x12345678)},
        {"validity that is no truth value", last() + wire(2)},
        {"string of 4 EiB", last() + wire(1) + wire(huge)},
        {"deriver longer than any path", last() + wire(1) + wire(std::string(5000, 'x'))},
        {"deriver outside of the store", last() + wire(1) + wire("/etc/passwd")},
        {"string not padded with zeros", last() + wire(1) + wire(4) + "/nix/sto"},
        {"hash that is too short", head + wire("abcd")},
        {"hash in capitals", head + wire(std::string(64, 'A'))},
        {"too many references", head + wire(hash) + wire(huge)},
        {"reference that is no path", head + wire(hash) + wire(1) + wire("x")},
        {"too many signatures", head + wire(hash) + wire(0) + wire(0) + wire(9) + wire(0) + wire(huge)},
        {"log message of 4 EiB", wire(message_next) + wire(huge)},
        {"too many fields", wire(message_result) + wire(1) + wire(1) + wire(huge)},
        {"field of unknown type", wire(message_result) + wire(1) + wire(1) + wire(1) + wire(2)},
        {"too many traces",
         wire(message_error) + wire("Error") + wire(0) + wire("Error") + wire("x") + wire(0) + wire(huge)},
    };
    for (const auto& [what, answer] : cases)
        EXPECT_THAT(failure_of_query(answer),
                    AllOf(HasSubstr("asking for path infos: "), testing::ContainsRegex("understood|unknown kind")))
            << what;
}

TEST(Daemon, RefusesMoreValidPathsThanAskedFor) {
    FakeDaemon fake(handshake(35), last() + wire({path_a, path_b}));
    EXPECT_THROW(fake.connect().query_valid_paths(std::array{path_a}), DaemonError);
}

TEST(Daemon, NamesTheOperationAndTheLastMessageOfAStalledDaemon) {
    EXPECT_EQ(
        [] {
            FakeDaemon fake(handshake(35),
                            wire(message_next) + wire("waiting for the big garbage collector lock...\n"));
            Daemon daemon = fake.connect(milliseconds(50));
            try {
                daemon.add_temp_roots(std::array{path_a});
            } catch (const DaemonError& error) {
                return std::string(error.what());
            }
            return std::string();
        }(),
        "adding temporary roots: the nix daemon has made no progress for 0.05 s; it last said: waiting for the big "
        "garbage collector lock...");
}

// A daemon that reads everything and never answers.
FakeDaemon silent_daemon() {
    return FakeDaemon([](const Fd& fd) {
        std::array<std::byte, 32> greeting;
        const Deadline deadline = deadline_in(std::chrono::seconds(10));
        read_exactly(fd, greeting, deadline);
        write_all(fd, handshake(35), deadline);
        std::array<std::byte, 4096> rest;
        while (read_some(fd, rest, deadline) > 0) {
        }
    });
}

TEST(Daemon, ReportsALongWaitOnceAndCanBeInterrupted) {
    FakeDaemon fake = silent_daemon();
    Daemon daemon = fake.connect();
    Interrupt interrupt;
    std::vector<std::string> told;
    daemon.set_wait_options(
        {.interrupt = &interrupt, .report_after = milliseconds(20), .on_wait = [&](const auto& doing) {
             told.push_back(doing);
             interrupt.request();
         }});
    EXPECT_THROW(daemon.add_temp_roots(std::array{path_a}), Interrupted);
    EXPECT_EQ(told, std::vector<std::string>{"adding temporary roots"});
    EXPECT_THROW(daemon.add_temp_roots(std::array{path_a}), DaemonError); // the connection is closed
}

TEST(Daemon, AReportedWaitStillTimesOut) {
    FakeDaemon fake = silent_daemon();
    Daemon daemon = fake.connect(milliseconds(100));
    int told = 0;
    daemon.set_wait_options(
        {.interrupt = nullptr, .report_after = milliseconds(10), .on_wait = [&](const auto&) { ++told; }});
    EXPECT_THROW(daemon.add_temp_roots(std::array{path_a}), DaemonError);
    EXPECT_EQ(told, 1);
}

TEST(Daemon, NamesTheOperationInWhichTheConnectionEnded) {
    std::string answer = last() + path_info(info_of(path_a, {path_b, path_c}));
    for (size_t length = 0; length < answer.size(); length += 29) {
        FakeDaemon fake([&](const Fd& fd) {
            std::array<std::byte, 32> greeting;
            Deadline deadline = deadline_in(std::chrono::seconds(10));
            read_exactly(fd, greeting, deadline);
            write_all(fd, handshake(35) + answer.substr(0, length), deadline);
        });
        Daemon daemon = fake.connect();
        try {
            daemon.query_path_infos(std::array{path_a});
            ADD_FAILURE() << length;
        } catch (const DaemonError& error) {
            EXPECT_THAT(error.what(), testing::MatchesRegex("asking for path infos: the nix daemon has closed the "
                                                            "connection|asking.*Broken pipe.*"));
        }
    }
}

} // namespace
} // namespace waggle::nix
