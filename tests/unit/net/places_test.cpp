#include "shared/net/places.hpp"

#include <gmock/gmock.h>

namespace waggle::net {

static void PrintTo(const Room::Leave& leave, std::ostream* out) {
    *out << leave.id << " at " << leave.at.time_since_epoch() / std::chrono::milliseconds(1) << " ms";
}
static bool operator==(const Room::Leave& a, const Room::Leave& b) {
    return a.id == b.id && a.at == b.at;
}

namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

using Instant = std::chrono::steady_clock::time_point;

constexpr PlaceLimits limits{.connections = 5, .per_source = 3, .leaving = 2, .lifetime = milliseconds(750)};
const std::string crowd = "10.0.0.1";
const std::string other = "10.0.0.2";
const std::string third = "10.0.0.3";

Instant at(int ms) {
    return Instant(milliseconds(ms));
}

TEST(Places, AdmitsTheFirstConnectionsWithoutDisplacingAny) {
    const std::vector<Unproven> two{{1, crowd, at(0)}, {2, crowd, at(10)}};
    const Room room = make_room(two, 2, crowd, limits, at(20));
    EXPECT_TRUE(room.admitted);
    EXPECT_THAT(room.leaves, IsEmpty());
}

TEST(Places, DisplacesTheOldestOfTheSameSource) {
    const std::vector<Unproven> full{{1, other, at(0)}, {2, crowd, at(0)}, {3, crowd, at(1)}, {4, crowd, at(2)}};
    EXPECT_THAT(make_room(full, 0, crowd, limits, at(5000)).leaves, ElementsAre(Room::Leave{2, at(5000)}));
    EXPECT_THAT(make_room(full, 0, other, limits, at(5000)).leaves, IsEmpty()) << "another source is not full";
}

TEST(Places, DisplacesNoConnectionBeforeItsMinimumLifetime) {
    const std::vector<Unproven> full{{2, crowd, at(100)}, {3, crowd, at(101)}, {4, crowd, at(102)}};
    const Room room = make_room(full, 0, crowd, limits, at(110));
    EXPECT_TRUE(room.admitted) << "the newcomer does not wait for that";
    EXPECT_THAT(room.leaves, ElementsAre(Room::Leave{2, at(850)}));
}

TEST(Places, DoesNotDisplaceAConnectionTwice) {
    const std::vector<Unproven> full{
        {2, crowd, at(100), true}, {3, crowd, at(101)}, {4, crowd, at(102)}, {5, crowd, at(103)}};
    EXPECT_THAT(make_room(full, 0, crowd, limits, at(110)).leaves, ElementsAre(Room::Leave{3, at(851)}));
}

TEST(Places, DisplacesTheSourceWithMostConnectionsWhenFull) {
    const std::vector<Unproven> full{{1, other, at(0)}, {2, crowd, at(1)}, {3, crowd, at(2)}};
    EXPECT_THAT(make_room(full, 2, third, limits, at(5000)).leaves, ElementsAre(Room::Leave{2, at(5000)}));
}

TEST(Places, SessionsAreNotDisplaced) {
    EXPECT_FALSE(make_room({}, 5, other, limits, at(5000)).admitted);
}

TEST(Places, DisplacesAFloodFromOneSourceAtOnceForAnother) {
    const std::vector<Unproven> flood{
        {1, crowd, at(0), true}, {2, crowd, at(1), true}, {3, crowd, at(2)}, {4, crowd, at(3)}, {5, crowd, at(4)}};
    EXPECT_FALSE(make_room(flood, 0, crowd, limits, at(10)).admitted);
    const Room room = make_room(flood, 2, other, limits, at(10));
    EXPECT_TRUE(room.admitted);
    EXPECT_THAT(room.leaves, ElementsAre(Room::Leave{3, at(752)}, Room::Leave{1, at(10)}));
}

TEST(Places, TheGreediestSourceHasMoreThanTheNewcomer) {
    const std::vector<Unproven> some{{1, other, at(0)}, {2, crowd, at(1)}, {3, crowd, at(2)}};
    EXPECT_EQ(oldest_of_the_greediest(some, other), 2u);
    EXPECT_EQ(oldest_of_the_greediest(some, third), 2u);
    EXPECT_EQ(oldest_of_the_greediest(some, crowd), std::nullopt);
    EXPECT_EQ(oldest_of_the_greediest({}, crowd), std::nullopt);
}

} // namespace
} // namespace waggle::net
