#include "agent/cli.hpp"
#include "tests/unit/cli/reference.hpp"

#include <gtest/gtest.h>

namespace waggle::agent {

namespace {

TEST(AgentCliReference, MatchesTheParser) {
    test::expect_pages({.name = "waggle-agent",
                        .title = "Command line of the agent",
                        .page = "agent-cli.md",
                        .purpose = "the agent of a node that Waggle deploys",
                        .section = 8,
                        .help_of = help_of});
}

} // namespace

} // namespace waggle::agent
