#include "agent/state/recovery_cause.hpp"

#include "shared/base/enum_text.hpp"

namespace waggle::agent {

namespace {

constexpr EnumText<RecoveryCause, RecoveryCause::person> causes({{
    {RecoveryCause::activation_timer, "activation-timer"},
    {RecoveryCause::confirm_timer, "confirm-timer"},
    {RecoveryCause::agent, "agent"},
    {RecoveryCause::boot_watch, "boot-watch"},
    {RecoveryCause::person, "person"},
}});

} // namespace

std::string_view to_string(RecoveryCause caller) {
    return causes.to_string(caller);
}

std::optional<RecoveryCause> parse_recovery_cause(std::string_view text) {
    return causes.parse(text);
}

} // namespace waggle::agent
