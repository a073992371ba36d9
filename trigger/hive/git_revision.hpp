#pragma once

#include "shared/protocol/deployment.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

namespace waggle::trigger {

// The commit that the folder's repository has checked out, and whether anything in its tree differs from it (files that
// git does not know count, ignored ones and our own .gcroots do not). nullopt outside git and before the first commit;
// a repository that cannot be read is a note, not an error.
std::optional<protocol::GitRevision> git_revision(const std::filesystem::path& folder,
                                                  const std::function<void(std::string_view)>& note);

} // namespace waggle::trigger
