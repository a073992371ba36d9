#pragma once

#include <string_view>

namespace waggle::agent {

// Tells the service manager a state, as "READY=1" (sd_notify(3)); does nothing when none listens.
void notify_service_manager(std::string_view state);

} // namespace waggle::agent
