#include "shared/base/file.hpp"
#include "tests/unit/ssh/ssh_keygen.hpp"
#include "trigger/connect/known_nodes.hpp"
#include "trigger/connect/pin.hpp"
#include "trigger/deploy/rollout.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

class ChoosePins : public testing::Test {
protected:
    ChoosePins() { node_.target_host = "alpha.example"; }

    std::vector<ssh::PublicKey> choose(const std::string& known_hosts) const {
        return choose(std::vector{KnownHostsFile{"known_hosts", known_hosts}});
    }
    std::vector<ssh::PublicKey> choose(const std::vector<KnownHostsFile>& files) const {
        SshDestination destination = plain_destination(*node_.target_host, node_.target_port);
        destination.key_alias = alias_;
        return choose_pins(node_, destination, files);
    }

    DeploymentOptions node_;
    std::optional<std::string> alias_;
    ssh::PublicKey key_ = ssh::PrivateKey::generate().public_key();
    ssh::PublicKey other_ = ssh::PrivateKey::generate().public_key();
};

TEST_F(ChoosePins, FromKnownHosts) {
    EXPECT_THAT(choose("alpha.example " + key_.to_string() + "\nbeta " + other_.to_string() + "\n"), ElementsAre(key_));
}

TEST(KnownHostsTrust, RefusesAFileThatOthersCanWrite) {
    const TemporaryFolder folder;
    const std::filesystem::path file = folder.path() / "known_hosts";
    write_file_atomically(file, "", 0666);
    std::filesystem::permissions(file, std::filesystem::perms(0666));
    EXPECT_THAT([&] { KnownHostsFiles files(std::vector{file}); },
                ThrowsMessage<NoPin>(AllOf(HasSubstr(file.string()), HasSubstr("chmod"))));
    std::filesystem::permissions(file, std::filesystem::perms(0664)); // writable by the user's own group only
    EXPECT_NO_THROW(KnownHostsFiles(std::vector{file}));
}

TEST_F(ChoosePins, FromKnownHostsUnderItsSshPort) {
    node_.target_port = 2222;
    const std::string line = "[alpha.example]:2222 " + key_.to_string() + "\n";
    EXPECT_THAT(choose(line + "alpha.example " + other_.to_string() + "\n"), testing::Contains(key_));
    node_.target_port = 2223;
    EXPECT_THROW(choose(line), NoPin);
}

TEST_F(ChoosePins, ReturnsEachListedKeyOnce) {
    const std::string lines = "alpha.example " + key_.to_string() + "\nalpha.example " + other_.to_string() + "\n";
    EXPECT_EQ(choose(lines + lines).size(), 2u);
}

TEST_F(ChoosePins, FromTheHive) {
    node_.agent_host_key = key_.to_string();
    EXPECT_THAT(choose(""), ElementsAre(key_));
    EXPECT_THAT(choose("alpha.example " + key_.to_string() + "\n"), ElementsAre(key_));
}

TEST_F(ChoosePins, HiveAndKnownHostsMustAgree) {
    node_.agent_host_key = key_.to_string();
    EXPECT_THAT([&] { choose("alpha.example " + other_.to_string() + "\n"); },
                ThrowsMessage<NoPin>(AllOf(HasSubstr(key_.fingerprint()), HasSubstr(other_.fingerprint()))));
}

TEST_F(ChoosePins, ARevokedKeyIsRefused) {
    const std::string revoked = "@revoked alpha.example " + key_.to_string() + "\n";
    EXPECT_THAT([&] { choose(revoked + "alpha.example " + key_.to_string() + "\n"); },
                ThrowsMessage<NoPin>(AllOf(HasSubstr("@revoked"), HasSubstr("needs a new one"))));
    node_.agent_host_key = key_.to_string();
    EXPECT_THAT([&] { choose(revoked); }, ThrowsMessage<NoPin>(HasSubstr("@revoked")));
}

TEST_F(ChoosePins, ExplainsHowToAddAMissingPin) {
    EXPECT_THAT([&] { choose(""); },
                ThrowsMessage<NoPin>(AllOf(HasSubstr("ssh-keyscan -t ed25519 alpha.example"), HasSubstr("console"),
                                           HasSubstr("alpha.example ssh-ed25519 AAAA"),
                                           HasSubstr("deployment.agent.hostKey"))));
    node_.target_port = 2222;
    EXPECT_THAT([&] { choose(""); },
                ThrowsMessage<NoPin>(AllOf(HasSubstr("-p 2222"), HasSubstr("[alpha.example]:2222 ssh-ed25519"))));
}

TEST_F(ChoosePins, NamesAnInvalidHostKeyOfTheHive) {
    node_.agent_host_key = "ssh-rsa AAAA";
    EXPECT_THAT([&] { choose(""); }, ThrowsMessage<NoPin>(HasSubstr("deployment.agent.hostKey")));
}

TEST_F(ChoosePins, FromKnownHostsUnderAnAliasWithoutAPort) {
    alias_ = "Queen";
    node_.target_port = 2222;
    const std::string lines = "queen " + key_.to_string() + "\n[alpha.example]:2222 " + other_.to_string() + "\n";
    EXPECT_THAT(choose(lines), ElementsAre(key_));
    EXPECT_THAT([&] { choose("[queen]:2222 " + key_.to_string() + "\n"); },
                ThrowsMessage<UnknownHost>(HasSubstr("    queen ssh-ed25519 AAAA")));
}

TEST_F(ChoosePins, RevokedInOneFileIsRevokedInAll) {
    const KnownHostsFile own{"own", "alpha.example " + key_.to_string() + "\n"};
    const KnownHostsFile machine{"machine", "@revoked * " + key_.to_string() + "\n"};
    EXPECT_THAT([&] { choose(std::vector{own, machine}); }, ThrowsMessage<NoPin>(HasSubstr("@revoked")));
    EXPECT_THAT([&] { choose(std::vector{machine, own}); }, ThrowsMessage<NoPin>(HasSubstr("@revoked")));
}

TEST_F(ChoosePins, ACertificateAuthorityIsNotAPinAndContradictsNone) {
    const std::string authority = "@cert-authority * " + other_.to_string() + "\n";
    EXPECT_THROW(choose(authority), UnknownHost);
    node_.agent_host_key = key_.to_string();
    EXPECT_THAT(choose(authority), ElementsAre(key_));
}

TEST_F(ChoosePins, AConflictNamesTheFile) {
    node_.agent_host_key = key_.to_string();
    EXPECT_THAT([&] { choose("alpha.example " + other_.to_string() + "\n"); },
                ThrowsMessage<NoPin>(HasSubstr(other_.fingerprint() + " in known_hosts")));
}

TEST_F(ChoosePins, TheLineToAddIsWhole) {
    SshDestination destination = plain_destination("alpha.example", 2222);
    EXPECT_THAT(line_to_add(destination, key_), AllOf(HasSubstr("    [alpha.example]:2222 " + key_.to_string()),
                                                      HasSubstr(key_.fingerprint()), HasSubstr("console")));
}

TEST_F(ChoosePins, AKeyInARevocationListIsRefused) {
    const TemporaryFolder folder;
    SshDestination destination = plain_destination("alpha.example", {});
    destination.revoked_keys = {folder.path() / "revoked"};
    write_file_atomically(destination.revoked_keys.front(), other_.to_string() + "\n", 0600);
    require_not_revoked({key_}, destination);
    EXPECT_THAT([&] { require_not_revoked({key_, other_}, destination); },
                ThrowsMessage<NoPin>(AllOf(HasSubstr(other_.fingerprint()), HasSubstr("RevokedHostKeys"))));
    // The binary form (a KRL).
    ssh::ssh_keygen({"-q", "-k", "-f", folder.path() / "krl", folder.path() / "revoked"});
    destination.revoked_keys = {folder.path() / "krl"};
    require_not_revoked({key_}, destination);
    EXPECT_THROW(require_not_revoked({other_}, destination), NoPin);
    destination.revoked_keys = {folder.path() / "missing"}; // ssh refuses every key then
    EXPECT_THAT([&] { require_not_revoked({key_}, destination); }, ThrowsMessage<NoPin>(HasSubstr("cannot be read")));
}

TEST_F(ChoosePins, FindsTheKeyUnderAnyAddressOfANode) {
    DeploymentOptions moved, nowhere;
    moved.target_host = "new.example";
    moved.other_hosts = {"old.example"};
    nowhere.target_host = "x.example";
    nowhere.other_hosts = {"y.example"};
    const TemporaryFolder folder;
    const auto file = folder.path() / "known_hosts";
    write_file_atomically(file, "old.example " + key_.to_string() + "\n", 0600);
    KnownHostsFiles known_hosts(std::vector{file});
    const Pins pins = find_pins({{"moved", moved}, {"nowhere", nowhere}}, known_hosts);
    EXPECT_THAT(pins.nodes.at("moved").keys, ElementsAre(key_));
    EXPECT_EQ(pins.nodes.at("moved").destination.host, "new.example");
    EXPECT_EQ(pins.nodes.at("moved").others.at(0).host, "old.example");
    EXPECT_EQ(pins.unknown.at("nowhere").host, "x.example");
}

TEST_F(ChoosePins, TwoNodesWithOneKeyAreBothRefused) {
    DeploymentOptions a, b, c;
    a.target_host = "a";
    b.target_host = "b";
    c.target_host = "c";
    const std::string text = "a,b " + key_.to_string() + "\nc " + other_.to_string() + "\n";
    const TemporaryFolder folder;
    const auto file = folder.path() / "known_hosts";
    write_file_atomically(file, text, 0600);
    KnownHostsFiles known_hosts(std::vector{file});
    const Pins pins = find_pins({{"a", a}, {"b", b}, {"c", c}}, known_hosts);
    EXPECT_EQ(pins.refusals.size(), 2u);
    EXPECT_THAT(pins.refusals.at("a"), AllOf(HasSubstr("a and b"), HasSubstr(key_.fingerprint())));
    EXPECT_THAT(pins.refusals.at("b"), HasSubstr("a and b"));
    EXPECT_THAT(find_shared_keys({{"a", {key_}}, {"c", {other_}}}), IsEmpty());
}

} // namespace
} // namespace waggle::trigger
