#include "tests/unit/agent/session_fixture.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {
namespace {

using protocol::Outcome;

TEST_F(Session, ReportsADeploymentThatHasJustEndedAndRecallsIt) {
    units->succeed();
    TestTrigger trigger(*environment, *deployments);
    const auto id = deploy(trigger, document());
    trigger.next<protocol::Admitted>();
    trigger.next<protocol::Result>(&closure);
    trigger.send(protocol::GetHistory{.limit = 5});
    const auto history = trigger.next<protocol::History>();
    ASSERT_EQ(history.entries.size(), 1);
    EXPECT_EQ(history.entries[0].id, id);
    EXPECT_EQ(history.entries[0].outcome, Outcome::ok);
    trigger.send(protocol::Recall{.generation = 8});
    const auto recalled = trigger.next<protocol::Recalled>();
    EXPECT_EQ(recalled.document.id(), id);
    EXPECT_EQ(recalled.list_bytes, closure.text.size());
}

TEST_F(Session, RefusesToRecallAnUnknownGeneration) {
    TestTrigger trigger(*environment, *deployments);
    for (const auto generation : {std::optional<std::uint64_t>(3), std::optional<std::uint64_t>()}) {
        trigger.send(protocol::Recall{.generation = generation});
        EXPECT_EQ(trigger.next<protocol::Refused>().code, "unknown-generation");
    }
}

} // namespace
} // namespace waggle::agent
