#pragma once

#include <string_view>

namespace waggle {

// Sets spdlog's default logger up for a daemon: standard error, one line an entry, with the sd-daemon(3)
// priority prefix when the journal reads it. Throws Error for an unknown level name.
void set_up_log(std::string_view level);

} // namespace waggle
