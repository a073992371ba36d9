#include "trigger/report/board.hpp"
#include "trigger/report/escape.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;
using protocol::Outcome;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class BoardTest : public testing::Test {
protected:
    std::vector<std::string> render(size_t rows = 24, size_t width = 100) {
        return board_.render(rows, width, false, at(20s));
    }
    Board::Instant at(std::chrono::milliseconds time) const { return start_ + time; }

    Board::Instant start_ = std::chrono::steady_clock::now();
    Board board_{start_};
};

TEST_F(BoardTest, ShowsALinePerNodeAndTheTotals) {
    board_.step("alpha", Step::waiting, at(0s));
    board_.step("alpha", Step::activating, at(15s));
    board_.line("alpha", "starting web.service");
    board_.step("be", Step::waiting, at(0s));
    board_.step("gamma", Step::connecting, at(10s));
    board_.ended("gamma", Outcome::unreachable, "no answer", at(12s));
    EXPECT_THAT(render(), ElementsAre("alpha  activating      5.0 s  starting web.service",
                                      "be     waiting                ", "gamma  unreachable     2.0 s  no answer",
                                      "3 nodes: 0 done, 1 failed, 1 working, 1 waiting; 20 s"));
}

TEST_F(BoardTest, ShowsBytesRateAndPercentageOfAFetch) {
    board_.step("alpha", Step::fetching, at(10s));
    board_.transfer("alpha", 5 << 20, 20 << 20);
    const auto lines = render();
    EXPECT_THAT(lines.front(), HasSubstr("5.0 MiB of 20.0 MiB, 25 %, 512.0 KiB/s"));
    EXPECT_THAT(lines.back(), HasSubstr("5.0 MiB fetched"));
}

TEST_F(BoardTest, ShowsTheTimeThatALongFetchStillTakes) {
    board_.step("alpha", Step::fetching, at(10s));
    const auto shown = [&](std::uint64_t done) {
        board_.transfer("alpha", done, 20 << 20);
        return render().front();
    };
    EXPECT_THAT(shown(5 << 20), HasSubstr("512.0 KiB/s, 30 s left"));
    EXPECT_THAT(shown(1 << 20), HasSubstr("102.4 KiB/s, 3 min 10 s left"));
    for (const unsigned done : {0U, 1U, 15U << 20, 20U << 20})
        EXPECT_THAT(shown(done), testing::Not(HasSubstr("left"))) << done;
}

TEST_F(BoardTest, NoLineIsWiderThanTheTerminal) {
    board_.step("a-node-with-quite-a-long-name", Step::activating, at(0s));
    board_.line("a-node-with-quite-a-long-name", std::string(500, 'x'));
    board_.step("日本", Step::fetching, at(0s));
    board_.transfer("日本", 1, 2);
    for (size_t width = 1; width < 120; ++width) {
        for (const std::string& line : render(24, width))
            EXPECT_LE(columns(line), std::max<size_t>(width, 4)) << width;
    }
}

TEST_F(BoardTest, ShowsWorkingNodesFirstWhenRowsAreFew) {
    for (const char* name : {"a", "b", "c", "d"})
        board_.step(name, Step::waiting, at(0s));
    board_.step("c", Step::fetching, at(1s));
    board_.ended("a", Outcome::ok, "", at(2s));
    EXPECT_THAT(render(3), ElementsAre(StartsWith("c"), StartsWith("a"),
                                       StartsWith("4 nodes: 1 done, 0 failed, 1 working, 2 waiting")));
    EXPECT_TRUE(render(0).empty());
}

TEST_F(BoardTest, ALogLineDoesNotOutliveItsStep) {
    board_.step("a", Step::building, at(0s));
    board_.line("a", "compiling");
    board_.step("a", Step::connecting, at(1s));
    EXPECT_THAT(render().front(), testing::Not(HasSubstr("compiling")));
}

} // namespace
} // namespace waggle::trigger
