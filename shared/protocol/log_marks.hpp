#pragma once

#include <string_view>

namespace waggle::protocol {

// How the line of a deployment's log ends that says why it is rolled back; what follows it is of the rollback. Lines
// come in order; the state's events may come before or after them.
inline constexpr std::string_view rolls_back_mark = "; rolling back";

} // namespace waggle::protocol
