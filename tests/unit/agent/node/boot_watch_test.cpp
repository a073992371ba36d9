#include "agent/node/boot_watch.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::agent {

using testing::HasSubstr;

namespace {

DeploymentRecord record_with(std::chrono::seconds activation_timeout) {
    DeploymentRecord record;
    record.id = protocol::DeploymentId::parse(std::string(64, '7'));
    record.toplevel = test_path('b', "new");
    record.agent = "/nix/store/aaa-waggle/bin/waggle-agent";
    record.rollback.activation_timeout = activation_timeout;
    return record;
}

} // namespace

TEST(BootWatch, StartsWithEveryBootUntilItIsRemoved) {
    const TemporaryFolder root;
    const auto folder = root.path() / "system.control";
    const BootWatch watch(folder);
    EXPECT_FALSE(watch.is_set());
    watch.remove(); // nothing there: no error
    watch.set(record_with(std::chrono::seconds(20)), "/var/lib/waggle-agent", "/old/bin");
    EXPECT_TRUE(watch.is_set());
    EXPECT_EQ(read_link(folder / "sysinit.target.wants/waggle-watch.timer"), "../waggle-watch.timer");
    EXPECT_THAT(read_file(folder / "waggle-watch.timer", 4096), HasSubstr("OnBootSec=20s"));
    watch.remove();
    EXPECT_FALSE(watch.is_set());
    EXPECT_FALSE(std::filesystem::exists(folder / "waggle-watch.service"));
}

TEST(BootWatch, IsRemovedEvenIfOnlyPartOfItIsLeft) {
    const TemporaryFolder root;
    const auto folder = root.path() / "system.control";
    const BootWatch watch(folder);
    const auto parts = {folder / "sysinit.target.wants/waggle-watch.timer", folder / "waggle-watch.timer",
                        folder / "waggle-watch.service"};
    for (const auto& left : parts) {
        watch.set(record_with(std::chrono::seconds(20)), "/var/lib/waggle-agent", "/old/bin");
        for (const auto& part : parts)
            if (part != left)
                remove_file(part);
        EXPECT_TRUE(watch.is_set()) << left;
        watch.remove();
        EXPECT_FALSE(watch.is_set()) << left;
    }
}

TEST(BootWatch, NeedsNothingFromTheNewSystem) {
    const auto units = boot_watch_units(record_with(std::chrono::hours(1)), "/var/lib/waggle-agent", "/old/bin");
    for (const auto& text : {units.timer, units.service}) {
        EXPECT_THAT(text, HasSubstr("DefaultDependencies=no"));
        EXPECT_THAT(text, HasSubstr("IgnoreOnIsolate=yes"));
    }
    EXPECT_THAT(units.timer, HasSubstr("OnBootSec=600s")) << "a boot takes less than an activation may";
    EXPECT_THAT(units.service, HasSubstr("ExecStart=/nix/store/aaa-waggle/bin/waggle-agent watch --state-dir "
                                         "/var/lib/waggle-agent --id 7777"));
    EXPECT_THAT(units.service, HasSubstr("--system " + test_path('b', "new").absolute()));
    EXPECT_THAT(units.service, HasSubstr("Environment=PATH=/old/bin"));
    EXPECT_THAT(units.service, HasSubstr("Restart=on-failure"));
}

} // namespace waggle::agent
