#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "trigger/eval/memory.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace waggle::trigger {
namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

TEST(Memory, ReadsTheAvailableMemoryOfThisMachine) {
    const auto available = available_memory_bytes();
    ASSERT_TRUE(available);
    EXPECT_GT(*available, 16 * mebibyte);
}

TEST(Memory, ReadsTheResidentMemoryOfAProcess) {
    const auto resident = resident_bytes(::getpid());
    ASSERT_TRUE(resident);
    EXPECT_GT(*resident, 100u << 10);
    EXPECT_FALSE(resident_bytes(-1));
}

// A fake /proc and /sys.
class Cgroup : public testing::Test {
protected:
    void file(const std::string& path, const std::string& text) {
        const std::filesystem::path file = root.path() / path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }
    void second_version(const std::string& group, const std::string& mount_root = "/") {
        file("proc/self/cgroup", "0::" + group + "\n");
        file("proc/self/mountinfo", "22 1 0:20 / /proc rw - proc proc rw\n30 23 0:26 " + mount_root +
                                        " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    }
    void first_version(const std::string& group, const std::string& mount_root = "/") {
        file("proc/self/cgroup", "7:cpu,cpuacct:/other\n4:memory:" + group + "\n0::/else\n");
        file("proc/self/mountinfo", "33 30 0:30 " + mount_root +
                                        " /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                                        "34 30 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    }
    std::optional<std::uint64_t> left() { return cgroup_memory_left(root.path()); }

    TemporaryFolder root;
};

TEST_F(Cgroup, ReportsNoLimitIfNoneIsSet) {
    EXPECT_FALSE(left());
    second_version("/user.slice");
    EXPECT_FALSE(left());
    file("sys/fs/cgroup/user.slice/memory.max", "max\n");
    EXPECT_FALSE(left());
    first_version("/user.slice");
    file("sys/fs/cgroup/memory/user.slice/memory.limit_in_bytes", "9223372036854771712\n");
    EXPECT_FALSE(left());
}

TEST_F(Cgroup, SubtractsMemoryThatCannotBeReclaimed) {
    second_version("/ci/job");
    file("sys/fs/cgroup/ci/job/memory.max", "1000\n");
    file("sys/fs/cgroup/ci/job/memory.current", "300\n");
    file("sys/fs/cgroup/ci/job/memory.stat", "anon 100\ninactive_file 200\n");
    EXPECT_EQ(left(), 900u);
}

TEST_F(Cgroup, ALimitOfAParentApplies) {
    second_version("/ci/job");
    file("sys/fs/cgroup/ci/job/memory.max", "1000\n");
    file("sys/fs/cgroup/ci/memory.max", "400\n");
    EXPECT_EQ(left(), 400u);
}

TEST_F(Cgroup, UsesTheRootOfTheMountInAContainer) {
    second_version("/");
    file("sys/fs/cgroup/memory.max", "1000\n");
    EXPECT_EQ(left(), 1000u);
    second_version("/docker/abc", "/docker/abc");
    EXPECT_EQ(left(), 1000u);
    second_version("/../other", "/docker/abc");
    EXPECT_EQ(left(), 1000u);
}

TEST_F(Cgroup, SupportsTheFirstVersion) {
    first_version("/docker/abc", "/docker/abc");
    file("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n");
    file("sys/fs/cgroup/memory/memory.usage_in_bytes", "1500\n");
    file("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 600\n");
    EXPECT_EQ(left(), 100u);
}

TEST(MemorySize, IsReadWithItsUnit) {
    const std::pair<const char*, std::uint64_t> cases[] = {{"800M", 800 * mebibyte}, {"800m", 800 * mebibyte},
                                                           {"2G", 2048 * mebibyte},  {"1.5G", 1536 * mebibyte},
                                                           {"80%", 800 * mebibyte},  {"1T", mebibyte * mebibyte}};
    for (const auto& [text, bytes] : cases)
        EXPECT_EQ(parse_memory_size(text, 1000 * mebibyte), bytes) << text;
}

TEST(MemorySize, RefusesMissingUnitsAndInvalidSizes) {
    for (const char* text :
         {"", "1", "G", "-1G", "0G", "1GB", "1 G", "1.5.5G", "1e400G", "99999999999T", "nan%", "infG"})
        EXPECT_THROW(parse_memory_size(text, mebibyte), Error) << text;
}

} // namespace
} // namespace waggle::trigger
