#pragma once

#include "shared/base/fd.hpp"

#include <string_view>

namespace waggle::agent {

// Tells the service manager a state, as "READY=1" (sd_notify(3)), and passes it a copy of the descriptor, if there is
// one; does nothing when none listens.
void notify_service_manager(std::string_view state, const Fd* fd = nullptr);

} // namespace waggle::agent
