#include "agent/state/recovery_cause.hpp"

#include <algorithm>
#include <array>

namespace waggle::agent {

namespace {

struct CauseText {
    RecoveryCause caller;
    std::string_view text;
};
constexpr std::array callers = {
    CauseText{RecoveryCause::activation_timer, "activation-timer"},
    CauseText{RecoveryCause::confirm_timer, "confirm-timer"},
    CauseText{RecoveryCause::agent, "agent"},
    CauseText{RecoveryCause::boot_watch, "boot-watch"},
    CauseText{RecoveryCause::person, "person"},
};

} // namespace

std::string_view to_string(RecoveryCause caller) {
    return std::ranges::find(callers, caller, &CauseText::caller)->text;
}

std::optional<RecoveryCause> parse_recovery_cause(std::string_view text) {
    const auto found = std::ranges::find(callers, text, &CauseText::text);
    return found == callers.end() ? std::nullopt : std::optional(found->caller);
}

} // namespace waggle::agent
