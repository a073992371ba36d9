#include "tests/unit/trigger/samples.hpp"
#include "trigger/deploy/build_on_target.hpp"
#include "trigger/deploy/how_it_ended.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <string>
#include <vector>

namespace waggle::trigger {
namespace {

using protocol::Outcome;

class HowADeploymentEnded : public testing::Test {
protected:
    EndedDeployment ended() const {
        return {.node = node_, .intent = intent_, .progress = progress_, .interrupted = interrupted_};
    }

    EvaluatedNode node_ = sample_node("alpha");
    Intent intent_;
    DeploymentProgress progress_;
    bool interrupted_ = false;
};

TEST_F(HowADeploymentEnded, NamesTheReasonOfAnEarlyFailure) {
    struct Case {
        std::exception_ptr failure;
        Outcome outcome;
        std::string code;
    };
    const std::vector<Case> cases = {
        {std::make_exception_ptr(NotBuiltThere("build-failed", "x")), Outcome::build_failed, "build-failed"},
        {std::make_exception_ptr(NotBuiltThere("busy", "x")), Outcome::failed_before_activation, "busy"},
        {std::make_exception_ptr(RefusedByNode({"replayed", "x"})), Outcome::refused, "replayed"},
        {std::make_exception_ptr(net::Unreachable("x")), Outcome::unreachable, "unreachable"},
        {std::make_exception_ptr(Error("x")), Outcome::failed_before_activation, "failed"},
    };
    for (const Case& c : cases) {
        const HowItEnded ending = how_it_ended(ended(), c.failure);
        EXPECT_EQ(ending.outcome, c.outcome) << c.code;
        EXPECT_EQ(ending.code, c.code);
        EXPECT_EQ(ending.message, "x") << c.code;
    }
}

TEST_F(HowADeploymentEnded, IsUnknownOnceTheActivationMayHaveBegun) {
    const auto lost = std::make_exception_ptr(net::ConnectionLost("no answer"));
    progress_.sent_at = std::chrono::steady_clock::now();
    EXPECT_EQ(how_it_ended(ended(), lost).outcome, Outcome::failed_before_activation);
    progress_.everything_was_sent = true;
    EXPECT_EQ(how_it_ended(ended(), lost).outcome, Outcome::unknown);
    EXPECT_THAT(how_it_ended(ended(), lost).message, testing::HasSubstr("may have begun"));
    progress_.activation_seen = true;
    EXPECT_THAT(how_it_ended(ended(), lost).message, testing::HasSubstr("had begun"));
}

TEST_F(HowADeploymentEnded, OffersAConfirmationOnlyWhileItIsAwaited) {
    const auto lost = std::make_exception_ptr(net::ConnectionLost("no answer"));
    progress_.sent_at = std::chrono::steady_clock::now();
    progress_.activation_seen = true;
    progress_.activated_at = std::chrono::steady_clock::now();
    EXPECT_THAT(how_it_ended(ended(), lost).message, testing::HasSubstr("`waggle confirm --on alpha` keeps"));
    *progress_.activated_at -= node_.deployment.rollback.confirm_timeout;
    EXPECT_THAT(
        how_it_ended(ended(), lost).message,
        testing::AllOf(testing::HasSubstr("probably rolled back"), testing::Not(testing::HasSubstr("waggle confirm"))));
}

TEST_F(HowADeploymentEnded, IsInterruptedIfTheOperatorStoppedItInTime) {
    interrupted_ = true;
    EXPECT_EQ(how_it_ended(ended(), std::make_exception_ptr(Interrupted("stopped"))).outcome, Outcome::interrupted);
    EXPECT_EQ(how_it_ended(ended(), Detached{}).outcome, Outcome::interrupted);
    EXPECT_EQ(how_it_ended(ended(), Detached{.activation_began = true}).outcome, Outcome::unknown);
}

} // namespace
} // namespace waggle::trigger
