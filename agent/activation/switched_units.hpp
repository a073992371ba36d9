#pragma once

#include "agent/activation/judge.hpp"
#include "agent/node/systemd.hpp"
#include "shared/base/time.hpp"
#include "shared/nix/store_path.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace waggle::agent {

// Describes how a unit relates to a switch from one system to another.
class SwitchedUnits {
public:
    // `before` is what was running when the switch began; it is empty after a boot, which starts everything.
    // `failed_before` are sorted names.
    SwitchedUnits(const std::optional<nix::StorePath>& previous_system, const nix::StorePath& new_system,
                  UnitInvocations before, std::vector<std::string> failed_before);
    // The same from two folders of unit files, for tests.
    SwitchedUnits(std::filesystem::path previous_units, std::filesystem::path new_units, UnitInvocations before,
                  std::vector<std::string> failed_before);

    FailedUnit describe(const FailedUnitState& unit) const;

    // Whether any of them is a service of the new system that was started since the switch began and can still fail.
    bool any_may_fail(const UnitInvocations& now) const;

private:
    bool was_started(const std::string& name, const std::string& invocation) const;
    bool is_of_new_system(const std::string& name) const;
    bool is_changed(const std::string& name) const;
    bool is_wanted_by_system(const FailedUnitState& unit) const;

    std::filesystem::path previous_units_; // empty: there was none
    std::filesystem::path new_units_;
    UnitInvocations before_;
    std::vector<std::string> failed_before_;
};

} // namespace waggle::agent
