#include "shared/base/error.hpp"
#include "trigger/deploy/upload_limit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;
using Instant = UploadLimit::Instant;

TEST(UploadLimit, GivesTurnsAtTheLimitedRate) {
    UploadLimit limit(1000);
    const Instant start{1h};
    EXPECT_EQ(limit.reserve(500, start), start);
    EXPECT_EQ(limit.reserve(500, start), start + 500ms);
    EXPECT_EQ(limit.reserve(100, start + 200ms), start + 1s);
    EXPECT_EQ(limit.reserve(100, start + 5s), start + 5s) << "unused time is not saved";
}

// Simulates senders that reserve their next turn when the node has accepted the previous piece, and returns how many
// bytes each has sent in a minute.
std::vector<size_t> sent_in_a_minute(const std::vector<std::chrono::milliseconds>& accepts_after) {
    constexpr size_t piece = 1000;
    UploadLimit limit(10'000);
    const Instant start{1h};
    std::vector<Instant> ready(accepts_after.size(), start);
    std::vector<size_t> sent(accepts_after.size());
    for (;;) {
        const auto next = static_cast<size_t>(std::ranges::min_element(ready) - ready.begin());
        if (ready[next] >= start + 1min)
            return sent;
        ready[next] = limit.reserve(piece, ready[next]) + accepts_after[next];
        sent[next] += piece;
    }
}

TEST(UploadLimit, SharesTheRateFairly) {
    const auto sent = sent_in_a_minute({1ms, 1ms, 100ms});
    for (const size_t bytes : sent)
        EXPECT_NEAR(static_cast<double>(bytes), 200'000, 4000);
}

TEST(UploadLimit, LeavesTheShareOfASlowNodeToTheOthers) {
    const auto sent = sent_in_a_minute({1ms, 1ms, 10s});
    EXPECT_LT(sent[2], 10'000u);
    EXPECT_NEAR(static_cast<double>(sent[0]), 297'000, 4000);
    EXPECT_NEAR(static_cast<double>(sent[1]), 297'000, 4000);
}

TEST(UploadLimit, MakesTurnsShort) {
    EXPECT_EQ(UploadLimit(4 << 10).piece_bytes(), 512u);
    EXPECT_EQ(UploadLimit(1 << 20).piece_bytes(), 64u << 10);
    EXPECT_EQ(UploadLimit(1 << 30).piece_bytes(), 256u << 10);
}

TEST(Rate, IsParsedInPowersOf1024) {
    const std::pair<std::string, std::uint64_t> cases[] = {
        {"4096", 4096}, {"4K", 4096}, {"500k", 500 << 10}, {"1.5M", 3 << 19}, {"2m", 2 << 20}, {"1G", 1 << 30},
    };
    for (const auto& [text, rate] : cases)
        EXPECT_EQ(parse_rate(text), rate) << text;
}

TEST(Rate, IsRefusedIfItIsNone) {
    for (const auto* text :
         {"", "0", "4095", "1K", "-1M", "M", "2MB", "2 M", "2M/s", "2x", "1e3", "inf", "nan", "1000000G"})
        EXPECT_THROW(parse_rate(text), Error) << text;
}

} // namespace
} // namespace waggle::trigger
