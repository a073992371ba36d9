#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace waggle::agent {

// The transient units of a deployment, without ".service" or ".timer". transient_units.cpp and boot_watch.cpp start
// them.
inline constexpr std::string_view activation_unit = "waggle-activation";
inline constexpr std::string_view commit_unit = "waggle-commit";
inline constexpr std::string_view recovery_unit = "waggle-recovery";
inline constexpr std::string_view activation_timer_unit = "waggle-rollback";
inline constexpr std::string_view confirmation_timer_unit = "waggle-confirm";
inline constexpr std::string_view boot_watch_unit = "waggle-watch";

inline constexpr std::array transient_unit_names = {
    activation_unit, commit_unit, recovery_unit, activation_timer_unit, confirmation_timer_unit, boot_watch_unit};

// The journal identifier of the transient units' output, which the agent forwards to the trigger.
inline constexpr auto output_identifier = "waggle-activation";

// Whether `unit` is the service of one of them. Such a unit failing and being retried is no fault of a new system.
inline bool is_transient_service(std::string_view unit) {
    constexpr std::string_view suffix = ".service";
    return unit.ends_with(suffix) &&
           std::ranges::find(transient_unit_names, unit.substr(0, unit.size() - suffix.size())) !=
               transient_unit_names.end();
}

} // namespace waggle::agent
