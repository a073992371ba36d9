#include "trigger/connect/dialer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

net::NodeConnection connection() {
    return {nullptr, ssh::PrivateKey::generate().public_key(), {}};
}

class Ways : public testing::Test {
protected:
    net::NodeConnection connect(const std::function<net::NodeConnection(size_t)>& answer) {
        tried.clear();
        return try_ways(3, last, deadline_in(std::chrono::seconds(30)), [&](size_t way, Deadline) {
            tried.push_back(way);
            return answer(way);
        });
    }

    size_t last = 0;
    std::vector<size_t> tried;
};

TEST_F(Ways, AreTriedStartingWithTheLastSuccessfulOne) {
    const auto only = [](size_t good) {
        return [good](size_t way) { return way == good ? connection() : throw net::Unreachable("nobody answers"); };
    };
    connect(only(1));
    EXPECT_THAT(tried, ElementsAre(0, 1));
    connect(only(1));
    EXPECT_THAT(tried, ElementsAre(1));
    connect(only(0)); // it has moved
    EXPECT_THAT(tried, ElementsAre(1, 2, 0));
}

TEST_F(Ways, ShareTheRemainingTime) {
    std::vector<Deadline> deadlines;
    const auto began = std::chrono::steady_clock::now();
    EXPECT_THROW(try_ways(2, last, began + std::chrono::hours(2),
                          [&](size_t, Deadline deadline) -> net::NodeConnection {
                              deadlines.push_back(deadline);
                              throw net::Unreachable("");
                          }),
                 net::Unreachable);
    EXPECT_LE(deadlines[0], began + std::chrono::minutes(61));
    EXPECT_EQ(deadlines[1], began + std::chrono::hours(2));
}

TEST_F(Ways, AllFailuresAreReported) {
    EXPECT_THAT(
        [&] { connect([](size_t way) -> net::NodeConnection { throw net::Unreachable(std::to_string(way)); }); },
        ThrowsMessage<net::Unreachable>("0; 1; 2"));
}

// Another machine may have taken over a former address of the node; only the real node counts.
TEST_F(Ways, AWrongKeyCountsOnlyIfNoOtherWayReachesTheNode) {
    const auto wrong = [] { return net::WrongHostKey("another machine", ssh::PrivateKey::generate().public_key()); };
    connect([&](size_t way) { return way == 0 ? throw wrong() : connection(); });
    EXPECT_EQ(last, 1u);
    last = 0;
    EXPECT_THAT(
        [&] {
            connect([&](size_t way) -> net::NodeConnection {
                if (way == 2)
                    throw wrong();
                throw net::Unreachable("nobody answers");
            });
        },
        ThrowsMessage<net::WrongHostKey>(HasSubstr("another machine")));
}

} // namespace
} // namespace waggle::trigger
