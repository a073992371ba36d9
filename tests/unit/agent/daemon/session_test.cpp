#include "tests/unit/agent/session_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using namespace std::chrono_literals;
using protocol::DeploymentState;
using protocol::Goal;
using protocol::Outcome;
using testing::HasSubstr;

TEST_F(Session, BeginsWithFacts) {
    host.current = test_path('a', "old");
    const TestTrigger trigger(*environment, *deployments);
    EXPECT_EQ(trigger.facts.system, "x86_64-linux");
    EXPECT_EQ(trigger.facts.current_system, host.current->absolute());
    EXPECT_EQ(trigger.facts.nix_version, "2.8.0");
    EXPECT_FALSE(trigger.facts.last_admitted);
    EXPECT_EQ(trigger.facts.failed_units, std::vector<std::string>{"failed-before.service"});
    EXPECT_FALSE(trigger.facts.running);
}

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

TEST_F(Session, ReportsTheLastAdmittedDeploymentToTheNextSession) {
    units->succeed();
    protocol::DeploymentId id;
    {
        TestTrigger trigger(*environment, *deployments);
        id = deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Result>(&closure);
    }
    const TestTrigger next(*environment, *deployments);
    EXPECT_EQ(next.facts.last_admitted, id);
    EXPECT_EQ(next.facts.last_sequence, unix_ms(test_time) + 1);
    EXPECT_FALSE(next.facts.running);
}

TEST_F(Session, ActivatesNothingForPush) {
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document([](auto& d) { d.goal = Goal::push; }));
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>(&closure).outcome, Outcome::ok);
    EXPECT_TRUE(units->started().empty());
    EXPECT_EQ(content.roots.size(), 1);
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

TEST_F(Session, ReportsARollback) {
    units->roll_back("units-failed", "a.service failed");
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    const auto result = trigger.next<protocol::Result>(&closure);
    EXPECT_EQ(result.outcome, Outcome::rolled_back);
    EXPECT_EQ(result.code, "units-failed");
    EXPECT_EQ(state->get().deployment->state, DeploymentState::rolled_back);
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

TEST_F(Session, AnActivationCompletesWithoutItsSession) {
    protocol::DeploymentId id;
    {
        TestTrigger trigger(*environment, *deployments);
        id = deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Want>();
        for (std::uint32_t i = 0; i < 3; ++i)
            trigger.send_whole_nar(closure, i);
        await_activation(trigger);
        trigger.lose();
    }
    units->succeed();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{id, 0});
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::ok);
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

TEST_F(Session, AUnitThatCannotBeStartedFailsBeforeTheActivation) {
    units->start_error = "systemd-run failed";
    TestTrigger trigger(*environment, *deployments);
    deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    const auto result = trigger.next<protocol::Result>(&closure);
    EXPECT_EQ(result.outcome, Outcome::failed_before_activation);
    EXPECT_EQ(result.code, "activation-not-started");
}

TEST_F(Session, ARestartedAgentResumesTheActivation) {
    protocol::DeploymentId id;
    {
        TestTrigger trigger(*environment, *deployments);
        id = deploy(trigger, document());
        trigger.next<protocol::Admitted>();
        trigger.next<protocol::Want>();
        for (std::uint32_t i = 0; i < 3; ++i)
            trigger.send_whole_nar(closure, i);
        await_activation(trigger);
    }
    start_agent();
    EXPECT_EQ(state->get().deployment->state, DeploymentState::activating);
    EXPECT_EQ(refusal_of(document()).code, "busy");
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{id, 0});
    trigger.next<protocol::Admitted>();
    units->succeed();
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::ok);
}

// A unit's last line can reach the journal shortly after the unit has ended.
TEST_F(Session, AnEndedDeploymentDoesNotBlockTheNode) {
    leave(DeploymentState::activating);
    units->output_delayed = true;
    start_agent();
    units->roll_back("units-failed", "units failed: a.service");
    const auto has_ended = [&] { return state->get().deployment->outcome.has_value(); };
    for (const auto deadline = deadline_in(patience); !has_ended();)
        ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    TestTrigger trigger(*environment, *deployments);
    EXPECT_FALSE(trigger.facts.running) << "it is told to be " << to_string(trigger.facts.running->state);
    const auto next = document();
    deploy(trigger, next); // waits for the remaining output
    units->output_delayed = false;
    EXPECT_EQ(trigger.next<protocol::Admitted>().id, next.id());
}

TEST_F(Session, ARemovedStateFileEndsTheDeployment) {
    leave(DeploymentState::activating);
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{{}, 0});
    trigger.next<protocol::Admitted>();
    std::filesystem::remove(StateKeeper::file_in(folder.path()));
    EXPECT_EQ(trigger.next<protocol::Result>().code, "forgotten");
    EXPECT_FALSE(deployments->busy());
}

TEST_F(Session, ARestartedAgentRecoversADeploymentWithoutAUnit) {
    leave(DeploymentState::activating);
    units->die();
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{{}, 0});
    trigger.next<protocol::Admitted>();
    units->roll_back("cut-off", "it was cut off while it was activating");
    const auto result = trigger.next<protocol::Result>();
    EXPECT_EQ(result.outcome, Outcome::rolled_back);
    EXPECT_EQ(result.code, "cut-off");
    EXPECT_EQ(units->started().at(0), "recover");
}

TEST_F(Session, RemovesABootWatchThatNoDeploymentNeeds) {
    const auto end_as = [&](DeploymentState last) {
        leave(last);
        state->change([](State& all) { end(*all.deployment, {}); });
        start_agent();
        return units->started();
    };
    EXPECT_EQ(end_as(DeploymentState::failed), std::vector<std::string>{});
    host.watched = true;
    EXPECT_EQ(end_as(DeploymentState::awaiting_reboot), std::vector<std::string>{});
    EXPECT_EQ(end_as(DeploymentState::committed), std::vector<std::string>{"recover for boot-watch"});
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

TEST_F(Session, AnAgentOfAnotherBootRollsBackInsteadOfAwaitingConfirmation) {
    host.current = test_path('a', "old");
    leave(DeploymentState::activated);
    host.boot = "boot-2";
    units->die();
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    EXPECT_FALSE(trigger.facts.awaits_confirmation);
    trigger.send(protocol::Attach{{}, 0});
    trigger.next<protocol::Admitted>();
    units->roll_back("rebooted", "the node was rebooted");
    EXPECT_EQ(trigger.next<protocol::Result>().outcome, Outcome::rolled_back);
    EXPECT_EQ(units->started().at(0), "recover");
}

TEST_F(Session, ARestartedAgentEndsTheFetchOfItsPredecessor) {
    leave(DeploymentState::fetching);
    start_agent();
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Attach{{}, 0});
    trigger.next<protocol::Admitted>();
    EXPECT_EQ(trigger.next<protocol::Result>().code, "agent-restarted");
}

TEST_F(Session, AnUnexpectedMessageEndsTheSession) {
    TestTrigger trigger(*environment, *deployments);
    trigger.send(protocol::Want{{1}});
    EXPECT_EQ(trigger.next<protocol::Refused>().code, "unexpected-message");
    EXPECT_THROW(trigger.next<protocol::Event>(), Error);
}

} // namespace
} // namespace waggle::agent
