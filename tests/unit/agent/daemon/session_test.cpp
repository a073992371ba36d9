#include "tests/unit/agent/session_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using protocol::DeploymentState;
using protocol::Goal;
using protocol::Outcome;
using testing::HasSubstr;

TEST_F(Session, DeploysFromReceivedToCommitted) {
    host.current = test_path('a', "old");
    units->succeed();
    TestTrigger trigger(*environment, *deployments);
    const auto id = deploy(trigger, document());
    EXPECT_FALSE(trigger.next<protocol::Admitted>().attached);
    const auto result = trigger.next<protocol::Result>(&closure);
    EXPECT_EQ(result.id, id);
    EXPECT_EQ(result.outcome, Outcome::ok) << result.message;
    EXPECT_EQ(result.generation, 8);
    EXPECT_EQ(result.fetched_paths, 3);
    for (const auto each : {DeploymentState::received, DeploymentState::fetching, DeploymentState::staged,
                            DeploymentState::activating, DeploymentState::activated, DeploymentState::committed})
        EXPECT_TRUE(trigger.saw(each)) << to_string(each);
    for (size_t i = 0; i < trigger.events.size(); ++i)
        EXPECT_EQ(trigger.events[i].number, i + 1);
    EXPECT_TRUE(std::ranges::any_of(trigger.events, [](const auto& event) {
        return event.kind == protocol::Event::Kind::log && event.text == "starting the following units: a.service";
    }));
    EXPECT_EQ(units->started(), (std::vector<std::string>{"arm", "activate"}));
    EXPECT_EQ(content.roots.at(folder.path() / "gcroots" / id.brief()), closure.toplevel());
    const auto record = *state->get().deployment;
    EXPECT_EQ(record.state, DeploymentState::committed);
    EXPECT_EQ(record.outcome, Outcome::ok);
    EXPECT_EQ(record.previous_system, host.current);
    EXPECT_EQ(record.previous_profile_link, "system-7-link");
    EXPECT_EQ(record.boot_id, "boot-1");
    EXPECT_EQ(record.failed_units, std::vector<std::string>{"failed-before.service"});
    EXPECT_EQ(record.generation, 8);
    std::vector<DeploymentState> states;
    for (const auto& entry : record.state_log)
        states.push_back(entry.state);
    EXPECT_THAT(states,
                testing::ElementsAre(DeploymentState::received, DeploymentState::fetching, DeploymentState::staged,
                                     DeploymentState::activating, DeploymentState::activated,
                                     DeploymentState::committing, DeploymentState::committed));
}

TEST_F(Session, ReportsThatItCancelsAPendingOneTimeBoot) {
    leave(DeploymentState::awaiting_reboot);
    state->change([](State& all) { end(*all.deployment, {}); });
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document([](auto& d) { d.goal = Goal::push; }));
    trigger.next<protocol::Admitted>();
    trigger.next<protocol::Result>(&closure);
    EXPECT_TRUE(std::ranges::any_of(trigger.events, [](const auto& event) {
        return event.text.find("cancelled the pending one-time boot") != std::string::npos;
    }));
}

TEST_F(Session, RefusesWithoutRecordingWhileTheNixDaemonIsAway) {
    content.away = true;
    TestTrigger trigger(*environment, *deployments);
    EXPECT_EQ(trigger.facts.nix_version, "");
    deploy(trigger, document());
    EXPECT_EQ(trigger.next<protocol::Refused>().code, "nix-daemon-away");
    EXPECT_FALSE(state->get().last_admitted);
}

TEST_F(Session, RefusesAReplay) {
    units->succeed();
    const auto first = document();
    const auto second = document();
    for (const auto& each : {first, second}) {
        TestTrigger trigger(*environment, *deployments);
        deploy(trigger, each);
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Result>(&closure);
        units->succeed();
    }
    EXPECT_EQ(refusal_of(first).code, "replayed");
}

TEST_F(Session, RefusesAnotherDeploymentWhileOneRuns) {
    TestTrigger holder(*environment, *deployments);
    deploy(holder, document());
    holder.next<protocol::Admitted>();
    holder.next<protocol::Want>();
    const auto refused = refusal_of(document());
    EXPECT_EQ(refused.code, "busy");
    EXPECT_THAT(refused.message, HasSubstr(operator_key.public_key().fingerprint()));
    EXPECT_TRUE(TestTrigger(*environment, *deployments).facts.running);
}

TEST_F(Session, RefusesEverythingOnACorruptState) {
    write_file_atomically(StateKeeper::file_in(folder.path()), "{", 0600);
    start_agent();
    const auto refused = refusal_of(document());
    EXPECT_EQ(refused.code, "corrupt-state");
    EXPECT_THAT(refused.message, HasSubstr("waggle-agent status"));
    EXPECT_THAT(refused.message, HasSubstr("--reset-state"));
}

TEST_F(Session, ResetStateSetsAsideAnUnreadableState) {
    for (const auto* text : {"{", R"({"v":999,"lastAdmitted":null,"deployment":null})"}) {
        write_file_atomically(StateKeeper::file_in(folder.path()), text, 0600);
        start_agent();
        units->succeed();
        TestTrigger trigger(*environment, *deployments);
        EXPECT_EQ(trigger.facts.last_sequence, 0);
        const auto id = deploy(trigger, document([](auto& deployment) { deployment.reset_state = true; }));
        trigger.next<protocol::Admitted>();
        EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
        EXPECT_EQ(state->get().last_admitted->id, id);
        EXPECT_EQ(read_file(StateKeeper::file_in(folder.path()).string() + ".corrupt", 1 << 20), text);
    }
}

TEST_F(Session, ResetStateKeepsAReadableState) {
    units->succeed();
    const auto old = document();
    {
        TestTrigger trigger(*environment, *deployments);
        deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Result>(&closure);
    }
    auto reset = protocol::parse_deployment(old.payload);
    reset.reset_state = true;
    EXPECT_EQ(refusal_of(protocol::sign(reset, operator_key)).code, "replayed");
}

TEST_F(Session, ALostStateMakesAFreshNode) {
    units->succeed();
    for (int i = 0; i < 2; ++i) {
        TestTrigger trigger(*environment, *deployments);
        EXPECT_FALSE(trigger.facts.last_admitted);
        deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
        std::filesystem::remove(StateKeeper::file_in(folder.path()));
        units->succeed();
    }
}

// A backup was restored: an operator who has deployed since then learns that the node does not know the deployment.
TEST_F(Session, RefusesAParentThatARestoredStateDoesNotKnow) {
    units->succeed();
    std::string older;
    protocol::DeploymentId last;
    for (int i = 0; i < 2; ++i) {
        TestTrigger trigger(*environment, *deployments);
        last = deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Result>(&closure);
        if (i == 0)
            older = read_file(StateKeeper::file_in(folder.path()), 1 << 20);
        units->succeed();
    }
    write_file_atomically(StateKeeper::file_in(folder.path()), older, 0600);
    start_agent();
    EXPECT_EQ(refusal_of(document([&](auto& deployment) { deployment.parent = last; })).code, "parent");
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document([&](auto& deployment) { deployment.parent = trigger.facts.last_admitted; }));
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
}

TEST_F(Session, RefusesAnOperatorWhoWasRemovedDuringTheSession) {
    TestTrigger trigger(*environment, *deployments, {}, operator_key.public_key());
    trigger.send(protocol::GetHistory{.limit = 1});
    trigger.next<protocol::History>();
    state->change([&](State& all) { all.operators = OperatorList{.current = {node_key.public_key()}, .removed = {}}; });
    trigger.send(protocol::GetHistory{.limit = 1});
    EXPECT_EQ(trigger.next<protocol::Refused>().code, "unknown-operator");
}

TEST_F(Session, AttachesToTheSameDeployment) {
    const auto same = document();
    TestTrigger first(*environment, *deployments);
    deploy(first, same);
    first.next<protocol::Admitted>();
    TestTrigger second(*environment, *deployments);
    deploy(second, same);
    EXPECT_TRUE(second.next<protocol::Admitted>().attached);
    units->succeed();
    EXPECT_EQ(first.next<protocol::Result>(&closure).outcome, Outcome::ok);
    EXPECT_EQ(second.next<protocol::Result>().outcome, Outcome::ok);
    EXPECT_EQ(units->started(), (std::vector<std::string>{"arm", "activate"}));
}

TEST_F(Session, AttachGoesOnAfterTheGivenEvent) {
    units->succeed();
    TestTrigger first(*environment, *deployments);
    const auto id = deploy(first, document());
    first.next<protocol::Admitted>();
    first.next<protocol::Result>(&closure);
    TestTrigger second(*environment, *deployments);
    second.send(protocol::Attach{id, 2});
    EXPECT_TRUE(second.next<protocol::Admitted>().attached);
    EXPECT_EQ(second.next<protocol::Event>().number, 3);
    second.next<protocol::Result>();
}

TEST_F(Session, AttachToAnUnknownDeploymentIsRefused) {
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{{}, 0});
    EXPECT_EQ(trigger.next<protocol::Refused>().code, "unknown-deployment");
}

TEST_F(Session, CancelComesTooLateForAnActivation) {
    for (std::uint32_t i = 0; i < 3; ++i)
        content.valid.emplace(closure.list[i].path, protocol::path_info(closure.list, i));
    TestTrigger trigger(*environment, *deployments);
    const auto id = deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    await_activation(trigger);
    trigger.send(protocol::Cancel{id});
    const auto note = trigger.next<protocol::Event>();
    EXPECT_EQ(note.kind, protocol::Event::Kind::note);
    units->succeed();
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::ok);
}

TEST_F(Session, AUnitThatCannotBeStartedFailsBeforeTheActivation) {
    units->start_error = "systemd-run failed";
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    const auto result = trigger.next<protocol::Result>(&closure);
    EXPECT_EQ(result.outcome, Outcome::failed_before_activation);
    EXPECT_EQ(result.code, "activation-not-started");
}

TEST_F(Session, AnAgentOfTheNewSystemCommitsOnConfirmation) {
    host.current = closure.toplevel();
    leave(DeploymentState::activated);
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    EXPECT_EQ(trigger.facts.awaits_confirmation, protocol::DeploymentId{});
    EXPECT_EQ(trigger.facts.boot_id, "boot-1");
    trigger.send(protocol::Attach{{}, 0});
    trigger.send(protocol::Confirm{{}});
    trigger.next<protocol::Admitted>();
    units->write({StateEvent::commit, StateEvent::committed}, Ending{});
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::ok);
    EXPECT_EQ(units->started(), std::vector<std::string>{"commit"});
}

TEST_F(Session, ASecondConfirmationIsRefused) {
    host.current = closure.toplevel();
    leave(DeploymentState::activated);
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Confirm{{}});
    trigger.send(protocol::Confirm{{}});
    EXPECT_EQ(trigger.next<protocol::Refused>().code, "not-awaited");
    EXPECT_EQ(units->started(), std::vector<std::string>{"commit"});
}

TEST_F(Session, AnAgentFromBeforeTheActivationRefusesConfirmation) {
    TestTrigger trigger(*environment, *deployments);
    const auto id = deploy(trigger, document());
    units->write({StateEvent::activated});
    trigger.next<protocol::Admitted>();
    while (!trigger.saw(DeploymentState::activated))
        trigger.events.push_back(trigger.next<protocol::Event>(&closure));
    EXPECT_FALSE(TestTrigger(*environment, *deployments).facts.awaits_confirmation);
    trigger.send(protocol::Confirm{id});
    EXPECT_EQ(trigger.next<protocol::Refused>().code, "not-awaited");
}

TEST_F(Session, ARestartedAgentEndsTheFetchOfItsPredecessor) {
    leave(DeploymentState::fetching);
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{{}, 0});
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>().code, "agent-restarted");
}

TEST_F(Session, RebootsUnlessADeploymentRuns) {
    int reboots = 0;
    environment->reboot = [&] { ++reboots; };
    TestTrigger holder(*environment, *deployments);
    holder.send(protocol::RebootNode{});
    EXPECT_EQ(holder.next<protocol::Rebooting>().boot_id, "boot-1");
    deploy(holder, document());
    holder.next<protocol::Admitted>();
    holder.next<protocol::Want>();
    TestTrigger other(*environment, *deployments);
    other.send(protocol::RebootNode{});
    EXPECT_EQ(other.next<protocol::Refused>().code, "busy");
    EXPECT_EQ(reboots, 1);
}

TEST_F(Session, RefusesWhatFails) {
    const auto fail = [] { throw Error("systemd does not answer"); };
    environment->reboot = fail;
    environment->check_health = [&]() -> protocol::HealthReport {
        fail();
        return {};
    };
    environment->report_secrets = [&]() -> protocol::SecretsReport {
        fail();
        return {};
    };
    TestTrigger trigger(*environment, *deployments);
    for (const auto& [request, code] : std::initializer_list<std::pair<protocol::Message, std::string>>{
             {protocol::RebootNode{}, "reboot-failed"},
             {protocol::CheckHealth{}, "health-checks-not-run"},
             {protocol::GetSecrets{}, "secrets-not-looked-at"}}) {
        trigger.send(request);
        const auto refused = trigger.next<protocol::Refused>();
        EXPECT_EQ(refused.code, code);
        EXPECT_EQ(refused.message, "systemd does not answer");
    }
}

TEST_F(Session, AnUnexpectedMessageEndsTheSession) {
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Want{{1}});
    EXPECT_EQ(trigger.next<protocol::Refused>().code, "unexpected-message");
    EXPECT_THROW(trigger.next<protocol::Event>(), Error);
}

} // namespace
} // namespace waggle::agent
