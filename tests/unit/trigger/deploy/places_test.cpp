#include "shared/base/error.hpp"
#include "trigger/deploy/places.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace waggle::trigger {
namespace {

TEST(Places, AreLimitedAndReturned) {
    Places places(2);
    Places::Place first = places.try_take(), second = places.try_take();
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(places.try_take());
    first.reset();
    EXPECT_TRUE(places.try_take());
}

TEST(Places, ZeroMeansNoLimit) {
    Places places(0);
    const Places::Place first = places.try_take();
    EXPECT_TRUE(first && places.try_take());
}

TEST(Places, TakeWaitsForAFreePlace) {
    const Interrupt interrupt;
    Places places(1);
    Places::Place first = places.try_take();
    std::thread other([&] { EXPECT_TRUE(places.take(interrupt)); });
    first.reset();
    other.join();
}

TEST(Places, TakeThrowsAfterAnInterrupt) {
    Interrupt interrupt;
    Places places(1);
    const Places::Place first = places.try_take();
    interrupt.request();
    EXPECT_THROW(places.take(interrupt), Interrupted);
}

} // namespace
} // namespace waggle::trigger
