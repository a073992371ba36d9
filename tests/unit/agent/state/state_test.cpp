#include "agent/state/state.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

ssh::PublicKey test_key() {
    return ssh::PublicKey::parse("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB");
}

State full_state() {
    State state;
    state.last_admitted = LastAdmitted{protocol::DeploymentId::parse(std::string(64, 'a')), 5, test_time, "SHA256:x"};
    DeploymentRecord record;
    record.id = state.last_admitted->id;
    record.goal = protocol::Goal::boot;
    record.toplevel = test_path('a', "sys");
    record.state = protocol::DeploymentState::activating;
    record.since = test_time;
    record.operator_key = "SHA256:x";
    record.next_operators = OperatorList{.current = {test_key()}, .removed = {}};
    record.previous_system = test_path('b', "old");
    record.outcome = protocol::Outcome::rolled_back;
    record.code = "units-failed";
    record.message = "a line that is not UTF-8: \xff";
    record.generation = 3;
    record.fetched_paths = 4;
    record.fetched_bytes = 5;
    state.deployment = record;
    state.operators = OperatorList{.current = {}, .removed = {test_key()}};
    return state;
}

TEST(State, TruncatesLongFieldsSoThatItCanBeReadBack) {
    const TemporaryFolder folder;
    StateKeeper keeper(folder.path());
    keeper.change([](State& state) {
        state = full_state();
        state.deployment->failed_units.clear();
        for (int i = 0; i < 5000; ++i)
            state.deployment->failed_units.push_back(std::string(240, 'x') + std::to_string(i) + ".service");
        state.deployment->problem = std::string(200'000, 'y');
        state.deployment->message = "ä";
        for (int i = 0; i < 200'000; ++i)
            state.deployment->message += "ö";
    });
    EXPECT_EQ(keeper.condition(), StateKeeper::Condition::known) << keeper.problem();
    const auto record = *keeper.get().deployment;
    EXPECT_EQ(record.failed_units.size(), 500U);
    EXPECT_LT(record.problem.size(), 17'000U);
    EXPECT_TRUE(record.message.ends_with("more bytes)"));
}

TEST(State, IsNotWrittenIfItCouldNotBeReadBack) {
    const TemporaryFolder folder;
    StateKeeper keeper(folder.path());
    keeper.change([](State& state) { state = full_state(); });
    EXPECT_THROW(keeper.change([](State& state) { state.deployment->config = std::string(100'000, '/'); }), Error);
    EXPECT_THROW(keeper.change([](State& state) {
        state.operators->removed.assign(2000, test_key()); // more than are read
    }),
                 Error);
    EXPECT_EQ(keeper.condition(), StateKeeper::Condition::known);
    EXPECT_EQ(keeper.get().deployment->config, full_state().deployment->config);
}

TEST(State, SurvivesItsFile) {
    const TemporaryFolder folder;
    {
        StateKeeper keeper(folder.path());
        EXPECT_EQ(keeper.condition(), StateKeeper::Condition::none);
        keeper.change([](State& state) { state = full_state(); });
    }
    StateKeeper keeper(folder.path());
    ASSERT_EQ(keeper.condition(), StateKeeper::Condition::known) << keeper.problem();
    const auto state = keeper.get();
    EXPECT_EQ(state.last_admitted->id, full_state().last_admitted->id);
    EXPECT_EQ(state.last_admitted->sequence, 5);
    EXPECT_EQ(state.last_admitted->created, test_time);
    const auto& record = *state.deployment;
    EXPECT_EQ(record.goal, protocol::Goal::boot);
    EXPECT_EQ(record.toplevel, test_path('a', "sys"));
    EXPECT_EQ(record.state, protocol::DeploymentState::activating);
    EXPECT_EQ(record.previous_system, test_path('b', "old"));
    EXPECT_EQ(record.previous_profile, std::nullopt);
    EXPECT_EQ(record.outcome, protocol::Outcome::rolled_back);
    EXPECT_EQ(record.generation, 3);
    EXPECT_EQ(record.fetched_bytes, 5);
    EXPECT_EQ(record.next_operators, full_state().deployment->next_operators);
    EXPECT_EQ(state.operators, full_state().operators);
}

// The state of an older release must remain readable, or an update would lock all operators out.
TEST(State, ReadsTheStateOfAnOlderAgent) {
    const auto state = parse_state_text(
        R"({"v":1,"lastAdmitted":{"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","sequence":5,)"
        R"("created":"2026-11-22T10:00:00Z","operator":"SHA256:x"},"deployment":{)"
        R"("id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","goal":"switch",)"
        R"("toplevel":"/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-sys","rollback":{"enable":true,"confirmTimeout":60,)"
        R"("activationTimeout":1800,"keepOnFailedUnits":false},"reboot":"never","removeAgent":false,)"
        R"("state":"committed","since":"2026-11-22T10:00:00Z","trail":[],"operator":"SHA256:x",)"
        R"("previousSystem":null,"previousProfile":null,"previousProfileLink":"","agent":"","bootId":"",)"
        R"("failedUnits":[],"problemCode":"","problem":"","outcome":"ok","code":"","message":"","generation":1,)"
        R"("fetchedPaths":0,"fetchedBytes":0}})",
        "state.json");
    EXPECT_EQ(state.last_admitted->sequence, 5);
    EXPECT_EQ(state.operators, std::nullopt);
}

TEST(State, ReportsThatANewerAgentWroteIt) {
    const TemporaryFolder folder;
    write_file_atomically(StateKeeper::file_in(folder.path()), R"({"v":999,"more":1})", 0600);
    EXPECT_NE(StateKeeper(folder.path()).problem().find("a newer agent has written it"), std::string::npos);
}

// A state as an agent with the first format left it on a node.
State of_version_1() {
    State state = full_state();
    state.version = 1;
    state.deployment->outcome.reset();
    state.deployment->state = protocol::DeploymentState::activated;
    return state;
}

TEST(State, ReadsAnOlderFormat) {
    const auto state = parse_state_text(to_text(of_version_1()), "state");
    EXPECT_EQ(state.version, 1);
    EXPECT_EQ(state.deployment->toplevel, test_path('a', "sys"));
}

TEST(State, KeepsAnOlderFormatUntilACommit) {
    const TemporaryFolder folder;
    const auto file = StateKeeper::file_in(folder.path());
    write_file_atomically(file, to_text(of_version_1()), 0600);
    StateKeeper keeper(folder.path());
    keeper.change([](State& state) {
        advance(*state.deployment, StateEvent::commit, test_time);
        state.deployment->target = test_path('c', "special");
    });
    const auto before = read_file(file, 1 << 20);
    EXPECT_NE(before.find("\"v\": 1"), std::string::npos) << before;
    EXPECT_EQ(before.find("target"), std::string::npos) << "the agent of before could not read it";

    keeper.change([](State& state) { advance(*state.deployment, StateEvent::committed, test_time); });
    const auto after = read_file(file, 1 << 20);
    EXPECT_NE(after.find("\"v\": 2"), std::string::npos) << after;
    EXPECT_EQ(keeper.condition(), StateKeeper::Condition::known) << keeper.problem();
}

TEST(State, HasTheNewestFormatOnAFreshNode) {
    const TemporaryFolder folder;
    StateKeeper keeper(folder.path());
    keeper.change([](State& state) { state.last_admitted = full_state().last_admitted; });
    EXPECT_EQ(keeper.get().version, newest_state_version);
}

class UnusableState : public testing::TestWithParam<const char*> {};

TEST_P(UnusableState, IsNeitherUsedNorOverwritten) {
    const TemporaryFolder folder;
    const auto file = StateKeeper::file_in(folder.path());
    write_file_atomically(file, GetParam(), 0600);
    StateKeeper keeper(folder.path());
    EXPECT_EQ(keeper.condition(), StateKeeper::Condition::corrupt);
    EXPECT_NE(keeper.problem().find(file.string()), std::string::npos) << keeper.problem();
    EXPECT_NE(keeper.problem().find("`waggle-agent status`"), std::string::npos);
    EXPECT_THROW(keeper.change([](State&) {}), Error);
    EXPECT_EQ(read_file(file, 1 << 20), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Texts, UnusableState,
                         testing::Values("", "{", R"({"v":3,"lastAdmitted":null,"deployment":null})",
                                         R"({"v":0,"lastAdmitted":null,"deployment":null})",
                                         R"({"v":1,"lastAdmitted":null})",
                                         R"({"v":1,"lastAdmitted":null,"deployment":null,"more":1})",
                                         R"({"v":1,"lastAdmitted":{"id":"short"},"deployment":null})"));

TEST(State, KeepsTheOldOneInMemoryWhenTheNewOneCannotBeWritten) {
    const TemporaryFolder folder;
    StateKeeper keeper(folder.path() / "not there");
    EXPECT_THROW(keeper.change([](State& state) { state = full_state(); }), Error);
    EXPECT_FALSE(keeper.get().deployment);
}

TEST(State, NamesARequiredFieldThatIsMissing) {
    EXPECT_THAT([] { State().require_deployment(); }, ThrowsMessage<Error>(HasSubstr("record of the deployment")));
    auto state = full_state();
    EXPECT_EQ(state.require_deployment().require_toplevel(), test_path('a', "sys"));
    state.deployment->toplevel.reset();
    EXPECT_THAT([&] { state.require_deployment().require_toplevel(); }, ThrowsMessage<Error>(HasSubstr("a toplevel")));
}

} // namespace
} // namespace waggle::agent
