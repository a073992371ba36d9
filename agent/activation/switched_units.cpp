#include "agent/activation/switched_units.hpp"

#include "shared/base/file.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace waggle::agent {

namespace {

constexpr size_t max_unit_file_bytes = 1 << 20;

std::filesystem::path units_of(const nix::StorePath& system) {
    return system.absolute() + "/etc/systemd/system";
}

// "getty@.service" for "getty@tty1.service"; empty for a unit that is not an instance.
std::string template_of(const std::string& name) {
    const auto at = name.find('@');
    const auto dot = name.rfind('.');
    if (at == std::string::npos || dot == std::string::npos || dot <= at + 1)
        return "";
    return name.substr(0, at + 1) + name.substr(dot);
}

// The texts of the unit's file and its drop-ins, by file name.
std::map<std::string, std::string> unit_text(const std::filesystem::path& folder, const std::string& name) {
    std::map<std::string, std::string> parts;
    const auto add = [&](const std::filesystem::path& file) {
        if (auto text = read_file_if_exists(file, max_unit_file_bytes))
            parts.emplace(file.filename().string(), std::move(*text));
    };
    add(folder / name);
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder / (name + ".d"), error))
        add(entry.path());
    return parts;
}

// Whether a unit in the folder pulls it in through a link.
bool is_linked(const std::filesystem::path& folder, const std::string& name) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const auto extension = entry.path().extension();
        std::error_code missing;
        if ((extension == ".wants" || extension == ".requires" || extension == ".upholds") &&
            std::filesystem::exists(std::filesystem::symlink_status(entry.path() / name, missing)))
            return true;
    }
    return false;
}

} // namespace

SwitchedUnits::SwitchedUnits(const std::optional<nix::StorePath>& previous_system, const nix::StorePath& new_system,
                             UnitInvocations before, std::vector<std::string> failed_before)
    : SwitchedUnits(previous_system ? units_of(*previous_system) : std::filesystem::path(), units_of(new_system),
                    std::move(before), std::move(failed_before)) {}

SwitchedUnits::SwitchedUnits(std::filesystem::path previous_units, std::filesystem::path new_units,
                             UnitInvocations before, std::vector<std::string> failed_before)
    : previous_units_(std::move(previous_units)), new_units_(std::move(new_units)), before_(std::move(before)),
      failed_before_(std::move(failed_before)) {}

FailedUnit SwitchedUnits::describe(const FailedUnitState& unit) const {
    FailedUnit failed;
    failed.name = unit.name;
    // Generators make units from the new system's files, such as mounts from its fstab.
    failed.of_new_system = unit.generated || is_of_new_system(unit.name);
    // An instance may belong to any user, as user@1000.service does, unless the system itself starts it.
    if (!template_of(unit.name).empty() && !is_linked(new_units_, unit.name))
        failed.of_new_system = false;
    failed.changed = failed.of_new_system && !unit.generated && is_changed(unit.name);
    failed.started = was_started(unit.name, unit.invocation) && is_wanted_by_system(unit);
    failed.failed_before = std::ranges::binary_search(failed_before_, unit.name);
    return failed;
}

bool SwitchedUnits::any_may_fail(const UnitInvocations& now) const {
    return std::ranges::any_of(now, [&](const auto& entry) {
        const auto& [name, unit] = entry;
        return name.ends_with(".service") && unit.runs && was_started(name, unit.invocation) && is_of_new_system(name);
    });
}

bool SwitchedUnits::was_started(const std::string& name, const std::string& invocation) const {
    const auto found = before_.find(name);
    return found == before_.end() || found->second.invocation != invocation;
}

bool SwitchedUnits::is_of_new_system(const std::string& name) const {
    const auto of_template = template_of(name);
    return std::filesystem::exists(new_units_ / name) ||
           (!of_template.empty() && std::filesystem::exists(new_units_ / of_template));
}

bool SwitchedUnits::is_changed(const std::string& name) const {
    if (previous_units_.empty())
        return true;
    const auto of_template = template_of(name);
    for (const auto& file : {name, of_template})
        if (!file.empty() && unit_text(previous_units_, file) != unit_text(new_units_, file))
            return true;
    return false;
}

// No other unit depends on what a timer, a socket or a user starts. Scopes do not count: sessions come and go with
// their users.
bool SwitchedUnits::is_wanted_by_system(const FailedUnitState& unit) const {
    return is_linked(new_units_, unit.name) ||
           std::ranges::any_of(unit.wanted_by, [](const std::string& name) { return !name.ends_with(".scope"); });
}

} // namespace waggle::agent
