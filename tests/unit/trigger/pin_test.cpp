#include "trigger/deploy/pin.hpp"
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
        return choose_pins(node_, std::vector{KnownHostsFile{"known_hosts", known_hosts}});
    }

    DeploymentOptions node_;
    ssh::PublicKey key_ = ssh::PrivateKey::generate().public_key();
    ssh::PublicKey other_ = ssh::PrivateKey::generate().public_key();
};

TEST_F(ChoosePins, FromKnownHosts) {
    EXPECT_THAT(choose("alpha.example " + key_.to_string() + "\nbeta " + other_.to_string() + "\n"), ElementsAre(key_));
}

TEST_F(ChoosePins, FromKnownHostsUnderItsSshPort) {
    node_.target_port = 2222;
    const std::string line = "[alpha.example]:2222 " + key_.to_string() + "\n";
    EXPECT_THAT(choose(line + "alpha.example " + other_.to_string() + "\n"), testing::Contains(key_));
    node_.target_port = 2223;
    EXPECT_THROW(choose(line), NoPin);
}

TEST_F(ChoosePins, AnyOfSeveralListedKeysEachOnce) {
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
    EXPECT_THROW(choose(revoked + "alpha.example " + key_.to_string() + "\n"), NoPin);
    node_.agent_host_key = key_.to_string();
    EXPECT_THAT([&] { choose(revoked); }, ThrowsMessage<NoPin>(HasSubstr("@revoked")));
}

TEST_F(ChoosePins, NoneSaysHowToGetOneAndWhatToAdd) {
    EXPECT_THAT([&] { choose(""); },
                ThrowsMessage<NoPin>(AllOf(HasSubstr("ssh-keyscan -t ed25519 alpha.example"), HasSubstr("console"),
                                           HasSubstr("alpha.example ssh-ed25519 AAAA"),
                                           HasSubstr("deployment.agent.hostKey"))));
    node_.target_port = 2222;
    EXPECT_THAT([&] { choose(""); },
                ThrowsMessage<NoPin>(AllOf(HasSubstr("-p 2222"), HasSubstr("[alpha.example]:2222 ssh-ed25519"))));
}

TEST_F(ChoosePins, ABrokenHostKeyIsNamed) {
    node_.agent_host_key = "ssh-rsa AAAA";
    EXPECT_THAT([&] { choose(""); }, ThrowsMessage<NoPin>(HasSubstr("deployment.agent.hostKey")));
}

TEST_F(ChoosePins, TwoNodesWithOneKeyAreBothRefused) {
    DeploymentOptions a, b, c;
    a.target_host = "a";
    b.target_host = "b";
    c.target_host = "c";
    const std::string text = "a,b " + key_.to_string() + "\nc " + other_.to_string() + "\n";
    const Pins pins = find_pins({{"a", a}, {"b", b}, {"c", c}}, std::vector{KnownHostsFile{"k", text}});
    EXPECT_EQ(pins.refusals.size(), 2u);
    EXPECT_THAT(pins.refusals.at("a"), AllOf(HasSubstr("a and b"), HasSubstr(key_.fingerprint())));
    EXPECT_THAT(pins.refusals.at("b"), HasSubstr("a and b"));
    EXPECT_THAT(find_shared_keys({{"a", {key_}}, {"c", {other_}}}), IsEmpty());
}

} // namespace
} // namespace waggle::trigger
