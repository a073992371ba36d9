// Tests with the real ssh-agent, and with answers that no agent should give.

#include "shared/ssh/agent.hpp"
#include "shared/ssh/sshsig.hpp"
#include "shared/ssh/wire.hpp"
#include "tests/unit/ssh/running_agent.hpp"
#include "tests/unit/ssh/ssh_keygen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::ssh {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

Deadline soon() {
    return deadline_in(std::chrono::seconds(20));
}

TEST(SshAgent, SignsWhatSshKeygenVerifies) {
    const TemporaryFolder folder;
    RunningAgent running(folder);
    const auto file = make_key(folder, "ed25519");
    running.add({file});
    const Agent agent(running.socket());
    const AgentKeys keys = agent.keys(soon());
    ASSERT_EQ(keys.ed25519.size(), 1u);
    EXPECT_EQ(keys.ed25519.front().key, PrivateKey::load(file).public_key());
    EXPECT_EQ(keys.ed25519.front().comment, "somebody@example");
    EXPECT_THAT(keys.other_types, IsEmpty());

    const AgentKey key(agent, keys.ed25519.front().key);
    // Ed25519 signatures are deterministic.
    EXPECT_EQ(sshsig_sign(key, "waggle-session", "dance"),
              sshsig_sign(PrivateKey::load(file), "waggle-session", "dance"));
}

TEST(SshAgent, NamesKeysOfOtherTypes) {
    const TemporaryFolder folder;
    RunningAgent running(folder);
    running.add({make_key(folder, "rsa")});
    const AgentKeys keys = Agent(running.socket()).keys(soon());
    EXPECT_THAT(keys.ed25519, IsEmpty());
    EXPECT_THAT(keys.other_types, ElementsAre(HasSubstr("RSA")));
}

TEST(SshAgent, ExplainsWhatItMayNotSign) {
    const TemporaryFolder folder;
    RunningAgent running(folder);
    const auto file = make_key(folder, "ed25519");
    const PublicKey key = PrivateKey::load(file).public_key();
    const Agent agent(running.socket());
    const auto refuses =
        ThrowsMessage<AgentError>(testing::AllOf(HasSubstr(key.fingerprint()), HasSubstr("restriction")));

    EXPECT_THAT([&] { agent.sign(key, "dance", soon()); }, refuses); // it does not hold it
    running.add({"-c", file});                                       // each use must be confirmed, and no user does
    EXPECT_THAT([&] { agent.sign(key, "dance", soon()); }, refuses);
    running.add({"-D"});
    write_file_atomically(folder.path() / "hosts", "alpha " + key.to_string() + "\n", 0600);
    running.add({"-H", folder.path() / "hosts", "-h", "alpha", file}); // for logging in to alpha only
    EXPECT_THAT([&] { agent.sign(key, "dance", soon()); }, refuses);
}

TEST(SshAgent, AMissingAgentIsReported) {
    const TemporaryFolder folder;
    EXPECT_THAT([&] { Agent(folder.path() / "none").keys(soon()); },
                ThrowsMessage<AgentError>(HasSubstr("SSH_AUTH_SOCK")));
    EXPECT_THROW(Agent(std::string(300, 'x')).keys(soon()), AgentError);
}

TEST(SshAgent, MalformedAnswersAreRefused) {
    std::string answer;
    put_u32(answer, 3'000);
    EXPECT_THROW(parse_agent_keys(answer), BadWire);
    answer.clear();
    put_u32(answer, 1);
    EXPECT_THROW(parse_agent_keys(answer), BadWire);
    put_string(answer, PrivateKey::generate().public_key().wire());
    put_string(answer, "comment");
    EXPECT_EQ(parse_agent_keys(answer).ed25519.size(), 1u);
    EXPECT_THROW(parse_agent_keys(answer + "x"), BadWire);

    std::string signature, framed;
    put_string(signature, "ssh-ed25519");
    put_string(signature, std::string(63, 'x'));
    put_string(framed, signature);
    EXPECT_THROW(parse_agent_signature(framed), BadWire);
}

} // namespace
} // namespace waggle::ssh
