#include "shared/base/error.hpp"
#include "trigger/build/build_turns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace waggle::trigger {
namespace {

using testing::ElementsAre;
using Drvs = std::set<nix::StorePath>;

nix::StorePath drv(char name) {
    return nix::StorePath::parse_absolute("/nix/store/" + std::string(32, '0') + "-" + name + ".drv");
}

class BuildTurnsTest : public testing::Test {
protected:
    BuildTurns::Turn take(const std::optional<Drvs>& drvs) {
        return turns.take([&] { return drvs; }, interrupt);
    }
    // Interrupted at its second check: the build could not begin at the first.
    bool would_wait(const std::optional<Drvs>& drvs) {
        Interrupt stop;
        try {
            const BuildTurns::Turn turn = turns.take(
                [&] {
                    stop.request();
                    return drvs;
                },
                stop);
            return false;
        } catch (const Interrupted&) {
            return true;
        }
    }

    Interrupt interrupt;
    BuildTurns turns{3};
};

TEST_F(BuildTurnsTest, IndependentBuildsRunInParallel) {
    const auto first = take(Drvs{drv('a'), drv('b')});
    EXPECT_FALSE(would_wait(Drvs{drv('c')}));
    EXPECT_FALSE(would_wait(Drvs{}));
}

TEST_F(BuildTurnsTest, BuildsThatShareADerivationDoNotOverlap) {
    const auto first = take(Drvs{drv('a'), drv('b')});
    EXPECT_TRUE(would_wait(Drvs{drv('b'), drv('c')}));
}

TEST_F(BuildTurnsTest, ABuildWithUnknownDerivationsRunsAlone) {
    {
        const auto first = take(std::nullopt);
        EXPECT_TRUE(would_wait(Drvs{drv('a')}));
    }
    const auto second = take(Drvs{drv('a')});
    EXPECT_TRUE(would_wait(std::nullopt));
}

TEST_F(BuildTurnsTest, RunsNoMoreBuildsThanTheLimit) {
    const auto first = take(Drvs{drv('a')}), second = take(Drvs{drv('b')});
    {
        const auto third = take(Drvs{drv('c')});
        EXPECT_TRUE(would_wait(Drvs{drv('d')}));
    }
    EXPECT_FALSE(would_wait(Drvs{drv('d')}));
}

TEST_F(BuildTurnsTest, ABuildBeginsWhenTheSharedDerivationsAreBuilt) {
    const auto first = take(Drvs{drv('a'), drv('b')}); // still builds "a"
    int asked = 0;
    const auto second = turns.take([&] { return ++asked == 1 ? Drvs{drv('b'), drv('c')} : Drvs{drv('c')}; }, interrupt);
    EXPECT_EQ(asked, 2);
}

TEST_F(BuildTurnsTest, OneBeginsWhenTheOtherHasEnded) {
    std::optional<BuildTurns::Turn> first(take(Drvs{drv('a')}));
    std::promise<void> asked;
    std::atomic<int> questions = 0;
    std::thread second([&] {
        const auto turn = turns.take(
            [&] {
                if (++questions == 1)
                    asked.set_value();
                return Drvs{drv('a')};
            },
            interrupt);
    });
    asked.get_future().wait();
    first.reset();
    second.join();
    EXPECT_GE(questions, 1);
}

TEST(BuildOutputs, OfTwoBuildsAreNotMixed) {
    BuildOutputs outputs;
    std::vector<std::string> printed;
    const auto print = [&](std::string_view line) { printed.emplace_back(line); };
    std::optional<BuildOutputs::Output> a, b, c;
    a.emplace(outputs, print);
    b.emplace(outputs, print);
    c.emplace(outputs, print);
    b->line("b1");
    a->line("a1");
    c->line("c1");
    b.reset(); // before its turn has come
    a->line("a2");
    EXPECT_THAT(printed, ElementsAre("a1", "a2"));
    a.reset();
    EXPECT_THAT(printed, ElementsAre("a1", "a2", "b1", "c1"));
    c->line("c2");
    EXPECT_THAT(printed, ElementsAre("a1", "a2", "b1", "c1", "c2"));
}

TEST(BuildOutputs, AreLimitedInSize) {
    BuildOutputs outputs;
    std::vector<std::string> printed;
    const auto print = [&](std::string_view line) { printed.emplace_back(line); };
    std::optional<BuildOutputs::Output> a, b;
    a.emplace(outputs, print);
    b.emplace(outputs, print);
    const std::string line(1000, 'x');
    for (int i = 0; i < 2000; ++i)
        b->line(line);
    a.reset();
    ASSERT_LT(printed.size(), 1100u);
    EXPECT_THAT(printed.back(), testing::HasSubstr("left out"));
}

} // namespace
} // namespace waggle::trigger
