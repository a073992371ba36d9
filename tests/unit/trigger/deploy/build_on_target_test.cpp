#include "shared/protocol/build_request.hpp"
#include "tests/unit/trigger/deploy/deploy_fixture.hpp"
#include "trigger/deploy/deploy_context.hpp"

#include <gmock/gmock.h>

namespace waggle::trigger {
namespace {

using protocol::BuildLine;
using protocol::BuildProgress;
using protocol::Built;
using protocol::NotBuilt;
using protocol::Outcome;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A build request with its complete list.
struct Asked {
    protocol::SignedDocument document;
    protocol::BuildRequest request;
    std::string list;
};

Asked take_build(AgentSide& side) {
    const auto build = side.expect<protocol::Build>();
    Asked asked{build.document, protocol::parse_build_request(build.document.payload), ""};
    while (asked.list.size() < asked.request.derivations.bytes) {
        const std::string bytes = side.receive();
        asked.list += std::get<protocol::ClosureListPiece>(protocol::decode(bytes)).text;
    }
    side.send(protocol::Admitted{.id = build.document.id(), .attached = false});
    return asked;
}

void send_built(AgentSide& side, const Asked& asked, const protocol::ClosureSummary& summary, std::string_view list) {
    side.send(Built{asked.document.id(), summary});
    side.send_raw(protocol::encode_closure_list_piece(list));
}

class BuildOnTarget : public DeployNode {
protected:
    BuildOnTarget() {
        remote_build_ = RemoteBuild{.drv = sample_node("alpha").drv,
                                    .derivations = [] { return sample_closure(); },
                                    .nar_reader = [] { return sample_nar_reader(); }};
        nar_reader_ = [] { return ReadNar(); }; // what the node builds does not exist here
        made_here_ = false;
    }

    // The closure that a node reports to have built.
    const std::shared_ptr<const Closure> there = sample_closure();
};

TEST_F(BuildOnTarget, RequestsABuildAndSignsItsClosure) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const Asked asked = take_build(side);
        EXPECT_THAT(protocol::valid_signers(asked.document, protocol::build_namespace),
                    ElementsAre(identity_.public_key()));
        EXPECT_EQ(asked.request.node, "alpha");
        EXPECT_EQ(asked.request.node_keys, std::vector{agent.key()});
        EXPECT_EQ(asked.request.drv, sample_node("alpha").drv);
        EXPECT_EQ(asked.request.toplevel, sample_node("alpha").toplevel);
        EXPECT_EQ(asked.list, there->text);
        side.send(BuildProgress{0, 1, 0, 100});
        side.send(protocol::Want{{0}});
        const std::string nar = side.receive();
        EXPECT_EQ(std::get<protocol::NarPiece>(protocol::decode(nar)).bytes, sample_nar(0));
        side.send(BuildProgress{1, 1, 100, 100});
        side.send(BuildLine{"hello> checking for gcc"});
        send_built(side, asked, there->summary, there->text);
        const auto id = side.take_deployment();
        EXPECT_EQ(side.deployment().closure, there->summary);
        side.send_result(id, Outcome::ok);
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
    EXPECT_EQ(report.bytes_sent, sample_nar(0).size());
    EXPECT_THAT(report.log.lines(), ElementsAre("hello> checking for gcc"));
    EXPECT_THAT(reporter_.all(), ElementsAre("step connecting", "step building", "step fetching", "transfer 0/100",
                                             "step building", "line hello> checking for gcc", "step deploying"));
}

TEST_F(BuildOnTarget, DeploysNothingForTheGoalBuild) {
    intent_.goal = protocol::Goal::build;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        send_built(side, take_build(side), there->summary, there->text);
        EXPECT_THROW(side.receive(), net::ConnectionLost);
    }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::ok);
}

TEST_F(BuildOnTarget, ReportsABuildFailureWithItsLog) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const Asked asked = take_build(side);
        side.send(BuildLine{"hello> oh no"});
        side.send(NotBuilt{asked.document.id(), "build-failed",
                           "error: builder for '" + there->list[1].path.absolute() +
                               ".drv' failed with exit code 3\nerror: 1 dependencies of derivation '" +
                               sample_node("alpha").drv.absolute() + "' failed to build"});
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::build_failed);
    EXPECT_EQ(report.code, "build-failed");
    EXPECT_THAT(report.message, HasSubstr("failed with exit code 3"));
    EXPECT_THAT(report.log.lines(), ElementsAre("hello> oh no"));
}

TEST_F(BuildOnTarget, ANodeWithoutSpaceIsNotABuildFailure) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.send(NotBuilt{take_build(side).document.id(), "no-space", "/nix/store has 3 MiB free"});
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
    EXPECT_EQ(report.code, "no-space");
}

TEST_F(BuildOnTarget, ABusyAgentIsARefusal) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        take_build(side);
        side.send(protocol::Refused{"busy", "this node builds something else"});
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::refused);
    EXPECT_EQ(report.code, "busy");
}

// A list without the system, one that differs from its summary, and one that is too large: none of them is signed.
TEST_F(BuildOnTarget, OnlyAWholeClosureOfTheSystemIsSigned) {
    auto other = std::make_shared<Closure>(*there);
    other->list.pop_back(); // complete, but without the system
    other->text = protocol::to_text(other->list);
    other->summary = protocol::summarize(other->text, other->list);
    auto longer = there->summary;
    --longer.bytes;
    auto endless = there->summary;
    endless.bytes = protocol::max_closure_list_bytes + 1;
    const std::pair<protocol::ClosureSummary, std::string> answers[] = {
        {other->summary, other->text}, {longer, there->text}, {endless, there->text}};
    for (const auto& [summary, text] : answers) {
        FakeAgent agent({[&](AgentSide& side) {
            side.greet(sample_facts());
            send_built(side, take_build(side), summary, text);
            EXPECT_THROW(side.take_deployment(), net::ConnectionLost);
        }});
        EXPECT_EQ(deploy(agent).outcome, Outcome::failed_before_activation);
    }
}

TEST_F(BuildOnTarget, NothingOutsideTheDerivationsIsServed) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        take_build(side);
        side.send(protocol::Want{{3}});
        EXPECT_THROW(side.receive(), net::ConnectionLost);
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
    EXPECT_THAT(report.message, HasSubstr("nothing else is served"));
}

TEST_F(BuildOnTarget, EndlessBuildOutputFailsTheNode) {
    patience_.messages = 100;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        take_build(side);
        for (;;) // until the trigger leaves
            side.send(BuildLine{"on and on"});
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::failed_before_activation);
    EXPECT_THAT(report.message, HasSubstr("more than 100 messages"));
}

TEST_F(BuildOnTarget, RequestsTheBuildAgainAfterALostConnection) {
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(sample_facts());
                         take_build(side);
                         side.send(BuildProgress{3, 3, 1, 1});
                         side.break_off_when_read();
                     },
                     [&](AgentSide& side) {
                         side.greet(sample_facts());
                         send_built(side, take_build(side), there->summary, there->text);
                         side.send_result(side.take_deployment(), Outcome::ok);
                     }});
    EXPECT_EQ(deploy(agent).outcome, Outcome::ok);
    EXPECT_EQ(agent.connections(), 2);
}

TEST_F(BuildOnTarget, CtrlCCancelsTheBuild) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        const Asked asked = take_build(side);
        side.send(BuildProgress{3, 3, 1, 1});
        interrupt_.request();
        EXPECT_EQ(side.expect<protocol::Cancel>().id, asked.document.id());
        side.send(NotBuilt{asked.document.id(), "cancelled", "the build was cancelled"});
    }});
    const NodeReport report = deploy(agent);
    EXPECT_EQ(report.outcome, Outcome::interrupted);
    EXPECT_THAT(report.message, Not(HasSubstr("before anything was sent")));
}

} // namespace
} // namespace waggle::trigger
