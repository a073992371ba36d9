#include "tests/unit/trigger/fake_agent.hpp"
#include "trigger/report/node_failures.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace waggle::trigger {
namespace {

class EndRecorder : public RecordingReporter {
public:
    void ended(const std::string& node, protocol::Outcome /*outcome*/, std::string_view message) override {
        shown.push_back(node + ": " + std::string(message));
    }

    std::vector<std::string> shown;
};

NodeReport failure_of_node(const std::string& node, const std::string& message) {
    NodeReport report;
    report.node = node;
    report.outcome = protocol::Outcome::hive_error;
    report.message = message;
    return report;
}

TEST(NodeFailures, ShowsTheFirstLineAndKeepsTheWholeMessage) {
    EndRecorder reporter;
    NodeFailures failures(reporter);
    failures.add(failure_of_node("attic", "no such option\nat hive.nix:7"));
    EXPECT_THAT(reporter.shown, testing::ElementsAre("attic: no such option"));
    EXPECT_THAT(failures.take(),
                testing::ElementsAre(testing::Field(&NodeReport::message, "no such option\nat hive.nix:7")));
}

TEST(NodeFailures, ReturnsEachFailureOnceInOrder) {
    EndRecorder reporter;
    NodeFailures failures(reporter);
    failures.add(failure_of_node("cellar", ""));
    failures.add(failure_of_node("attic", ""));
    EXPECT_THAT(failures.take(), testing::ElementsAre(testing::Field(&NodeReport::node, "cellar"),
                                                      testing::Field(&NodeReport::node, "attic")));
    EXPECT_THAT(failures.take(), testing::IsEmpty());
}

} // namespace
} // namespace waggle::trigger
