#pragma once

#include <optional>
#include <string_view>

namespace waggle::agent {

// Why a deployment is being recovered (agent/activation/recover.hpp).
enum class RecoveryCause {
    activation_timer, // the activation took too long
    confirm_timer,    // no confirmation arrived in time
    agent,            // the agent found a dead unit, or a reboot
    boot_watch,       // the boot watchdog expired; or the agent found one of an ended deployment
    person,           // a person at the console asks for it
};
std::string_view to_string(RecoveryCause caller);
std::optional<RecoveryCause> parse_recovery_cause(std::string_view text);

} // namespace waggle::agent
