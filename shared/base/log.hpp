#pragma once

#include <string_view>

namespace waggle {

// Sets up spdlog's default logger for a daemon: standard error, one line per entry, with the sd-daemon(3) priority
// prefix if the journal reads it. Throws Error for an unknown level name.
void set_up_log(std::string_view level);

} // namespace waggle
