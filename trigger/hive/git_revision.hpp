#pragma once

#include "shared/protocol/deployment.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

namespace waggle::trigger {

// Returns the commit that is checked out in the folder's repository, and whether anything in its tree differs from it.
// Untracked files count; ignored ones and Waggle's own .gcroots do not. Returns nullopt outside git and before the
// first commit. An unreadable repository causes a note, not an error.
std::optional<protocol::GitRevision> git_revision(const std::filesystem::path& folder,
                                                  const std::function<void(std::string_view)>& note);

} // namespace waggle::trigger
