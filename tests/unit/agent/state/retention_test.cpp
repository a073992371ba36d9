#include "agent/daemon/fetch.hpp"
#include "agent/node/boot_space.hpp"
#include "agent/node/specialisation.hpp"
#include "agent/state/retention.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

const auto toplevel_a = test_path('a', "a");
const auto toplevel_b = test_path('b', "b");
const auto toplevel_c = test_path('c', "c");

} // namespace

TEST(Retention, KeepsTheNewestAndTheNeededGenerations) {
    const std::vector<Generation> generations = {
        {3, toplevel_c}, {1, toplevel_a}, {2, std::nullopt}, {10, toplevel_c}, {4, toplevel_b}};
    EXPECT_THAT(generations_to_drop(generations, 2, {}), ElementsAre(3, 2, 1));
    EXPECT_THAT(generations_to_drop(generations, 2, {toplevel_a}), ElementsAre(3, 2)) << "a runs";
    EXPECT_THAT(generations_to_drop(generations, 1, {toplevel_a, toplevel_b, toplevel_c}), ElementsAre(2));
    EXPECT_THAT(generations_to_drop(generations, 9, {}), IsEmpty());
}

TEST(Retention, ReleasesGcRootsAfterTheirRetention) {
    struct Case {
        const char* what;
        const char* name;
        nix::StorePath path;
        std::chrono::hours age;
        bool committed;
        bool due;
    };
    const auto hour = std::chrono::hours(1);
    const auto long_ago = std::chrono::hours(24 * 15);
    const Case cases[] = {
        {"pushed today", "1f2e", toplevel_b, hour, true, false},
        {"pushed long ago, and never activated", "1f2e", toplevel_b, long_ago, true, true},
        {"built an hour ago, and not deployed", "build", toplevel_b, hour, true, false},
        {"built the day before yesterday", "build", toplevel_b, 2 * std::chrono::days(1), true, true},
        {"runs since long ago", "1f2e", toplevel_a, long_ago, true, false},
        {"the way back of a deployment before the one that was committed", "1f2e-previous", toplevel_b, hour, true,
         true},
        {"its agent", "1f2e-agent", toplevel_b, hour, true, true},
        {"the way back, and the newest was rolled back", "1f2e-previous", toplevel_b, hour, false, false},
    };
    for (const auto& c : cases)
        EXPECT_EQ(is_root_due({c.name, c.path, test_time - c.age}, c.committed, {toplevel_a}, test_time), c.due)
            << c.what;
}

TEST(BootSpace, RecognisesExistingFilesByName) {
    const std::vector<protocol::BootFile> wanted = {{"1abc-linux-6.1-bzImage", 10}, {"2def-initrd-initrd", 20}};
    EXPECT_EQ(missing_boot_bytes(wanted, {}), 30u);
    EXPECT_EQ(missing_boot_bytes(wanted, {"1abc-linux-6.1-bzImage.efi", "2de"}), 20u) << "systemd-boot's suffix";
    EXPECT_EQ(missing_boot_bytes(wanted, {"1abc-linux-6.1-bzImage", "2def-initrd-initrd", "9-other"}), 0u);
}

TEST(BootSpace, RefusesFilesThatDoNotFit) {
    const std::vector<protocol::BootFile> wanted = {{"1abc-linux", std::uint64_t{50} << 20}};
    const BootSpace small{.folder = "/boot/kernels", .free_bytes = std::uint64_t{50} << 20, .files = {}};
    try {
        check_boot_space(wanted, small);
        FAIL() << "the menu needs some, too";
    } catch (const NotActivated& stopped) {
        EXPECT_EQ(stopped.code(), "no-boot-space");
        EXPECT_THAT(stopped.what(), HasSubstr("/boot/kernels has 50 MiB free"));
        EXPECT_THAT(stopped.what(), HasSubstr("delete-generations"));
    }
    check_boot_space(wanted, std::nullopt); // no file system of its own
    check_boot_space(wanted, BootSpace{.folder = "/boot", .free_bytes = std::uint64_t{52} << 20, .files = {}});
    check_boot_space(wanted, BootSpace{.folder = "/boot", .free_bytes = 0, .files = {"1abc-linux.efi"}});
}

TEST(BootSpace, IsNoneIfKernelsAreOnTheRootFileSystem) {
    const TemporaryFolder root;
    std::filesystem::create_directories(root.path() / "boot/kernels");
    EXPECT_FALSE(find_boot_space(root.path()));
}

TEST(Specialisation, KeepsTheRunningOne) {
    FakeHost host;
    host.profile_path = toplevel_a;
    host.current = test_path('d', "a-loud");
    host.special = {{toplevel_a, {{"loud", *host.current}}}, {toplevel_b, {{"loud", toplevel_c}}}};
    EXPECT_EQ(choose_specialisation(host, toplevel_b, std::nullopt).system, toplevel_c);
    EXPECT_EQ(choose_specialisation(host, toplevel_b, "").system, std::nullopt) << "the system itself was asked for";
    host.special[toplevel_b] = {{"quiet", toplevel_c}};
    const auto lost = choose_specialisation(host, toplevel_b, std::nullopt);
    EXPECT_EQ(lost.system, std::nullopt);
    EXPECT_THAT(lost.note, HasSubstr("loud"));
}

TEST(Specialisation, ARequestedOneMustExist) {
    FakeHost host;
    host.profile_path = host.current = toplevel_a;
    host.special = {{toplevel_b, {{"loud", toplevel_c}}}};
    EXPECT_EQ(choose_specialisation(host, toplevel_b, "loud").system, toplevel_c);
    EXPECT_EQ(choose_specialisation(host, toplevel_b, std::nullopt).system, std::nullopt);
    EXPECT_THROW(choose_specialisation(host, toplevel_b, "quiet"), NotActivated);
    EXPECT_THROW(choose_specialisation(host, toplevel_a, "loud"), NotActivated);
}

} // namespace waggle::agent
