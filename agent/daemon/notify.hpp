#pragma once

#include "shared/base/fd.hpp"

#include <string>

namespace waggle::agent {

// Sends the service manager a state such as "READY=1" (sd_notify(3)), with a copy of the descriptor if one is given.
// Does nothing if there is no service manager.
void notify_service_manager(const std::string& state, const Fd* fd = nullptr);

} // namespace waggle::agent
