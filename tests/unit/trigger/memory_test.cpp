#include "shared/base/error.hpp"
#include "trigger/hive/memory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace waggle::trigger {
namespace {

constexpr std::uint64_t mib = 1 << 20;

TEST(Memory, ThisMachineSaysHowMuchItHas) {
    const auto available = available_memory_bytes();
    ASSERT_TRUE(available);
    EXPECT_GT(*available, 16 * mib);
}

TEST(Memory, AProcessHasSome) {
    const auto resident = resident_bytes(::getpid());
    ASSERT_TRUE(resident);
    EXPECT_GT(*resident, 100u << 10);
    EXPECT_FALSE(resident_bytes(-1));
}

TEST(MemorySize, IsReadWithItsUnit) {
    const std::pair<const char*, std::uint64_t> cases[] = {{"800M", 800 * mib}, {"800m", 800 * mib},
                                                           {"2G", 2048 * mib},  {"1.5G", 1536 * mib},
                                                           {"80%", 800 * mib},  {"1T", mib * mib}};
    for (const auto& [text, bytes] : cases)
        EXPECT_EQ(parse_memory_size(text, 1000 * mib), bytes) << text;
}

TEST(MemorySize, IsRefusedWithoutOneAndWhereItIsNone) {
    for (const char* text :
         {"", "1", "G", "-1G", "0G", "1GB", "1 G", "1.5.5G", "1e400G", "99999999999T", "nan%", "infG"})
        EXPECT_THROW(parse_memory_size(text, mib), Error) << text;
}

} // namespace
} // namespace waggle::trigger
