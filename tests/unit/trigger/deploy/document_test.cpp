#include "tests/unit/trigger/samples.hpp"
#include "trigger/deploy/document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;
using protocol::Deployment;
using testing::HasSubstr;

const protocol::DeploymentId last_id{sha256("the last one")};

Deployment make(const Intent& intent, const protocol::Facts& facts, Time time = now()) {
    const auto key = ssh::PrivateKey::generate().public_key();
    return make_deployment(sample_node("alpha"), {"demo", "alpha"}, intent, facts, key,
                           {.toplevel = sample_node("alpha").toplevel, .closure = sample_closure()->summary}, time);
}

TEST(MakeDeployment, ContainsTheSettingsOfTheHive) {
    Intent intent{
        .goal = protocol::Goal::boot, .force = false, .remove_agent = false, .git = {{std::string(40, 'a'), true}}};
    const Deployment deployment = make(intent, sample_facts());
    EXPECT_EQ(deployment.hive, "demo");
    EXPECT_EQ(deployment.node, "alpha");
    EXPECT_EQ(deployment.goal, protocol::Goal::boot);
    EXPECT_EQ(deployment.toplevel, sample_node("alpha").toplevel);
    EXPECT_EQ(deployment.closure, sample_closure()->summary);
    EXPECT_EQ(deployment.git, intent.git);
    EXPECT_TRUE(deployment.secrets.keep);
    EXPECT_EQ(protocol::parse_deployment(protocol::to_payload(deployment)), deployment);
}

TEST(MakeDeployment, TheSequenceIsTheTimeButGreaterThanTheLast) {
    const Time time = now();
    protocol::Facts facts = sample_facts();
    facts.last_sequence = unix_ms(time) - 5;
    EXPECT_EQ(make({}, facts, time).sequence, unix_ms(time));
    facts.last_sequence = unix_ms(time) + 1'000'000; // the last operator's clock was ahead
    EXPECT_EQ(make({}, facts, time).sequence, facts.last_sequence + 1);
}

TEST(MakeDeployment, AllowsAStateResetOnlyOnRequest) {
    EXPECT_FALSE(make({}, sample_facts()).reset_state);
    const Deployment asked = make({.reset_state = true}, sample_facts());
    EXPECT_TRUE(protocol::parse_deployment(protocol::to_payload(asked)).reset_state);
}

TEST(MakeDeployment, InstallsTheBootLoaderOnlyOnRequest) {
    EXPECT_FALSE(make({}, sample_facts()).install_boot_loader);
    const Deployment asked = make({.install_boot_loader = true}, sample_facts());
    EXPECT_TRUE(protocol::parse_deployment(protocol::to_payload(asked)).install_boot_loader);
}

TEST(MakeDeployment, TheParentIsTheLastAdmittedUnlessForced) {
    protocol::Facts facts = sample_facts();
    EXPECT_FALSE(make({}, facts).parent);
    facts.last_admitted = last_id;
    EXPECT_EQ(make({}, facts).parent, last_id);
    EXPECT_FALSE(make({.force = true}, facts).parent);
}

TEST(MakeDeployment, IsValidFromBeforeTheHelloAndForAnHour) {
    const Time time = now();
    const Deployment deployment = make({}, sample_facts(), time);
    EXPECT_EQ(deployment.expires, time + 1h);
    EXPECT_LT(deployment.not_before, time - 1s); // the hello was a moment earlier
}

TEST(ReasonToRefuse, ANodeThatWouldLoseItsAgent) {
    EvaluatedNode node = sample_node("alpha");
    EXPECT_FALSE(reason_to_refuse(node, Intent{}));
    node.agent_enabled = false;
    const auto refused = reason_to_refuse(node, Intent{}).value_or(protocol::Refused{});
    EXPECT_EQ(refused.code, "no-agent");
    EXPECT_THAT(refused.message, HasSubstr("--remove-agent"));
    EXPECT_FALSE(reason_to_refuse(node, Intent{.remove_agent = true}));
}

TEST(ReasonToRefuse, AnotherSystem) {
    protocol::Facts facts = sample_facts();
    EXPECT_FALSE(reason_to_refuse(sample_node("alpha"), facts, now()));
    facts.system = "aarch64-linux";
    const auto refused = reason_to_refuse(sample_node("alpha"), facts, now()).value_or(protocol::Refused{});
    EXPECT_EQ(refused.code, "other-system");
    EXPECT_THAT(refused.message, HasSubstr("aarch64-linux"));
}

TEST(ReasonToRefuse, ASequenceYearsAhead) {
    const Time time = parse_rfc3339("2026-11-22T10:00:00Z");
    protocol::Facts facts = sample_facts();
    facts.last_sequence = unix_ms(time + std::chrono::days(365));
    EXPECT_FALSE(reason_to_refuse(sample_node("alpha"), facts, time));
    for (const std::int64_t lie : {unix_ms(time + std::chrono::days(3 * 365)), protocol::max_safe_integer}) {
        facts.last_sequence = lie;
        const auto refused = reason_to_refuse(sample_node("alpha"), facts, time).value_or(protocol::Refused{});
        EXPECT_EQ(refused.code, "sequence-too-far");
        EXPECT_THAT(refused.message, HasSubstr("years ahead"));
    }
}

TEST(ClockWarning, ReportsHowMuchTheClocksDiffer) {
    const Time time = parse_rfc3339("2026-11-22T10:00:00Z");
    protocol::Facts facts = sample_facts();
    facts.time = time + 4min;
    EXPECT_FALSE(clock_warning(facts, time));
    facts.time = time + 3h;
    EXPECT_THAT(clock_warning(facts, time).value_or(""), HasSubstr("3 h ahead"));
    facts.time = time - 10min;
    EXPECT_THAT(clock_warning(facts, time).value_or(""), HasSubstr("10 min behind"));
}

} // namespace
} // namespace waggle::trigger
