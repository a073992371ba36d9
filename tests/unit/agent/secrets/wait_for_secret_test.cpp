#include "agent/secrets/wait_for_secret.hpp"
#include "shared/base/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace waggle::agent {
namespace {

using protocol::DeploymentState;
using testing::ElementsAre;

// A fake node whose checks return the listed results.
struct Node {
    struct Look {
        SecretLook found;
        bool switches_then = false; // a deployment begins its activation during this check
    };
    std::vector<Look> looks;
    bool switching = false;
    size_t looked = 0;
    size_t waited = 0;
    std::vector<std::string> said = {};

    void await() {
        wait_for_secret("one", {.is_switching = [this] { return switching; },
                                .look =
                                    [this] {
                                        const auto& look = looks.at(looked++);
                                        switching = switching || look.switches_then;
                                        return look.found;
                                    },
                                .wait = [this] { ++waited; },
                                .say = [this](std::string_view sentence) { said.emplace_back(sentence); }});
    }
};

const SecretLook there{.in_place = true, .why = ""};
const SecretLook absent{.in_place = false, .why = "it is not on this node"};
const SecretLook changed{.in_place = false, .why = "its bundle was changed"};

TEST(WaitForSecret, LastsUntilTheSecretIsInPlaceAndLogsEachReasonOnce) {
    Node node{.looks = {{absent}, {absent}, {changed}, {there}}};
    node.await();
    EXPECT_EQ(node.waited, 3u);
    EXPECT_THAT(node.said, ElementsAre("waiting for secret one: it is not on this node",
                                       "waiting for secret one: its bundle was changed"));
}

TEST(WaitForSecret, DoesNotWaitDuringASwitch) {
    Node node{.looks = {{changed}}, .switching = true};
    EXPECT_THROW(node.await(), Error);
    EXPECT_EQ(node.waited, 0u);
    Node other{.looks = {{there}}, .switching = true};
    other.await();
}

// The check was of the previous secrets, and a switch does not wait for a unit that was already waiting.
TEST(WaitForSecret, ContinuesWhenADeploymentBeginsMeanwhile) {
    Node node{.looks = {{changed, true}, {changed}, {there}}};
    node.await();
    EXPECT_EQ(node.looked, 3u);
}

TEST(WaitForSecret, OnlyASwitchWaitsForUnits) {
    State state;
    EXPECT_FALSE(is_switching(state, "boot-1"));
    state.deployment.emplace();
    state.deployment->boot_id = "boot-1";
    state.deployment->state = DeploymentState::activating;
    EXPECT_TRUE(is_switching(state, "boot-1"));
    EXPECT_FALSE(is_switching(state, "boot-2")) << "the power was cut in mid-switch, and the agent has not come to it";
    state.deployment->secrets_only = true;
    EXPECT_FALSE(is_switching(state, "boot-1")) << "nothing waits for the units then";
    state.deployment->secrets_only = false;
    state.deployment->outcome = protocol::Outcome::failed_before_activation;
    EXPECT_FALSE(is_switching(state, "boot-1"));
    state.deployment->outcome.reset();
    state.deployment->state = DeploymentState::staged;
    EXPECT_FALSE(is_switching(state, "boot-1"));
}

} // namespace
} // namespace waggle::agent
