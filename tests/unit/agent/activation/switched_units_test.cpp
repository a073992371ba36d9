#include "agent/activation/switch_inhibitors.hpp"
#include "agent/activation/switch_lock.hpp"
#include "agent/activation/switched_units.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

#include <filesystem>
#include <fstream>

namespace waggle::agent {
namespace {

using testing::HasSubstr;

FailedUnitState failed(std::string name, std::string invocation, std::vector<std::string> wanted_by = {}) {
    return {std::move(name), std::move(invocation), false, std::move(wanted_by)};
}

class SwitchedUnitsTest : public testing::Test {
protected:
    SwitchedUnitsTest() {
        for (const auto* name : {"same.service", "changed.service", "dropin.service", "user@.service", "getty@.service",
                                 "timed.service"}) {
            write("old", name, "text");
            write("new", name, name == std::string_view("changed.service") ? "another" : "text");
        }
        write("new", "added.service", "text");
        write("new", "dropin.service.d/overrides.conf", "x");
        write("new", "multi-user.target.wants/same.service", "");
        write("new", "getty.target.wants/getty@tty1.service", "");
    }

    void write(const std::string& system, const std::string& name, const std::string& text) const {
        const auto file = folder_.path() / system / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }

    FailedUnit describe(const FailedUnitState& unit) const {
        const UnitInvocations before{
            {"same.service", {"1", true}}, {"timed.service", {"1", false}}, {"user@1000.service", {"1", true}}};
        return SwitchedUnits(folder_.path() / "old", folder_.path() / "new", before, {"before.service"}).describe(unit);
    }

    TemporaryFolder folder_;
};

TEST_F(SwitchedUnitsTest, DetectsChangedUnitFiles) {
    EXPECT_FALSE(describe(failed("same.service", "1")).changed);
    EXPECT_TRUE(describe(failed("changed.service", "1")).changed);
    EXPECT_TRUE(describe(failed("added.service", "1")).changed);
    EXPECT_TRUE(describe(failed("dropin.service", "1")).changed);
}

TEST_F(SwitchedUnitsTest, DetectsUnitsThatTheSwitchStarted) {
    EXPECT_FALSE(describe(failed("same.service", "1")).started);
    EXPECT_TRUE(describe(failed("same.service", "2")).started);
    // Its timer started it: no unit wants it.
    EXPECT_FALSE(describe(failed("timed.service", "2")).started);
    EXPECT_TRUE(describe(failed("timed.service", "2", {"a.service"})).started);
}

TEST_F(SwitchedUnitsTest, IncludesOnlyUnitsOfTheNewSystem) {
    EXPECT_TRUE(describe(failed("same.service", "2")).of_new_system);
    EXPECT_FALSE(describe(failed("run-r1.service", "2")).of_new_system);
    EXPECT_TRUE(describe(FailedUnitState{"data.mount", "2", true, {}}).of_new_system);
    EXPECT_FALSE(describe(failed("gone.service", "2")).of_new_system);
}

TEST_F(SwitchedUnitsTest, IncludesInstancesOnlyIfTheSystemStartsThem) {
    const auto user = failed("user@1000.service", "2", {"session-3.scope"});
    EXPECT_FALSE(describe(user).of_new_system);
    EXPECT_FALSE(describe(user).started);
    EXPECT_TRUE(describe(failed("getty@tty1.service", "2")).of_new_system);
    EXPECT_FALSE(describe(failed("getty@tty9.service", "2")).of_new_system);
}

TEST_F(SwitchedUnitsTest, KnowsWhichUnitsHadFailedBefore) {
    EXPECT_TRUE(describe(failed("before.service", "2")).failed_before);
    EXPECT_FALSE(describe(failed("same.service", "2")).failed_before);
}

TEST_F(SwitchedUnitsTest, WaitsOnlyForRunningServicesThatTheSwitchStarted) {
    const SwitchedUnits units(folder_.path() / "old", folder_.path() / "new", {{"same.service", {"1", true}}}, {});
    EXPECT_FALSE(units.any_may_fail({{"same.service", {"1", true}}}));
    EXPECT_TRUE(units.any_may_fail({{"same.service", {"2", true}}}));
    EXPECT_FALSE(units.any_may_fail({{"same.service", {"2", false}}}));
    EXPECT_FALSE(units.any_may_fail({{"run-r1.service", {"2", true}}}));
}

TEST(SwitchLock, ReportsItsHolder) {
    const TemporaryFolder folder;
    const auto file = folder.path() / "lock";
    EXPECT_FALSE(holder_of_switch_lock(file)) << "there is none";
    const Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_FALSE(holder_of_switch_lock(file)) << "nobody holds it";
    ASSERT_EQ(::flock(fd.get(), LOCK_EX), 0);
    EXPECT_EQ(holder_of_switch_lock(file), "another process")
        << "this one has it open, but is not the one that is told";
    EXPECT_TRUE(holder_of_switch_lock(file)) << "a look does not free it";
}

TEST(SwitchInhibitors, NamesTheOnesThatDiffer) {
    const TemporaryFolder folder;
    const auto write = [&](const char* system, const char* text) {
        std::filesystem::create_directories(folder.path() / system);
        std::ofstream(folder.path() / system / "switch-inhibitors") << text;
    };
    write("old", R"({"dbus-implementation":"dbus","init":"systemd"})");
    write("new", R"({"dbus-implementation":"broker","init":"systemd","other":"x"})");
    std::filesystem::create_directories(folder.path() / "none");
    EXPECT_EQ(describe_changed_inhibitors(folder.path() / "old", folder.path() / "new"),
              "dbus-implementation (dbus, then broker)");
    EXPECT_EQ(describe_changed_inhibitors(folder.path() / "old", folder.path() / "old"), "");
    EXPECT_EQ(describe_changed_inhibitors(folder.path() / "none", folder.path() / "new"), "");
}

} // namespace
} // namespace waggle::agent
