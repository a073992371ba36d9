#pragma once

#include <string_view>

namespace waggle::protocol {

// The end of the log line that gives the reason for a deployment's rollback. The lines after it belong to the rollback.
// Lines arrive in order, but state events may come before or after them.
inline constexpr std::string_view rolls_back_mark = "; rolling back";

} // namespace waggle::protocol
