// What the commands ask a node besides deploying to it: history, check-health, reboot, rollback.
#include "tests/unit/trigger/fake_agent.hpp"
#include "tests/unit/trigger/samples.hpp"
#include "trigger/command/check_health.hpp"
#include "trigger/command/history.hpp"
#include "trigger/command/reboot.hpp"
#include "trigger/command/rollback.hpp"
#include "trigger/deploy/document.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace waggle::trigger {

using namespace std::chrono_literals;
using protocol::Outcome;
using testing::Contains;
using testing::HasSubstr;

namespace {

class Questions : public testing::Test {
protected:
    NodeQuery asked(FakeAgent& agent) {
        return {.address = address_,
                .connect = agent.connector(),
                .identity = identity_,
                .interrupt = interrupt_,
                .reporter = reporter_};
    }

    // A deployment of the sample closure as the node kept it.
    protocol::SignedDocument kept(const ssh::Signer& signer, const std::string& node = "alpha") {
        protocol::Facts facts = sample_facts();
        EvaluatedNode evaluated = sample_node(node);
        evaluated.deployment.rollback.confirm_timeout = 7s;
        return protocol::sign(
            make_deployment(evaluated, {"demo", node}, {.git = protocol::GitRevision{std::string(40, 'a'), false}},
                            facts, identity_.public_key(), {evaluated.toplevel, sample_closure()->summary}, now()),
            signer);
    }

    void give_back(AgentSide& side, const protocol::SignedDocument& document) {
        side.greet(facts_);
        asked_generation_ = side.expect<protocol::Recall>().generation;
        const std::string text = sample_closure()->text;
        side.send(protocol::Recalled{12, document, text.size()});
        side.send_raw(protocol::encode_closure_list_piece(std::string_view(text).substr(0, 10)));
        side.send_raw(protocol::encode_closure_list_piece(std::string_view(text).substr(10)));
        side.expect<protocol::GetHistory>();
        side.send(history_);
    }

    const NodeAddress address_ = static_cast<const NodeAddress&>(sample_node("alpha"));
    const ssh::PrivateKey identity_ = ssh::PrivateKey::generate();
    const Interrupt interrupt_;
    RecordingReporter reporter_;
    std::optional<std::uint64_t> asked_generation_;
    protocol::Facts facts_ = sample_facts();
    protocol::History history_;
};

} // namespace

TEST_F(Questions, HistoryIsRequestedWithItsLimit) {
    protocol::HistoryEntry entry;
    entry.goal = protocol::Goal::switch_;
    entry.toplevel = "/nix/store/x";
    entry.ended = now();
    entry.operator_key = "SHA256:abc";
    entry.outcome = Outcome::rolled_back;
    entry.message = "no honey\x1b[31m";
    entry.git = protocol::GitRevision{std::string(40, 'f'), true};
    std::uint64_t limit = 0;
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        limit = side.expect<protocol::GetHistory>().limit;
        side.send(protocol::History{{entry}});
    }});
    const auto entries = ask_for_history(asked(agent), 5);
    EXPECT_EQ(limit, 5u);
    ASSERT_EQ(entries.size(), 1u);
    const auto row = history_row("alpha", entries.front());
    EXPECT_THAT(row, Contains("rolled-back"));
    EXPECT_THAT(row, Contains("ffffffffffff+"));
    EXPECT_EQ(row.back().find('\x1b'), std::string::npos) << row.back();
}

TEST_F(Questions, AHealthReportDeterminesTheOutcome) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.expect<protocol::CheckHealth>();
        side.send(protocol::HealthReport{false, "the check \"web\" fails"});
    }});
    const auto health = ask_for_health(asked(agent));
    EXPECT_THAT(health.text, HasSubstr("web"));
    EXPECT_EQ(report_of(health).outcome, Outcome::ok_units_failed);
    EXPECT_EQ(report_of({.healthy = true, .text = ""}).outcome, Outcome::ok);
}

TEST_F(Questions, RebootReportsARefusal) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.expect<protocol::RebootNode>();
        side.send(protocol::Refused{"busy", "deployment 123 has this node"});
    }});
    EXPECT_THROW(reboot_node(asked(agent), 5s), RefusedByNode);
}

TEST_F(Questions, RebootSucceedsWhenAnotherBootIdAnswers) {
    protocol::Facts before = sample_facts();
    before.boot_id = "first";
    protocol::Facts after = sample_facts();
    after.boot_id = "second";
    FakeAgent agent({[&](AgentSide& side) {
                         side.greet(before);
                         side.expect<protocol::RebootNode>();
                         side.send(protocol::Rebooting{"first"});
                     },
                     [&](AgentSide& side) { side.greet(before); }, // it is still shutting down
                     [&](AgentSide& side) { side.greet(after); }});
    EXPECT_EQ(reboot_node(asked(agent), 30s).outcome, Outcome::ok);
    EXPECT_EQ(agent.connections(), 3);
}

TEST_F(Questions, RebootTimesOutAsUnreachable) {
    FakeAgent agent({[&](AgentSide& side) {
        side.greet(sample_facts());
        side.expect<protocol::RebootNode>();
        side.send(protocol::Rebooting{"first"});
    }});
    const NodeReport report = reboot_node(asked(agent), 1s);
    EXPECT_EQ(report.outcome, Outcome::unreachable);
    EXPECT_THAT(report.message, HasSubstr("not back after 1 s"));
}

TEST_F(Questions, RollbackSignsAnEarlierDeploymentAgain) {
    protocol::HistoryEntry newest;
    newest.toplevel = "/nix/store/11111111111111111111111111111111-newest";
    newest.generation = 14;
    facts_.profile = newest.toplevel;
    protocol::HistoryEntry failed = newest;
    failed.toplevel = "/nix/store/00000000000000000000000000000000-other";
    history_.entries = {failed, newest};
    protocol::Deployment sent;
    FakeAgent agent({[&](AgentSide& side) { give_back(side, kept(identity_)); },
                     [&](AgentSide& side) {
                         side.greet(sample_facts());
                         const auto id = side.take_deployment();
                         sent = side.deployment();
                         side.send(protocol::Admitted{id, false});
                         side.send_result(id, Outcome::ok);
                     }});
    const NodeReport report = roll_back_node(asked(agent), {.select = {}, .connect = {}, .generation = 12});
    EXPECT_EQ(report.outcome, Outcome::ok) << report.message;
    EXPECT_EQ(asked_generation_, 12u);
    EXPECT_EQ(sent.goal, protocol::Goal::switch_);
    EXPECT_EQ(sent.toplevel, sample_node("alpha").toplevel);
    EXPECT_EQ(sent.closure, sample_closure()->summary);
    EXPECT_EQ(sent.rollback.confirm_timeout, 7s);
    EXPECT_EQ(sent.git->rev, std::string(40, 'a'));
    EXPECT_THAT(report.answer,
                testing::ElementsAre(fmt::format(
                    "from generation 14, {} back to generation 12, {}, which {} had signed", newest.toplevel,
                    sample_node("alpha").toplevel.absolute(), identity_.public_key().fingerprint())));
}

TEST_F(Questions, RollbackAcceptsTheSignatureOfAnotherOperatorOfTheHive) {
    const auto colleague = ssh::PrivateKey::generate();
    NodeAddress address = address_;
    address.operators = {colleague.public_key().to_string() + " colleague"};
    FakeAgent agent({[&](AgentSide& side) { give_back(side, kept(colleague)); },
                     [&](AgentSide& side) {
                         side.greet(sample_facts());
                         const auto id = side.take_deployment();
                         side.send(protocol::Admitted{id, false});
                         side.send_result(id, Outcome::ok);
                     }});
    EXPECT_EQ(roll_back_node({.address = address,
                              .connect = agent.connector(),
                              .identity = identity_,
                              .interrupt = interrupt_,
                              .reporter = reporter_},
                             {})
                  .outcome,
              Outcome::ok);
}

TEST_F(Questions, RollbackRefusesADeploymentThatNoOperatorSigned) {
    const auto stranger = ssh::PrivateKey::generate();
    FakeAgent agent({[&](AgentSide& side) { give_back(side, kept(stranger)); }});
    try {
        roll_back_node(asked(agent), {});
        FAIL() << "nothing was thrown";
    } catch (const RefusedByNode& refused) {
        EXPECT_EQ(refused.code(), "unknown-operator");
        EXPECT_THAT(refused.what(), HasSubstr(stranger.public_key().fingerprint()));
    }
    EXPECT_EQ(agent.connections(), 1) << "something was deployed";
}

TEST_F(Questions, RollbackRefusesAnInvalidSignature) {
    auto document = kept(identity_);
    document.payload += " ";
    FakeAgent agent({[&](AgentSide& side) { give_back(side, document); }});
    EXPECT_THROW(roll_back_node(asked(agent), {}), Error);
    EXPECT_EQ(agent.connections(), 1);
}

TEST_F(Questions, RollbackRefusesTheDeploymentOfAnotherNode) {
    FakeAgent agent({[&](AgentSide& side) { give_back(side, kept(identity_, "beta")); }});
    EXPECT_THROW(roll_back_node(asked(agent), {}), RefusedByNode);
}

} // namespace waggle::trigger
