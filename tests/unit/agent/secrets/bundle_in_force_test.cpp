#include "agent/secrets/bundle_in_force.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace waggle::agent {
namespace {

using protocol::DeploymentState;

const auto system_before = test_path('a', "old");
const auto its_system = test_path('b', "new");

BundleRef bundle(std::int64_t sequence) {
    BundleRef ref;
    ref.id.digest[0] = static_cast<std::uint8_t>(sequence);
    ref.sequence = sequence;
    return ref;
}

struct BundleCase {
    const char* name;
    DeploymentState state;
    bool brings = true;
    bool same_boot = true;
    bool runs_its_system = false;
    std::int64_t in_force; // the sequence: 1 was committed before, 2 is the newest deployment's
    std::int64_t committed;
};

class BundleInForce : public testing::TestWithParam<BundleCase> {};

TEST_P(BundleInForce, IsInForceAndCommitted) {
    const auto& c = GetParam();
    State state;
    state.secrets = bundle(1);
    state.deployment.emplace();
    state.deployment->state = c.state;
    state.deployment->toplevel = its_system;
    state.deployment->boot_id = "boot-1";
    if (c.brings)
        state.deployment->bundle = bundle(2);
    const auto in_force =
        bundle_in_force(state, c.same_boot ? "boot-1" : "boot-2", c.runs_its_system ? its_system : system_before);
    EXPECT_EQ(in_force, bundle(c.in_force));
    EXPECT_EQ(committed_bundle(state), bundle(c.committed));
}

const std::vector<BundleCase> cases{
    {"BeforeItsActivationNothingChanges", DeploymentState::staged, true, true, false, 1, 1},
    {"FromItsActivationOnItsOwn", DeploymentState::activating, true, true, false, 2, 1},
    {"CutOffByAPowerCut", DeploymentState::activating, true, false, true, 1, 1},
    {"AwaitsItsConfirmation", DeploymentState::activated, true, true, true, 2, 1},
    {"NotConfirmedBeforeAReboot", DeploymentState::activated, true, false, false, 1, 1},
    {"CommittingAndRebooted", DeploymentState::committing, true, false, true, 2, 1},
    {"CommittingButAnotherSystemBooted", DeploymentState::committing, true, false, false, 1, 1},
    {"Committed", DeploymentState::committed, true, true, true, 2, 2},
    {"CommittedAndAnOlderGenerationBooted", DeploymentState::committed, true, false, false, 2, 2},
    {"WaitsForItsBoot", DeploymentState::awaiting_reboot, true, true, false, 1, 1},
    {"ItsBoot", DeploymentState::awaiting_reboot, true, false, true, 2, 1},
    {"AnotherWasBooted", DeploymentState::awaiting_reboot, true, false, false, 1, 1},
    {"GoingBack", DeploymentState::rolling_back, true, true, true, 1, 1},
    {"WentBack", DeploymentState::rolled_back, true, true, false, 1, 1},
    {"Failed", DeploymentState::failed, true, true, false, 1, 1},
    {"BringsNone", DeploymentState::committed, false, true, true, 1, 1},
};
INSTANTIATE_TEST_SUITE_P(Cases, BundleInForce, testing::ValuesIn(cases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST(BundleInForceOfAFreshNode, IsNone) {
    EXPECT_EQ(bundle_in_force({}, "boot-1", std::nullopt), std::nullopt);
    EXPECT_EQ(committed_bundle({}), std::nullopt);
}

} // namespace
} // namespace waggle::agent
