#include "tests/unit/nix/fake_daemon.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace waggle::nix {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string failure(const std::function<void()>& action) {
    try {
        action();
    } catch (const DaemonError& error) {
        return error.what();
    }
    return "(no DaemonError)";
}

std::string connect_failure(std::string bytes) {
    FakeDaemon fake(std::move(bytes));
    return failure([&] { fake.connect(milliseconds(500)); });
}

TEST(Handshake, NegotiatesTheOlderOfBothVersions) {
    struct Case {
        unsigned server_minor;
        unsigned negotiated;
        std::string nix_version;
    };
    for (const Case& c : {Case{32, 32, ""}, Case{33, 33, "2.99.1"}, Case{34, 34, "2.99.1"}, Case{35, 35, "2.99.1"},
                          Case{38, 35, "2.99.1"}, Case{255, 35, "2.99.1"}}) {
        FakeDaemon fake(handshake(c.server_minor), last() + wire({}));
        {
            Daemon daemon = fake.connect();
            EXPECT_EQ(daemon.protocol_minor(), c.negotiated);
            EXPECT_EQ(daemon.nix_version(), c.nix_version);
            EXPECT_TRUE(daemon.query_valid_paths({}).empty()); // nothing of the handshake is left over
        }
        EXPECT_EQ(fake.received(), wire(0x6e697863) + wire(0x100 | 35) + wire(0) + wire(0) + // greeting
                                       wire(31) + wire(0) + wire(0));                        // QueryValidPaths
    }
}

TEST(Handshake, RefusesAnOutdatedDaemonAndSuggestsAnUpgrade) {
    EXPECT_THAT(connect_failure(wire(0x6478696f) + wire(0x100 | 31)),
                AllOf(HasSubstr("protocol 1.31"), HasSubstr("upgrade Nix")));
}

TEST(Handshake, RefusesAnotherMajorVersion) {
    EXPECT_THAT(connect_failure(wire(0x6478696f) + wire(0x200 | 40)), HasSubstr("protocol 2.40"));
}

TEST(Handshake, RefusesAPeerThatIsNotADaemon) {
    EXPECT_THAT(connect_failure("SSH-2.0-OpenSSH_9.2\r\n"), HasSubstr("not a nix daemon"));
}

TEST(Handshake, ReportsADaemonsRefusalWithoutEscapes) {
    std::string greeting = handshake(35);
    greeting.resize(greeting.size() - 8); // up to "last"
    EXPECT_THAT(connect_failure(greeting + error("\x1b[31;1merror:\x1b[0m user 'mallory' is not allowed")),
                AllOf(HasSubstr(": user 'mallory' is not allowed"), Not(HasSubstr("\x1b"))));
}

TEST(Handshake, RefusesAnOversizedVersion) {
    EXPECT_THAT(connect_failure(wire(0x6478696f) + wire(0x100 | 35) + wire(std::uint64_t{1} << 40)),
                HasSubstr("cannot be understood"));
}

TEST(Handshake, NamesTheSocketAndWhatToDo) {
    EXPECT_THAT(failure([] { Daemon::connect("/nowhere/socket", milliseconds(500)); }),
                AllOf(HasSubstr("/nowhere/socket"), HasSubstr("No such file"),
                      HasSubstr("systemctl status nix-daemon.socket")));
}

TEST(Handshake, ReportsAnEarlyEndOfTheStreamAnywhere) {
    std::string whole = handshake(35);
    for (size_t length = 0; length < whole.size(); length += 5) {
        FakeDaemon fake([&](const Fd& fd) {
            std::array<std::byte, 32> greeting;
            read_exactly(fd, greeting, deadline_in(std::chrono::seconds(10)));
            write_all(fd, whole.substr(0, length), deadline_in(std::chrono::seconds(10)));
        });
        EXPECT_THAT(failure([&] { fake.connect(); }), HasSubstr("closed the connection")) << length;
    }
}

TEST(Handshake, TimesOutWithASilentPeer) {
    FakeDaemon fake("");
    EXPECT_THAT(failure([&] { fake.connect(milliseconds(50)); }), HasSubstr("no progress for 0.05 s"));
}

TEST(SpawnedDaemon, ReportsTheChildsStandardError) {
    Command command{.argv = {"sh", "-c", "echo 'error: no such store' >&2; exit 3"}, .extra_environment = {}};
    EXPECT_THAT(failure([&] { Daemon::spawn(command, milliseconds(5000)); }),
                AllOf(HasSubstr("sh -c"), HasSubstr("error: no such store")));
}

TEST(SpawnedDaemon, NamesAMissingProgram) {
    EXPECT_THAT(failure([&] {
                    Daemon::spawn({.argv = {"no-such-program-here"}, .extra_environment = {}}, milliseconds(5000));
                }),
                HasSubstr("no-such-program-here"));
}

TEST(SpawnedDaemon, IsNotBlockedByALargeStandardError) {
    TemporaryFolder folder;
    write_file_atomically(folder.path() / "bytes", handshake(34), 0600);
    Command command{.argv = {"sh", "-c", "head -c 1000000 /dev/zero >&2; cat " + (folder.path() / "bytes").string()},
                    .extra_environment = {}};
    EXPECT_EQ(Daemon::spawn(command, milliseconds(10000)).protocol_minor(), 34u);
}

// Sets an environment variable for the scope.
class Environment {
public:
    Environment(const char* name, const std::string& value) : name_(name) {
        if (const char* before = std::getenv(name))
            before_ = before;
        ::setenv(name, value.c_str(), 1);
    }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment() {
        if (before_)
            ::setenv(name_, before_->c_str(), 1);
        else
            ::unsetenv(name_);
    }

private:
    const char* name_;
    std::optional<std::string> before_;
};

// Puts a fake nix-daemon first in PATH, which speaks protocol 1.33 when it is called with --stdio.
class DefaultStore : public testing::Test {
protected:
    DefaultStore() {
        write_file_atomically(folder.path() / "bytes", handshake(33), 0600);
        write_file_atomically(folder.path() / "nix-daemon",
                              "#!/bin/sh\n[ \"$*\" = --stdio ] && cat " + (folder.path() / "bytes").string() + "\n",
                              0700);
    }

    TemporaryFolder folder;
    Environment path{"PATH", folder.path().string() + ":" + std::getenv("PATH")};
};

TEST_F(DefaultStore, IsTheSocketWhenADaemonListensThere) {
    FakeDaemon fake(handshake(35));
    Environment socket("NIX_DAEMON_SOCKET_PATH", fake.socket());
    Environment remote("NIX_REMOTE", "");
    EXPECT_EQ(Daemon::open_default(milliseconds(5000)).protocol_minor(), 35u);
}

TEST_F(DefaultStore, IsAChildWhenNoDaemonListens) {
    Environment socket("NIX_DAEMON_SOCKET_PATH", folder.path() / "no-socket");
    Environment remote("NIX_REMOTE", "");
    EXPECT_EQ(Daemon::open_default(milliseconds(5000)).protocol_minor(), 33u);
}

TEST_F(DefaultStore, IsAChildWhenNixRemoteIsSet) {
    Environment socket("NIX_DAEMON_SOCKET_PATH", folder.path() / "no-socket");
    Environment remote("NIX_REMOTE", "/some/other/store");
    EXPECT_EQ(Daemon::open_default(milliseconds(5000)).protocol_minor(), 33u);
}

} // namespace
} // namespace waggle::nix
