#include "trigger/hive/find.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

namespace waggle::trigger {

namespace fs = std::filesystem;

namespace {

constexpr const char* hive_file_name = "hive.nix";

fs::path named_hive(const fs::path& named, const fs::path& folder) {
    fs::path path = (folder / named).lexically_normal();
    if (!fs::exists(path))
        throw Error(fmt::format("there is no hive at {}", path.string()));
    if (!fs::is_directory(path))
        return path;
    if (!fs::exists(path / hive_file_name))
        throw Error(fmt::format("the folder {} has no {}", path.string(), hive_file_name));
    return path / hive_file_name;
}

} // namespace

fs::path find_hive(const std::optional<fs::path>& named, const fs::path& folder) {
    if (named)
        return named_hive(*named, folder);
    for (fs::path here = folder;; here = here.parent_path()) {
        if (fs::exists(here / hive_file_name))
            return here / hive_file_name;
        if (here == here.parent_path())
            break;
    }
    throw Error(
        fmt::format("no {} in {} nor in any folder above it; name one with -f", hive_file_name, folder.string()));
}

} // namespace waggle::trigger
