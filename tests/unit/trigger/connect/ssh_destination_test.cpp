#include "shared/base/file.hpp"
#include "trigger/base/home_folder.hpp"
#include "trigger/connect/identity.hpp"
#include "trigger/connect/ssh_destination.hpp"
#include "trigger/connect/ssh_tunnel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace waggle::trigger {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::ThrowsMessage;

TEST(SshConfiguration, ReadsTheFormatThatSshPrints) {
    const SshDestination found = parse_ssh_configuration("user root\n"
                                                         "hostname 10.0.0.1\n"
                                                         "port 2222\n"
                                                         "hostkeyalias queen\n"
                                                         "globalknownhostsfile /etc/ssh/ssh_known_hosts\n"
                                                         "userknownhostsfile /home/bee/kh /tmp/a b /tmp/c\n"
                                                         "revokedhostkeys ~/revoked\n"
                                                         "sendenv LANG\n");
    EXPECT_EQ(found.host, "10.0.0.1");
    EXPECT_EQ(found.port, 2222);
    EXPECT_EQ(found.listed_as(), "queen");
    EXPECT_THAT(found.known_hosts, ElementsAre("/home/bee/kh", "/tmp/a b", "/tmp/c", "/etc/ssh/ssh_known_hosts"));
    EXPECT_THAT(found.revoked_keys, ElementsAre(home_folder() / "revoked"));
}

TEST(SshConfiguration, WithoutHostOrPortIsRefused) {
    for (const char* text :
         {"", "hostname alpha\n", "port 22\n", "hostname alpha\nport many\n", "hostname \nport 22\n"})
        EXPECT_THROW(parse_ssh_configuration(text), Error) << text;
    EXPECT_THAT(parse_ssh_configuration("hostname alpha\nport 22\nuserknownhostsfile none\n").known_hosts, IsEmpty());
}

TEST(SshDestination, IsListedUnderItsPort) {
    EXPECT_EQ(plain_destination("Alpha", {}).listed_as(), "alpha");
    EXPECT_EQ(plain_destination("alpha", 2222).listed_as(), "[alpha]:2222");
}

// The real ssh, with a configuration of our own.
class FindDestination : public testing::Test {
protected:
    void SetUp() override { ::setenv("SSH_CONFIG_FILE", (folder_.path() / "config").c_str(), 1); }
    void TearDown() override { ::unsetenv("SSH_CONFIG_FILE"); }

    void configure(const std::string& text) { write_file_atomically(folder_.path() / "config", text, 0600); }

    TemporaryFolder folder_;
};

TEST_F(FindDestination, FollowsTheSshConfiguration) {
    configure("Host alpha\n  HostName 10.0.0.1\n  HostKeyAlias Queen\n  Port 2222\n  UserKnownHostsFile /tmp/%k\n"
              "Host *.hive\n  HostName %h.example\n  GlobalKnownHostsFile none\n");
    const SshDestination alpha = find_destination("alpha", {});
    EXPECT_EQ(alpha.host, "10.0.0.1");
    EXPECT_EQ(alpha.port, 2222);
    EXPECT_EQ(alpha.key_alias, "queen");
    EXPECT_EQ(alpha.known_hosts.front(), "/tmp/queen");
    EXPECT_EQ(find_destination("alpha", 2200).port, 2200); // the hive's port takes precedence, as with ssh -p
    EXPECT_EQ(find_destination("beta.hive", {}).listed_as(), "beta.hive.example");
    EXPECT_EQ(find_destination("gamma", {}).host, "gamma");
}

TEST_F(FindDestination, NeverTakesAHostForAnOption) {
    configure("");
    for (const char* host : {"", "-oProxyCommand=true", "alpha beta", "alpha\nbeta"})
        EXPECT_THAT([&] { find_destination(host, {}); }, ThrowsMessage<Error>(HasSubstr("not a host name"))) << host;
}

TEST_F(FindDestination, ReportsWhatSshDoesNotUnderstand) {
    configure("Host *\n  NoSuchOption yes\n");
    EXPECT_THAT([&] { find_destination("alpha", {}); }, ThrowsMessage<Error>(HasSubstr("nosuchoption")));
}

TEST(SshTunnel, PromptsForNothingAndForwardsNothingElse) {
    const Command command = tunnel_command({"alpha", 2222, 9244});
    EXPECT_EQ(command.to_string(),
              "ssh -o BatchMode=yes -o ClearAllForwardings=yes -o ForwardAgent=no -o LogLevel=INFO "
              "-p 2222 -W localhost:9244 -- alpha");
    EXPECT_THROW(tunnel_command({"-oProxyCommand=true", {}, 9244}), Error);
}

TEST(TunnelFailure, IsDerivedFromTheOutputOfSsh) {
    const auto why = [](std::string_view words) { return tunnel_failure("ssh -W x", words, "closed at once"); };
    EXPECT_EQ(why(""), "closed at once (by `ssh -W x`)");
    EXPECT_THAT(why("Warning: Permanently added 'a'.\r\nroot@a: Permission denied (publickey).\r\n"),
                StartsWith("ssh leads to no agent: root@a: Permission denied (publickey). (`"));
    EXPECT_THAT(why("no way to alpha\nConnection closed by UNKNOWN port 65535\n"),
                StartsWith("ssh leads to no agent: no way to alpha (`"));
    EXPECT_THAT(
        why("A banner.\nchannel 0: open failed: administratively prohibited: open failed\n"
            "stdio forwarding failed\n"),
        AllOf(StartsWith("ssh leads to no agent: administratively prohibited"), HasSubstr("AllowTcpForwarding")));
    EXPECT_THAT(why("channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed\n"),
                AllOf(StartsWith("ssh leads to no agent: connect failed: Connection refused"),
                      HasSubstr("systemctl status waggle-agent.socket")));
}

// The ssh configuration runs a program for this host instead of a connection.
TEST_F(FindDestination, AFailedTunnelReportsTheErrorOfSsh) {
    configure("Host alpha\n  ProxyCommand sh -c 'echo no way to alpha >&2'\n");
    net::Client client;
    const auto connect = [&](Fd socket) {
        return client.connect_over(std::move(socket), "alpha", 9244, {}, deadline_in(std::chrono::seconds(20)));
    };
    EXPECT_THAT([&] { connect_through_ssh({"alpha", {}, 9244}, connect); },
                ThrowsMessage<net::Unreachable>(testing::AllOf(HasSubstr("no way to alpha"), HasSubstr("ssh -F"))));
}

} // namespace
} // namespace waggle::trigger
