#include "shared/base/error.hpp"
#include "trigger/connect/reach.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

NodeAddress address(const std::string& name, const std::string& node) {
    return {.name = name, .deployment = {}, .hive = "bees", .node = node, .system = "x86_64-linux"};
}

TEST(Reach, AlsoTriesTheDefaultHiveName) {
    NodeAddress alpha = address("alpha", "alpha");
    set_reach({}, alpha);
    EXPECT_THAT(alpha.former_names, ElementsAre(AgentName{"hive", "alpha"}));
    alpha.hive = "hive";
    set_reach({}, alpha);
    EXPECT_THAT(alpha.former_names, IsEmpty());
}

TEST(Reach, AlsoTriesTheHivesNameForTheNode) {
    NodeAddress alpha = address("alpha", "queen");
    alpha.hive = "hive";
    set_reach({}, alpha);
    EXPECT_THAT(alpha.former_names, ElementsAre(AgentName{"hive", "alpha"}));
    NodeAddress odd = address("no name & no host", "queen");
    odd.hive = "hive";
    set_reach({}, odd);
    EXPECT_THAT(odd.former_names, IsEmpty());
}

TEST(Reach, FormerNamesAreTriedInTheNewHiveThenInTheFormerOne) {
    NodeAddress queen = address("queen", "queen");
    queen.hive = "hive";
    set_reach({.via_ssh = true, .former_node = "alpha", .former_hive = "wasps"}, queen);
    EXPECT_TRUE(queen.deployment.agent_via_ssh);
    EXPECT_THAT(queen.former_names,
                ElementsAre(AgentName{"hive", "alpha"}, AgentName{"wasps", "queen"}, AgentName{"wasps", "alpha"}));
}

TEST(Reach, AFormerNodeNameRequiresASingleNode) {
    EXPECT_NO_THROW(require_fitting({.via_ssh = {}, .former_node = "alpha", .former_hive = {}}, 1));
    EXPECT_THROW(require_fitting({.via_ssh = {}, .former_node = "alpha", .former_hive = {}}, 2), Error);
    EXPECT_NO_THROW(require_fitting({.via_ssh = {}, .former_node = {}, .former_hive = "wasps"}, 2));
}

} // namespace
} // namespace waggle::trigger
