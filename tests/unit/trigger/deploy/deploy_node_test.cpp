#include "tests/unit/trigger/deploy/deploy_fixture.hpp"
#include "trigger/base/interrupt_on_signals.hpp"
#include "trigger/deploy/conversation.hpp"
#include "trigger/deploy/deploy_context.hpp"
#include "trigger/deploy/deploy_node.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;
using protocol::DeploymentState;
using protocol::Outcome;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The facts of a node that is working on an admitted deployment.
void works_on(protocol::Facts& facts, const protocol::DeploymentId& id, DeploymentState state) {
    facts.last_admitted = id;
    facts.running = protocol::Running{id, state, now(), "SHA256:x"};
}

TEST_F(DeployNode, ServesWantedPathsAndReturnsTheResult) {
    std::vector<std::string> nars;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        side.send(protocol::Admitted{.id = id, .attached = false});
        side.send_state(1, DeploymentState::fetching);
        nars = side.take_nars({0, 2});
        side.send_state(2, DeploymentState::activating);
        side.send_log(3, "starting web.service");
        side.send_result(id, Outcome::ok);
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
    EXPECT_EQ(report.node, "alpha");
    EXPECT_EQ(report.generation, 7u);
    EXPECT_EQ(report.bytes_sent, sample_nar(0).size() + sample_nar(2).size());
    EXPECT_THAT(nars, ElementsAre(sample_nar(0), sample_nar(2)));
    EXPECT_THAT(report.log.lines(), ElementsAre("starting web.service"));
    EXPECT_THAT(reporter_.all(), ElementsAre("step connecting", "step deploying", "step fetching", "step activating",
                                             "line starting web.service"));
}

TEST_F(DeployNode, CompressesPathsForAnAgentThatReadsThem) {
    for (const int version : {1, 2}) {
        SCOPED_TRACE(version);
        std::vector<std::string> nars;
        std::uint64_t plain = 0;
        std::uint64_t packed = 0;
        FakeAgent agent({[&](AgentSide& side) {
            auto facts = sample_facts();
            facts.version = version;
            side.greet(facts);
            const auto id = side.take_deployment();
            nars = side.take_nars({1, 2});
            plain = side.plain_bytes;
            packed = side.packed_bytes;
            side.send_result(id, Outcome::ok);
        }});
        const NodeReport report = deploy(agent);
        EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
        EXPECT_THAT(nars, ElementsAre(sample_nar(1), sample_nar(2)));
        const size_t nar_bytes = sample_nar(1).size() + sample_nar(2).size();
        EXPECT_EQ(report.nar_bytes_sent, nar_bytes);
        EXPECT_EQ(report.bytes_sent, plain + packed);
        EXPECT_EQ(plain, version == 1 ? nar_bytes : 0);
        EXPECT_LT(packed, nar_bytes / 100);
    }
}

TEST(DeployLimits, GiveAFetchTheTimeThatAnUploadLimitTakes) {
    const std::uint64_t usual = DeployLimits().least_rate;
    EXPECT_EQ(limits_with(std::nullopt, 10).least_rate, usual);
    EXPECT_EQ(limits_with(usual * 20, 10).least_rate, usual);
    EXPECT_EQ(limits_with(usual, 10).least_rate, usual / 10);
    EXPECT_LT(limits_with(usual, 0).least_rate, usual / 100);
}

TEST_F(DeployNode, RefusesAProtocolVersionThatItHasNotOffered) {
    FakeAgent agent({[](AgentSide& side) {
        auto facts = sample_facts();
        facts.version = 3;
        side.greet(facts);
    }});
    EXPECT_THAT(deploy(agent).message, HasSubstr("version 3 of the protocol"));
}

TEST(OpenSession, TriesAgainWhenAConnectionIsClosedAtOnce) {
    FakeAgent agent({[](AgentSide& side) { side.close(); }, // the agent needs the slot for another connection
                     [](AgentSide& side) {
                         side.challenge();
                         side.break_off();
                     },
                     [](AgentSide& side) { side.greet(sample_facts()); }});
    int turned_away = 0;
    const Connect connect = [&, connector = agent.connector()](Deadline deadline) {
        if (turned_away++ == 0)
            throw net::TurnedAway("closed at once");
        return connector(deadline);
    };
    const ssh::PrivateKey identity = ssh::PrivateKey::generate();
    const Interrupt interrupt;
    open_session(connect, sample_node("alpha"), identity, interrupt);
    EXPECT_EQ(agent.connections(), 3);
}

TEST(OpenSession, AsksAnAgentByTheNameThatItHadBefore) {
    std::vector<std::string> asked;
    const auto refuse = [&](AgentSide& side) {
        asked.push_back(side.challenge().node);
        side.send(protocol::Refused{"other-node", "this node is drone, not that"});
        side.close();
    };
    FakeAgent agent({refuse, refuse, [&](AgentSide& side) {
                         asked.push_back(side.challenge().node);
                         side.send(sample_facts());
                     }});
    EvaluatedNode address = sample_node("queen");
    address.former_names = {{"demo", "alpha"}, {"demo", "drone"}};
    const ssh::PrivateKey identity = ssh::PrivateKey::generate();
    const Interrupt interrupt;
    EXPECT_EQ(open_session(agent.connector(), address, identity, interrupt).name, (AgentName{"demo", "drone"}));
    EXPECT_EQ(asked, (std::vector<std::string>{"queen", "alpha", "drone"}));
}

TEST(OpenSession, ExplainsHowToRenameAnAgentWithAnotherName) {
    FakeAgent agent({[&](AgentSide& side) {
        side.challenge();
        side.send(protocol::Refused{"other-node", "this node is drone, not queen"});
        side.close();
    }});
    const ssh::PrivateKey identity = ssh::PrivateKey::generate();
    const Interrupt interrupt;
    try {
        open_session(agent.connector(), sample_node("queen"), identity, interrupt);
        FAIL() << "nothing was thrown";
    } catch (const RefusedByNode& refused) {
        EXPECT_EQ(refused.code(), "other-node");
        EXPECT_THAT(refused.what(), HasSubstr("services.waggle-agent.node"));
        EXPECT_THAT(refused.what(), HasSubstr("--on queen --rename OLD-NODE"));
    }
}

TEST_F(DeployNode, AddressesTheAgentByItsCurrentName) {
    FakeAgent agent({[](AgentSide& side) {
                         side.challenge();
                         side.send(protocol::Refused{"other-node", "this node is drone, not alpha"});
                         side.close();
                     },
                     [](AgentSide& side) {
                         side.greet(sample_facts());
                         const auto id = side.take_deployment();
                         EXPECT_EQ(side.deployment().node, "drone");
                         side.send_result(id, Outcome::ok);
                     }});
    EvaluatedNode node = sample_node("alpha");
    node.former_names = {{"demo", "drone"}};
    EXPECT_EQ(deploy(agent, node).outcome, Outcome::ok);
}

TEST_F(DeployNode, ARefusedSessionIsARefusal) {
    FakeAgent agent({[](AgentSide& side) {
        side.challenge();
        side.send(protocol::Refused{"unknown-operator", "you are no operator of this node"});
        side.close();
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::refused);
    EXPECT_EQ(report.code, "unknown-operator");
    EXPECT_THAT(report.message, HasSubstr("no operator"));
}

TEST_F(DeployNode, ARefusedDeploymentIsARefusal) {
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send(protocol::Refused{"busy", "another deployment has this node"});
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::refused);
    EXPECT_EQ(report.code, "busy");
}

TEST_F(DeployNode, RefusesToReplaceAnUnknownProfileIfConfigured) {
    EvaluatedNode node = sample_node("alpha");
    node.deployment.replace_unknown_profiles = false;
    knows_ = [](const nix::StorePath&) { return false; };
    protocol::Facts facts = sample_facts();
    facts.profile = sample_path('7', "foreign").absolute();
    {
        FakeAgent agent({[&](AgentSide& side) {
            side.greet(facts);
            EXPECT_THROW(side.receive(), net::ConnectionLost);
        }});
        const NodeReport report = deploy(agent, node);
        EXPECT_EQ(report.outcome, Outcome::refused);
        EXPECT_EQ(report.code, "unknown-profile");
        EXPECT_THAT(report.message, HasSubstr("--force-replace-unknown-profiles"));
    }
    const auto deployed = [&](AgentSide& side) {
        side.greet(facts);
        const auto id = side.take_deployment();
        side.send(protocol::Admitted{id, false});
        side.send_result(id, Outcome::ok);
    };
    {
        FakeAgent agent({deployed});
        intent_.replace_unknown_profiles = true;
        EXPECT_EQ(deploy(agent, node).outcome, Outcome::ok);
    }
    FakeAgent agent({deployed});
    intent_.replace_unknown_profiles = false;
    knows_ = [&](const nix::StorePath& path) { return path == sample_path('7', "foreign"); };
    EXPECT_EQ(deploy(agent, node).outcome, Outcome::ok) << "we have built it ourselves";
}

TEST_F(DeployNode, AnotherSystemIsRefusedBeforeAnythingIsSent) {
    FakeAgent agent({[](AgentSide& side) {
        protocol::Facts facts = sample_facts();
        facts.system = "aarch64-linux";
        side.greet(facts);
        EXPECT_THROW(side.receive(), net::ConnectionLost);
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::refused);
}

TEST_F(DeployNode, RefusesToRemoveTheAgentBeforeConnecting) {
    FakeAgent agent({});
    EvaluatedNode node = sample_node("alpha");
    node.agent_enabled = false;
    const NodeReport report = deploy(agent, node);
    EXPECT_EQ(report.outcome, Outcome::refused);
    EXPECT_THAT(report.message, HasSubstr("--remove-agent"));
    EXPECT_THAT(reporter_.all(), IsEmpty());
}

TEST_F(DeployNode, APortThatStaysClosedIsUnreachable) {
    FakeAgent agent({});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::unreachable);
    EXPECT_THAT(report.message, HasSubstr("connection refused"));
}

TEST_F(DeployNode, AWrongHostKeyIsARefusal) {
    FakeAgent agent({});
    const DeployContext context{
        .connect = [&](Deadline) -> net::NodeConnection { throw net::WrongHostKey("shows another key", agent.key()); },
        .closure = [] { return sample_closure(); },
        .nar_reader = nar_reader_,
        .identity = identity_,
        .interrupt = interrupt_,
        .reporter = reporter_,
        .limits = patience_};
    EXPECT_EQ(deploy_node(sample_node("alpha"), intent_, context).code, "wrong-host-key");
}

TEST_F(DeployNode, NothingOutsideTheListIsServed) {
    for (const std::vector<std::uint32_t>& indices : {std::vector<std::uint32_t>{3}, {0xffffffff}, {0, 1, 2, 0}}) {
        FakeAgent agent({[&](AgentSide& side) {
            side.greet(sample_facts());
            side.take_deployment();
            side.send(protocol::Want{indices});
            while (true)
                side.receive();
        }});
        const NodeReport report = deploy(agent);
        EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
        EXPECT_THAT(report.message,
                    testing::AnyOf(HasSubstr("asked for"), HasSubstr("not an index into a closure list")));
    }
}

protocol::Event progress_event(std::uint64_t number) {
    protocol::Event event;
    event.number = number;
    event.kind = protocol::Event::Kind::progress;
    return event;
}

TEST_F(DeployNode, APathIsSentOnce) {
    std::uint64_t asked = 0;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        for (;; ++asked)
            side.take_nars({0});
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
    EXPECT_THAT(report.message, HasSubstr("more than once"));
    EXPECT_EQ(asked, 1u);
}

TEST_F(DeployNode, APathIsSentAgainOnlyAfterARetriedConnectionLoss) {
    // The node pretends that the activation may have begun, so that the trigger keeps reconnecting.
    std::vector<FakeAgent::Script> scripts;
    protocol::DeploymentId id;
    int sent = 0;
    for (int i = 0; i < 20; ++i)
        scripts.emplace_back([&, i](AgentSide& side) {
            auto facts = sample_facts();
            if (i > 0)
                facts.last_admitted = id;
            side.greet(facts);
            if (i == 0)
                id = side.take_deployment();
            else
                side.expect<protocol::Attach>();
            side.send(protocol::Want{{0}});
            side.receive();
            ++sent;
            side.break_off_when_read();
        });
    FakeAgent agent(std::move(scripts));
    EXPECT_THAT(deploy(agent).message, HasSubstr("more than once"));
    EXPECT_EQ(sent, 3) << "at first, and after each of the two losses that are made good before an activation";
}

TEST_F(DeployNode, NoPathIsSentOnceTheActivationHasBegun) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        side.send(protocol::Want{{0}});
        while (true)
            side.receive();
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::unknown);
    EXPECT_EQ(report.bytes_sent, 0u);
    EXPECT_THAT(report.message, HasSubstr("after its activation had begun"));
}

TEST_F(DeployNode, EndlessProgressFailsTheNode) {
    patience_.messages = 1000;
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        for (std::uint64_t i = 1;; ++i)
            side.send(progress_event(i));
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
    EXPECT_THAT(report.message, HasSubstr("more than 1000 messages"));
}

TEST_F(DeployNode, SignsOfLifeExtendNoPhaseBeyondItsLimit) {
    for (const auto state : {DeploymentState::fetching, DeploymentState::activating}) {
        if (state == DeploymentState::fetching)
            patience_.fetch = -std::chrono::hours(1000); // more than the paths are given
        else
            patience_.activation_slack = -std::chrono::hours(1); // more than activationTimeout and what follows
        FakeAgent agent({[&](AgentSide& side) {
            side.greet(sample_facts());
            side.take_deployment();
            side.send_state(1, state);
            for (std::uint64_t i = 2; i < 20; ++i)
                side.send(progress_event(i));
            while (true)
                side.receive();
        }});
        const NodeReport report = deploy(agent);
        EXPECT_EQ(report.outcome,
                  state == DeploymentState::fetching ? Outcome::failed_before_activation : Outcome::unknown);
        EXPECT_THAT(report.message, HasSubstr("has not finished"));
        patience_.fetch = std::chrono::hours(1);
    }
}

TEST_F(DeployNode, SurvivesLongLinesAndInvalidMessages) {
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        for (std::uint64_t i = 2; i < 100; ++i)
            side.send_log(i, std::string(60'000, '\x1b'));
        side.send_result(id, Outcome::ok);
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::ok);

    FakeAgent liar({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send_raw("Jnonsense");
    }});
    EXPECT_EQ(deploy(liar).outcome, Outcome::failed_before_activation);
}

// Hostile nodes, each of which would continue for as long as the trigger reads.
TEST_F(DeployNode, EndlessLogMessagesFailTheNode) {
    patience_.messages = 3000;
    patience_.lines_shown = 100;
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        for (std::uint64_t i = 2;; ++i)
            side.send_log(i, "on and on");
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::unknown);
    EXPECT_THAT(report.message, HasSubstr("more than 3000 messages"));
    const auto told = reporter_.all();
    EXPECT_LT(told.size(), 120u) << "what is shown has an end, too";
    EXPECT_THAT(told, Contains(HasSubstr("more than 100 lines")));
}

TEST_F(DeployNode, EndlessStateChangesFailTheNode) {
    patience_.messages = 3000;
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        for (std::uint64_t i = 1;; ++i)
            side.send_state(i, i % 2 == 0 ? DeploymentState::received : DeploymentState::fetching);
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::failed_before_activation);
}

TEST_F(DeployNode, GivesUpAfterTooManyReconnects) {
    patience_.reconnects = 5;
    protocol::DeploymentId id;
    std::vector<FakeAgent::Script> scripts = {[&](AgentSide& side) {
        side.greet(sample_facts());
        id = side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        side.break_off_when_read();
    }};
    for (int i = 0; i < 20; ++i)
        scripts.emplace_back([&](AgentSide& side) {
            auto facts = sample_facts();
            facts.last_admitted = id;
            side.greet(facts);
            side.expect<protocol::Attach>();
            side.break_off();
        });
    FakeAgent agent(std::move(scripts));
    EXPECT_EQ(deploy(agent).outcome, Outcome::unknown);
    EXPECT_LE(agent.connections(), 7);
}

TEST_F(DeployNode, ALongLogIsShownUpToItsCapAndItsEndIsKept) {
    patience_.lines_shown = 10;
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        for (std::uint64_t i = 2; i < 100; ++i)
            side.send_log(i, "line " + std::to_string(i));
        side.send_result(id, Outcome::rolled_back, "units-failed", "web.service failed");
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::rolled_back);
    EXPECT_EQ(report.log.lines().back(), "line 99");
    EXPECT_THAT(reporter_.all(), testing::Not(Contains(HasSubstr("line 50"))));
}

TEST_F(DeployNode, RefusesEventsThatAreNotUtf8) {
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send_raw("J{\"type\":\"event\",\"text\":\"\xff\"}");
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::failed_before_activation);
}

TEST_F(DeployNode, DoesNotAcceptTheResultOfAnotherDeployment) {
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send_result(protocol::DeploymentId{}, Outcome::ok);
    }});
    EXPECT_NE(deploy(agent).outcome, Outcome::ok);
}

TEST_F(DeployNode, AnInterruptedFetchContinuesInANewDeployment) {
    protocol::DeploymentId first;
    protocol::Facts later = sample_facts();
    std::vector<protocol::Deployment> deployments;
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         first = side.take_deployment();
                         side.send_state(1, DeploymentState::fetching);
                         side.take_nars({0});
                         side.send(protocol::Want{{1}}); // and never reads it
                         later.last_admitted = first;
                         later.last_sequence = side.deployment().sequence;
                         deployments = side.deployments;
                         side.break_off();
                     },
                     [&](AgentSide& side) {
                         side.greet(later);
                         EXPECT_EQ(side.expect<protocol::Attach>().id, first);
                         side.send(protocol::Admitted{.id = first, .attached = true});
                         side.send_result(first, Outcome::failed_before_activation, "session-lost", "lost");
                         const auto second = side.take_deployment();
                         deployments.push_back(side.deployment());
                         side.take_nars({1, 2});
                         side.send_result(second, Outcome::ok);
                     }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
    ASSERT_EQ(deployments.size(), 2u);
    EXPECT_EQ(deployments[1].parent, first);
    EXPECT_GT(deployments[1].sequence, deployments[0].sequence);
    EXPECT_THAT(reporter_.all(), Contains("step reconnecting"));
}

TEST_F(DeployNode, CancelsAFetchThatHangsOnTheLostSession) {
    protocol::Facts later = sample_facts();
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         const auto id = side.take_deployment();
                         works_on(later, id, DeploymentState::fetching);
                         side.send(protocol::Want{{2}});
                         side.break_off();
                     },
                     [&](AgentSide& side) {
                         side.greet(later);
                         side.expect<protocol::Attach>();
                         const auto id = side.expect<protocol::Cancel>().id;
                         side.send_result(id, Outcome::interrupted, "cancelled");
                         side.send_result(side.take_deployment(), Outcome::ok);
                     }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
}

// A NAR that never ends, so that its connection breaks before everything was sent.
ReadNar endless_nar() {
    return [](const nix::StorePath&, std::uint64_t, const nix::NarSink& sink) {
        for (const std::string bytes(100'000, 'x'); true;)
            sink(as_bytes(bytes));
    };
}

TEST_F(DeployNode, RepeatedConnectionLossesFailBeforeActivation) {
    const auto breaks = [](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send(protocol::Want{{2}});
        side.receive();
        side.break_off();
    };
    nar_reader_ = endless_nar;
    FakeAgent agent({breaks, breaks, breaks, breaks, breaks});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation) << report.message;
    EXPECT_THAT(report.message, HasSubstr("kept failing"));
    EXPECT_EQ(agent.connections(), 3);
}

TEST_F(DeployNode, ANodeLostDuringTheFetchFailsBeforeActivation) {
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send(protocol::Want{{2}});
        side.receive();
        side.break_off();
    }});
    nar_reader_ = endless_nar;
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
    EXPECT_THAT(report.message, HasSubstr("could not be reached again"));
}

TEST_F(DeployNode, ReconnectsAfterTheActivationHasBegun) {
    protocol::Facts later = sample_facts();
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         const auto id = side.take_deployment();
                         works_on(later, id, DeploymentState::activating);
                         side.send_state(1, DeploymentState::activating);
                         side.send_log(2, "stopping network");
                         side.break_off_when_read();
                     },
                     [&](AgentSide& side) {
                         side.greet(later);
                         const auto attach = side.expect<protocol::Attach>();
                         EXPECT_EQ(attach.after, 0u); // it may be another agent, which counts from 1 again
                         side.send_state(1, DeploymentState::activating);
                         side.send_log(2, "stopping network");
                         side.send_log(3, "starting network");
                         side.send_result(attach.id, Outcome::ok);
                     }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
    EXPECT_THAT(report.log.lines(), ElementsAre("stopping network", "starting network"));
}

TEST_F(DeployNode, ConfirmsToTheAgentThatTheNewSystemStarted) {
    protocol::Facts later = sample_facts();
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         later.last_admitted = later.awaits_confirmation = side.take_deployment();
                         side.send_state(1, DeploymentState::activated);
                         side.break_off_when_read();
                     },
                     [&](AgentSide& side) {
                         side.greet(later);
                         side.expect<protocol::Attach>();
                         EXPECT_EQ(side.expect<protocol::Confirm>().id, later.awaits_confirmation);
                         side.send_result(*later.awaits_confirmation, Outcome::ok);
                     }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
    EXPECT_THAT(reporter_.all(), Contains("step confirming"));
}

TEST_F(DeployNode, DoesNotConfirmToAnAgentThatDoesNotAwaitIt) {
    protocol::Facts later = sample_facts();
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         later.last_admitted = side.take_deployment();
                         side.send_state(1, DeploymentState::activated);
                         side.break_off_when_read();
                     },
                     [&](AgentSide& side) {
                         side.greet(later);
                         side.expect<protocol::Attach>();
                         side.send_result(*later.last_admitted, Outcome::rolled_back, "not-confirmed", "nobody came");
                         EXPECT_THROW(side.receive(), net::ConnectionLost);
                     }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::rolled_back);
}

TEST_F(DeployNode, APermanentLossAfterTheActivationBeganIsUnknown) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        side.break_off_when_read();
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::unknown);
    EXPECT_THAT(report.message, AllOf(HasSubstr("had begun"), HasSubstr("waggle status --on alpha")));
}

TEST_F(DeployNode, ARefusalAfterTheActivationBeganIsUnknown) {
    protocol::Facts later = sample_facts();
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         side.take_deployment();
                         side.send_state(1, DeploymentState::activating);
                         side.break_off_when_read();
                     },
                     [&](AgentSide& side) {
                         side.challenge();
                         side.send(protocol::Refused{"unknown-operator", "you are no operator any more"});
                     }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::unknown);
    EXPECT_THAT(report.message, HasSubstr("no operator any more"));
}

// Its slots may be taken by our own lost sessions, which the node has not closed yet.
TEST_F(DeployNode, RetriesABusyNodeAfterTheActivationHasBegun) {
    protocol::Facts later = sample_facts();
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         const auto id = side.take_deployment();
                         works_on(later, id, DeploymentState::activating);
                         side.send_state(1, DeploymentState::activating);
                         side.break_off_when_read();
                     },
                     [&](AgentSide& side) {
                         side.challenge();
                         side.send(protocol::Refused{"busy", "this node serves no more than 8 sessions"});
                     },
                     [&](AgentSide& side) {
                         side.greet(later);
                         side.send_result(side.expect<protocol::Attach>().id, Outcome::ok);
                     }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
}

TEST_F(DeployNode, ReportsALocalPathThatCannotBeRead) {
    nar_reader_ = [] {
        return [](const nix::StorePath&, std::uint64_t, const nix::NarSink&) { throw Error("the path is gone"); };
    };
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.take_nars({0});
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
    EXPECT_THAT(report.message, HasSubstr("the path is gone"));
}

TEST_F(DeployNode, ReportsALocalPathWithAWrongSize) {
    nar_reader_ = [] {
        return [](const nix::StorePath&, std::uint64_t, const nix::NarSink& sink) { sink(as_bytes("short")); };
    };
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.take_nars({0});
    }});
    EXPECT_THAT(deploy(agent).message, HasSubstr("repair"));
}

TEST_F(DeployNode, ADryActivationReturnsAllItsLines) {
    intent_.goal = protocol::Goal::dry_activate;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        for (std::uint64_t i = 2; i < 102; ++i)
            side.send_log(i, fmt::format("would restart {}.service", i));
        side.send_result(id, Outcome::ok);
    }});
    const NodeReport report = deploy(agent);
    ASSERT_EQ(report.answer.size(), 100u);
    EXPECT_EQ(report.answer.front(), "would restart 2.service");
}

TEST_F(DeployNode, CtrlCBeforeActivationCancels) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        side.send_state(1, DeploymentState::fetching);
        interrupt_.request();
        EXPECT_EQ(side.expect<protocol::Cancel>().id, id);
        side.send_result(id, Outcome::interrupted, "cancelled", "stopped by the operator");
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::interrupted);
}

TEST_F(DeployNode, CtrlCThatAlsoStopsTheLocalNixStillCancels) {
    nar_reader_ = [this] {
        return [this](const nix::StorePath&, std::uint64_t, const nix::NarSink&) {
            interrupt_.request();
            throw Error("the nix daemon was interrupted");
        };
    };
    FakeAgent agent({[](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        side.send(protocol::Want{{0}});
        EXPECT_EQ(side.expect<protocol::Cancel>().id, id);
        side.send_result(id, Outcome::interrupted, "cancelled", "stopped by the operator");
    }});
    EXPECT_EQ(deploy(agent).message, "stopped by the operator");
}

TEST_F(DeployNode, CtrlCDoesNotWaitForAnAgentThatDoesNotAnswer) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        interrupt_.request();
        while (true)
            side.receive();
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::interrupted);
}

TEST_F(DeployNode, CtrlCCancelsInASecondSessionIfTheAgentReadsNothing) {
    protocol::DeploymentId id;
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         id = side.take_deployment();
                         side.send_state(1, DeploymentState::fetching);
                         interrupt_.request();
                         while (true)
                             side.receive();
                     },
                     [&](AgentSide& side) {
                         EXPECT_EQ(Finishing::count(), 1); // so the dialer keeps the connection
                         auto facts = sample_facts();
                         facts.last_admitted = id;
                         side.greet(facts);
                         EXPECT_EQ(side.expect<protocol::Attach>().id, id);
                         EXPECT_EQ(side.expect<protocol::Cancel>().id, id);
                         side.send_result(id, Outcome::interrupted, "cancelled", "stopped by the operator");
                     }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::interrupted);
    EXPECT_EQ(report.message, "stopped by the operator");
    EXPECT_EQ(Finishing::count(), 0);
}

TEST_F(DeployNode, CtrlCDuringActivationWaitsForItsEnd) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const auto id = side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        side.send_log(2, "now");
        while (!std::ranges::count(reporter_.all(), "line now"))
            std::this_thread::yield();
        interrupt_.request();
        while (!std::ranges::count(reporter_.all(), "note finishing 1 node; press again to leave (alpha: activating)"))
            std::this_thread::yield();
        side.send_result(id, Outcome::ok);
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::ok);
}

TEST_F(DeployNode, AfterCtrlCANodeThatRestartsItsAgentIsStillConfirmed) {
    protocol::DeploymentId id;
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         id = side.take_deployment();
                         side.send_state(1, DeploymentState::activating);
                         side.send_state(2, DeploymentState::activated);
                         interrupt_.request();
                         side.break_off_when_read();
                     },
                     [&](AgentSide& side) {
                         auto facts = sample_facts();
                         facts.last_admitted = facts.awaits_confirmation = id;
                         side.greet(facts);
                         side.expect<protocol::Attach>();
                         EXPECT_EQ(side.expect<protocol::Confirm>().id, id);
                         side.send_result(id, Outcome::ok);
                     }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::ok);
}

TEST_F(DeployNode, ASecondCtrlCDuringActivationLeavesItRunningUnconfirmed) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.take_deployment();
        side.send_state(1, DeploymentState::activating);
        side.send_log(2, "now");
        while (!std::ranges::count(reporter_.all(), "line now"))
            std::this_thread::yield();
        interrupt_.request();
        Finishing::ask_to_leave();
        EXPECT_THROW(side.receive(), net::ConnectionLost); // no cancel
    }});
    Interrupt of_signals;
    const InterruptOnSignals signals(of_signals); // forgets the request at its end
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::unknown);
    EXPECT_THAT(report.message, HasSubstr("unconfirmed"));
    EXPECT_THAT(report.message, HasSubstr("`waggle confirm --on alpha`"));
}

TEST_F(DeployNode, CtrlCBeforeTheConnectionInterrupts) {
    interrupt_.request();
    FakeAgent agent({});
    EXPECT_EQ(deploy(agent).outcome, Outcome::interrupted);
}

} // namespace
} // namespace waggle::trigger
