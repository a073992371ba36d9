#include "tests/unit/agent/session_fixture.hpp"
#include "tests/unit/base/zstd_frame.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using namespace std::chrono_literals;
using protocol::DeploymentState;
using protocol::Goal;
using protocol::Outcome;
using testing::HasSubstr;

TEST_F(Session, ActivatesNothingForPush) {
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document([](auto& d) { d.goal = Goal::push; }));
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
    EXPECT_TRUE(units->started().empty());
    EXPECT_EQ(content.roots.size(), 1);
}

TEST_F(Session, ActivatesNothingWhenTheNodeIsUpToDate) {
    host.current = host.profile_path = closure.toplevel();
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::unchanged);
    EXPECT_TRUE(units->started().empty());
}

TEST_F(Session, InstallsTheBootLoaderOfARunningSystem) {
    host.current = host.profile_path = closure.toplevel();
    units->succeed();
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document([](auto& deployment) { deployment.install_boot_loader = true; }));
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
    EXPECT_TRUE(state->get().deployment->install_boot_loader);
    EXPECT_FALSE(units->started().empty());
}

TEST_F(Session, ActivatesARunningSystemThatIsNotTheProfile) {
    host.current = closure.toplevel();
    units->succeed();
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
}

// The last rule of admission can only be checked after the system has been fetched.
TEST_F(Session, ASystemThatLocksItsOperatorsOutIsNotActivated) {
    struct Case {
        std::optional<std::vector<ssh::PublicKey>> operators;
        std::string error;
        const char* code;
    };
    const Case cases[] = {
        {std::nullopt, "", "no-agent"},
        {std::vector<ssh::PublicKey>{}, "", "no-operator"},
        {std::vector{node_key.public_key()}, "", "no-confirmer"},
        {std::nullopt, "no such file", "agent-configuration"},
    };
    for (const auto& each : cases) {
        host.next_operators = each.operators;
        host.configuration_error = each.error;
        TestTrigger trigger(*environment, *deployments);
        deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        const auto result = trigger.next<protocol::Result>(&closure);
        EXPECT_EQ(result.outcome, Outcome::refused);
        EXPECT_EQ(result.code, each.code) << result.message;
        EXPECT_FALSE(trigger.saw(DeploymentState::staged));
    }
    EXPECT_TRUE(units->started().empty());
    EXPECT_EQ(deployments->operators(), std::vector{operator_key.public_key()});
}

TEST_F(Session, ASystemThatKeepsTheAgentsStateElsewhereIsNotActivated) {
    host.next_state_dir = "/persist/waggle";
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    const auto result = trigger.next<protocol::Result>(&closure);
    EXPECT_EQ(result.outcome, Outcome::refused);
    EXPECT_EQ(result.code, "state-directory");
    EXPECT_THAT(result.message, HasSubstr("/persist/waggle"));
    EXPECT_TRUE(units->started().empty());
}

TEST_F(Session, TheCommittedConfigurationDeterminesTheOperators) {
    const auto colleague = ssh::PrivateKey::generate();
    host.next_operators = {operator_key.public_key(), colleague.public_key()};
    units->roll_back("units-failed", "a.service failed");
    for (const bool committed : {false, true}) {
        TestTrigger trigger(*environment, *deployments);
        deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Result>(&closure);
        EXPECT_EQ(deployments->operators().size(), committed ? 2 : 1);
        units->succeed();
    }
    // An older generation is deployed again with its old operator list; the removed operator stays removed.
    host.next_operators = {operator_key.public_key()};
    units->succeed();
    for (const bool older : {false, true}) {
        if (older) {
            host.next_operators->push_back(colleague.public_key());
            host.generations = {closure.toplevel()};
        }
        TestTrigger trigger(*environment, *deployments);
        deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
        EXPECT_EQ(deployments->operators(), std::vector{operator_key.public_key()});
        units->succeed();
    }
}

TEST_F(Session, ALostSessionEndsTheFetchAndTheNextOneGoesOn) {
    {
        TestTrigger trigger(*environment, *deployments);
        deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Want>();
        trigger.send_nar(0, closure.nars[0]);
        trigger.send_nar(1, closure.nars[1].substr(0, 1000));
        trigger.close(); // after everything above was sent
    }
    EXPECT_EQ(state->get().deployment->outcome, Outcome::failed_before_activation);
    EXPECT_EQ(state->get().deployment->code, "session-lost");
    units->succeed();
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).fetched_paths, 2);
}

TEST_F(Session, ATriggerThatSendsNothingEndsTheFetch) {
    SessionLimits limits;
    limits.feed_stall = 50ms;
    TestTrigger trigger(*environment, *deployments, limits);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    const auto result = trigger.next<protocol::Result>();
    EXPECT_EQ(result.outcome, Outcome::failed_before_activation);
    EXPECT_EQ(result.code, "session-lost");
}

TEST_F(Session, CancelEndsTheFetch) {
    TestTrigger trigger(*environment, *deployments);
    const auto id = deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    trigger.next<protocol::Want>();
    trigger.send(protocol::Cancel{id});
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::interrupted);
    EXPECT_TRUE(content.valid.empty());
    EXPECT_TRUE(units->started().empty());
}

TEST_F(Session, CancelOfAnotherSessionEndsTheFetch) {
    TestTrigger trigger(*environment, *deployments);
    const auto id = deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    trigger.next<protocol::Want>();
    TestTrigger other(*environment, *deployments);
    other.send(protocol::Cancel{id});
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::interrupted);
}

TEST_F(Session, ReportsAWaitForTheStoreThatCanBeCancelled) {
    content.hangs = true;
    TestTrigger trigger(*environment, *deployments);
    const auto id = deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    trigger.next<protocol::Want>();
    while (trigger.events.empty() || !trigger.events.back().text.starts_with("adding /nix/store/"))
        trigger.events.push_back(trigger.next<protocol::Event>());
    TestTrigger other(*environment, *deployments);
    other.send(protocol::Cancel{id});
    EXPECT_EQ(trigger.next<protocol::Result>().code, "cancelled");
    EXPECT_TRUE(content.valid.empty());
    EXPECT_TRUE(units->started().empty());
}

TEST_F(Session, WrongBytesFailBeforeTheActivation) {
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    trigger.next<protocol::Want>();
    trigger.send_nar(0, std::string(closure.nars[0].size(), 'x'));
    const auto result = trigger.next<protocol::Result>();
    EXPECT_EQ(result.outcome, Outcome::failed_before_activation);
    EXPECT_EQ(result.code, "wrong-hash");
    EXPECT_TRUE(content.valid.empty());
    EXPECT_TRUE(units->started().empty());
}

TEST_F(Session, FetchesCompressedPaths) {
    units->succeed();
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    trigger.next<protocol::Want>();
    trigger.send_nar(0, closure.nars[0]);
    const std::string frame = zstd_frame(closure.nars[1]);
    for (size_t at = 0; at < frame.size(); at += 50'000)
        trigger.send_frame(1, frame.substr(at, 50'000));
    const std::string last = zstd_frame(closure.nars[2]);
    trigger.send_frame(2, last.substr(0, last.size() - 1));
    trigger.send_frame(2, last.substr(last.size() - 1)); // after the last byte of the NAR
    const auto result = trigger.next<protocol::Result>();
    EXPECT_EQ(result.outcome, Outcome::ok) << result.message;
    EXPECT_EQ(result.fetched_bytes, closure.nars[0].size() + closure.nars[1].size() + closure.nars[2].size());
    EXPECT_EQ(content.nars[closure.list[1].path], closure.nars[1]);
    EXPECT_EQ(content.nars[closure.list[2].path], closure.nars[2]);
}

TEST_F(Session, AWrongFrameFailsBeforeTheActivation) {
    // A NAR that decompresses to far more than was signed, and one whose hash is wrong.
    const std::string bomb = zstd_frame(std::string(32 << 20, '\0'));
    const std::string wrong = zstd_frame(std::string(closure.nars[0].size(), 'x'));
    const std::string short_frame = zstd_frame(closure.nars[0].substr(1));
    struct Case {
        std::string_view name;
        std::vector<std::pair<std::uint32_t, std::string>> pieces;
        std::string_view code;
        std::string_view message;
    };
    for (const auto& [name, pieces, code, message] : std::vector<Case>{
             {"bomb", {{0, bomb}}, "wrong-size", "more than the 16 bytes that were signed"},
             {"wrong content", {{0, wrong}}, "wrong-hash", "not the ones that were signed"},
             {"short content", {{0, short_frame}, {1, wrong}}, "wrong-path", "sent path 1 of the list instead"},
             {"truncated", {{0, bomb.substr(0, 5)}, {1, wrong}}, "fetch-failed", "is not complete"},
             {"trailing bytes", {{0, zstd_frame(closure.nars[0]) + "x"}}, "fetch-failed", "bytes follow the end"},
             {"no frame", {{0, closure.nars[0]}}, "fetch-failed", "cannot be decompressed"},
         }) {
        SCOPED_TRACE(name);
        TestTrigger trigger(*environment, *deployments);
        deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Want>();
        for (const auto& [index, bytes] : pieces)
            trigger.send_frame(index, bytes);
        const auto result = trigger.next<protocol::Result>();
        EXPECT_EQ(result.outcome, Outcome::failed_before_activation);
        EXPECT_EQ(result.code, code);
        EXPECT_THAT(result.message, HasSubstr(message));
        EXPECT_TRUE(content.valid.empty());
    }
    EXPECT_TRUE(units->started().empty());
}

TEST_F(Session, InVersion1RefusesCompressedPaths) {
    TestTrigger trigger(*environment, *deployments, {}, std::nullopt, 1);
    EXPECT_EQ(trigger.facts.version, 1);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    trigger.next<protocol::Want>();
    trigger.send_frame(0, zstd_frame(closure.nars[0]));
    const auto result = trigger.next<protocol::Result>();
    EXPECT_EQ(result.outcome, Outcome::failed_before_activation);
    EXPECT_THAT(result.message, HasSubstr("version 1 of the protocol"));
}

TEST_F(Session, AWrongClosureListFailsBeforeTheFetch) {
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Deploy{document()});
    auto text = closure.text;
    text[0] = 'd';
    trigger.send_list(text);
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>().code, "bad-closure-list");
}

TEST_F(Session, APathThatIsNotASystemIsNotActivated) {
    host.system = false;
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).code, "not-a-system");
    EXPECT_TRUE(units->started().empty());
}

// A system built elsewhere (--build-store, buildOnTarget), or device trees: the trigger did not know these files.
TEST_F(Session, ASystemWhoseKernelDoesNotFitIsNotActivated) {
    host.room = BootSpace{.folder = "/boot/nixos", .free_bytes = std::uint64_t{50} << 20, .files = {"1abc-initrd"}};
    host.files_to_boot = {{"1abc-initrd", std::uint64_t{90} << 20}, {"2def-dtbs", std::uint64_t{60} << 20}};
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).code, "no-boot-space");
    EXPECT_TRUE(units->started().empty());

    host.files_to_boot.back().bytes = std::uint64_t{40} << 20;
    TestTrigger other(*environment, *deployments);
    deploy(other, document());
    other.next<protocol::Admitted>();
    await_activation(other);
    units->succeed();
    EXPECT_EQ(other.next<protocol::Result>().outcome, protocol::Outcome::ok);
}

} // namespace
} // namespace waggle::agent
