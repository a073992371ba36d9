#include "trigger/deploy/link_speed.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace waggle::trigger {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr size_t piece = 256 << 10;

// Sends pieces to a node that accepts them at this speed.
void send_at(LinkSpeed& speed, double bytes_per_second, size_t bytes) {
    for (size_t sent = 0; sent < bytes; sent += piece)
        speed.sent(piece, Seconds(static_cast<double>(piece) / bytes_per_second));
}

TEST(CompressionLevel, FollowsTheSpeed) {
    struct Case {
        std::optional<double> bytes_per_second;
        std::optional<int> level;
    };
    for (const auto& [speed, level] : {
             Case{std::nullopt, 3},
             Case{0, 9},
             Case{100e3, 9},
             Case{2e6, 9},
             Case{9.9e6, 9},
             Case{10e6, 3},
             Case{50e6, 3},
             Case{118e6, 1}, // gigabit Ethernet
             Case{199e6, 1},
             Case{200e6, std::nullopt},
             Case{1e12, std::nullopt},
         })
        EXPECT_EQ(compression_level(speed), level) << speed.value_or(-1);
}

TEST(LinkSpeed, IsUnknownAtFirst) {
    LinkSpeed speed;
    EXPECT_FALSE(speed.bytes_per_second());
    speed.sent(piece, Seconds(0));
    EXPECT_FALSE(speed.bytes_per_second());
}

TEST(LinkSpeed, OfASlowLinkIsKnownSoon) {
    LinkSpeed speed;
    send_at(speed, 2e6, 1 << 20);
    ASSERT_TRUE(speed.bytes_per_second());
    EXPECT_NEAR(*speed.bytes_per_second(), 2e6, 1e3);
}

TEST(LinkSpeed, IsNotBelievedToBeHighBeforeTheBuffersAreFull) {
    LinkSpeed speed;
    send_at(speed, 5e9, 12 << 20);
    EXPECT_FALSE(speed.bytes_per_second());
    send_at(speed, 2e6, 4 << 20);
    EXPECT_LT(speed.bytes_per_second().value(), 10e6);
}

TEST(LinkSpeed, OfAFastLinkIsKnownAfterSomeMegabytes) {
    LinkSpeed speed;
    send_at(speed, 1e9, 16 << 20);
    EXPECT_GT(speed.bytes_per_second().value(), 900e6);
    LinkSpeed at_once;
    for (size_t sent = 0; sent < 16 << 20; sent += piece)
        at_once.sent(piece, Seconds(0));
    EXPECT_GT(at_once.bytes_per_second().value(), 900e6);
}

TEST(LinkSpeed, FollowsALinkThatBecomesSlower) {
    LinkSpeed speed;
    send_at(speed, 1e9, 64 << 20);
    send_at(speed, 2e6, 8 << 20);
    EXPECT_LT(speed.bytes_per_second().value(), 10e6);
}

TEST(LinkSpeed, RecoversFromAPauseOfTheNode) {
    LinkSpeed speed;
    send_at(speed, 50e6, 64 << 20);
    speed.sent(piece, Seconds(10));
    EXPECT_EQ(compression_level(speed.bytes_per_second()), 9);
    send_at(speed, 50e6, 40 << 20);
    EXPECT_EQ(compression_level(speed.bytes_per_second()), 3);
}

TEST(LinkSpeed, GrowsSlowlyWhileEverythingIsAcceptedAtOnce) {
    LinkSpeed speed;
    send_at(speed, 100e6, 64 << 20);
    send_at(speed, 1e12, 32 << 20);
    EXPECT_LT(speed.bytes_per_second().value(), 150e6);
    send_at(speed, 1e12, 256 << 20);
    EXPECT_GT(speed.bytes_per_second().value(), 200e6);
}

} // namespace
} // namespace waggle::trigger
