#include "agent/cli.hpp"
#include "tests/unit/cli/reference.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {

namespace {

test::Program agent_program() {
    return {.name = "waggle-agent",
            .title = "Command line of the agent",
            .purpose = "the agent of a node that Waggle deploys",
            .section = 8,
            .help_of = help_of};
}

TEST(AgentCliReference, MatchesTheParser) {
    test::expect_page("agent-cli.md", test::markdown_page(agent_program()));
}

TEST(AgentCliReference, ManualPageMatchesTheParser) {
    test::expect_page("waggle-agent.8", test::manual_page(agent_program()));
}

} // namespace

} // namespace waggle::agent
