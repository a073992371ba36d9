#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "trigger/eval/workers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <map>

namespace waggle::trigger {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Names = std::vector<std::string>;

// Evaluators are shell scripts: `script` with the marker as $1, followed by the nodes.
class WorkersTest : public testing::Test {
protected:
    void run(const Names& names, const std::string& script, EvaluationLimits limits = two_workers) {
        Schedule schedule(names, limits);
        const std::string prelude =
            "marker=$1; shift; "
            "tell() { echo \"trace: $marker{\\\"name\\\": \\\"$1\\\", \\\"value\\\": 7}\" >&2; }\n";
        run_workers(
            schedule,
            {.command =
                 [&](std::span<const std::string> some, const std::string& marker) {
                     Command command{.argv = {"sh", "-c", prelude + script, "sh", marker}, .extra_environment = {}};
                     command.argv.insert(command.argv.end(), some.begin(), some.end());
                     return command;
                 }},
            {.begins = [&](std::span<const std::string> some) { begun.emplace_back(some.begin(), some.end()); },
             .answered = [&](const std::string& name, const protocol::Json& value) { answers[name] = value; },
             .failed = [&](const std::string& name, const std::string& message) { failures[name] = message; },
             .failed_together =
                 [&](std::span<const std::string> some, const std::string& message) {
                     together.emplace_back(some.begin(), some.end());
                     failures["together"] = message;
                 },
             .ended = [&](std::span<const std::string> some) { ended.insert(ended.end(), some.begin(), some.end()); },
             .line = [&](std::string_view line) { lines.emplace_back(line); },
             .note = [&](std::string_view note) { notes.emplace_back(note); }},
            interrupt);
    }

    static constexpr EvaluationLimits two_workers{.workers = 2, .memory_bytes = 1e12, .per_chunk = 0};
    Interrupt interrupt;
    std::vector<Names> begun, together;
    std::map<std::string, int> answers;
    std::map<std::string, std::string> failures;
    Names ended, lines, notes;
    TemporaryFolder folder;
};

TEST_F(WorkersTest, ReportsEachAnswer) {
    run({"a", "b", "c"}, R"(for n; do tell $n; done; echo null)");
    EXPECT_EQ(answers, (std::map<std::string, int>{{"a", 7}, {"b", 7}, {"c", 7}}));
    EXPECT_THAT(ended, ElementsAre("a", "b", "c"));
    EXPECT_THAT(begun, ElementsAre(ElementsAre("a", "b", "c")));
    EXPECT_THAT(lines, IsEmpty());
}

TEST_F(WorkersTest, PassesOnOtherOutputUpToAnError) {
    run({"a"}, R"(echo "trace: hello" >&2; echo "warning: x" >&2; tell a; echo "error: late" >&2; echo more >&2)");
    EXPECT_THAT(lines, ElementsAre("trace: hello", "warning: x"));
}

TEST_F(WorkersTest, ALongAnswerArrivesWhole) {
    run({"a"},
        R"(printf 'trace: %s{"name": "a", "value": 7, "more": "' $marker >&2; head -c 3000000 /dev/zero | tr '\0' x >&2; echo '"}' >&2)");
    EXPECT_EQ(answers["a"], 7);
}

TEST_F(WorkersTest, AFailedNodeHasTheErrorOfNix) {
    run({"a", "b", "c"}, R"(for n; do [ $n != b ] || { echo "error: b is broken" >&2; exit 1; }; tell $n; done)");
    EXPECT_EQ(answers, (std::map<std::string, int>{{"a", 7}, {"c", 7}}));
    EXPECT_EQ(failures, (std::map<std::string, std::string>{{"b", "b is broken"}}));
    EXPECT_THAT(begun, ElementsAre(ElementsAre("a", "b", "c"), ElementsAre("c")));
}

TEST_F(WorkersTest, AKilledEvaluatorIsRetried) {
    run({"a", "b", "c"},
        "mark=" + (folder.path() / "killed").string() +
            R"(; for n; do [ $n != b ] || [ -e $mark ] || { touch $mark; kill -9 $$; }; tell $n; done)");
    EXPECT_EQ(answers.size(), 3u);
    EXPECT_THAT(failures, IsEmpty());
    EXPECT_THAT(notes, ElementsAre(HasSubstr("killed by signal 9")));
}

TEST_F(WorkersTest, AnEvaluatorOutOfMemoryIsRetried) {
    run({"a", "b"},
        "mark=" + (folder.path() / "died").string() +
            R"(; [ -e $mark ] || { touch $mark; echo "error: out of memory" >&2; exit 1; }; for n; do tell $n; done)");
    EXPECT_EQ(answers.size(), 2u);
    EXPECT_THAT(notes, ElementsAre(HasSubstr("out of memory")));
}

TEST_F(WorkersTest, ANodeThatAlwaysKillsItsEvaluatorFailsAlone) {
    run({"a", "b", "c"}, R"(for n; do [ $n != b ] || kill -9 $$; tell $n; done)");
    EXPECT_EQ(answers, (std::map<std::string, int>{{"a", 7}, {"c", 7}}));
    EXPECT_THAT(failures["b"], HasSubstr("killed by signal 9"));
}

TEST_F(WorkersTest, ANodeWithoutAnAnswerFails) {
    run({"a"}, "exit 0");
    EXPECT_THAT(failures["a"], HasSubstr("no answer"));
}

TEST_F(WorkersTest, IsStoppedByAnInterrupt) {
    interrupt.request();
    EXPECT_THROW(run({"a"}, "exec sleep 600"), Interrupted);
}

constexpr std::string_view say_common = R"(
common() { echo "trace: $marker{\"common\": $1}" >&2; }
)";

TEST_F(WorkersTest, ASharedErrorFailsAllNodesOnce) {
    run({"a", "b", "c", "d"},
        std::string(say_common) + R"(common '["a", "b", "c", "d"]'; echo "error: no pin" >&2; exit 1)",
        {.workers = 1, .memory_bytes = 1e12, .per_chunk = 2});
    EXPECT_THAT(begun, ElementsAre(ElementsAre("a", "b")));
    EXPECT_THAT(together, ElementsAre(ElementsAre("a", "b", "c", "d")));
    EXPECT_EQ(failures["together"], "no pin");
}

TEST_F(WorkersTest, NodesThatDoNotShareTheErrorAreEvaluated) {
    run({"a", "b", "c"},
        std::string(say_common) +
            R"(for n; do [ $n = a ] || { common '["b", "c"]'; echo "error: no pin" >&2; exit 1; }; done; tell a)",
        {.workers = 1, .memory_bytes = 1e12, .per_chunk = 0});
    EXPECT_THAT(together, ElementsAre(ElementsAre("b", "c")));
    EXPECT_EQ(answers, (std::map<std::string, int>{{"a", 7}}));
}

TEST_F(WorkersTest, ANodeFailsAloneAfterTheSharedPartIsEvaluated) {
    run({"a", "b"},
        std::string(say_common) +
            R"(common '["a", "b"]'; common '[]'; for n; do [ $n != a ] || { echo "error: a" >&2; exit 1; }; tell $n; done)");
    EXPECT_THAT(together, IsEmpty());
    EXPECT_EQ(failures, (std::map<std::string, std::string>{{"a", "a"}}));
    EXPECT_EQ(answers.size(), 1u);
}

TEST_F(WorkersTest, OnlyItsOwnMarkerMarksAnAnswer) {
    run({"a"}, R"(echo 'trace: waggle-0000000000000000:{"name": "a", "value": 1}' >&2; tell a)");
    EXPECT_EQ(answers["a"], 7);
    EXPECT_EQ(lines.size(), 1u);
}

} // namespace
} // namespace waggle::trigger
