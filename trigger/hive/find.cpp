#include "trigger/hive/find.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>

namespace waggle::trigger {

namespace fs = std::filesystem;

namespace {

constexpr const char* hive_file_name = "hive.nix";
constexpr const char* flake_file_name = "flake.nix";

HivePlace file_place(const fs::path& file) {
    return {.folder = file.parent_path(), .file = file, .flake = {}, .output = std::nullopt};
}

HivePlace flake_place(const fs::path& folder, const std::optional<std::string>& output) {
    return {.folder = folder, .file = {}, .flake = folder.string(), .output = output};
}

// Returns nullopt if the folder has neither.
std::optional<HivePlace> in_folder(const fs::path& folder, const std::optional<std::string>& output) {
    if (fs::exists(folder / flake_file_name))
        return flake_place(folder, output);
    if (fs::exists(folder / hive_file_name))
        return file_place(folder / hive_file_name);
    return std::nullopt;
}

HivePlace upward(const fs::path& folder, const std::optional<std::string>& output) {
    for (fs::path here = folder;; here = here.parent_path()) {
        if (const std::optional<HivePlace> found = in_folder(here, output))
            return *found;
        if (here == here.parent_path())
            break;
    }
    throw Error(fmt::format("no {} and no {} in {} nor in any folder above it; name one with -f", flake_file_name,
                            hive_file_name, folder.string()));
}

HivePlace existing(fs::path path, const std::optional<std::string>& output) {
    if (!path.has_filename()) // "folder/"
        path = path.parent_path();
    if (fs::is_directory(path)) {
        if (const std::optional<HivePlace> found = in_folder(path, output))
            return *found;
        throw Error(fmt::format("the folder {} has no {} and no {}", path.string(), flake_file_name, hive_file_name));
    }
    return path.filename() == flake_file_name ? flake_place(path.parent_path(), output) : file_place(path);
}

HivePlace named_hive(const std::string& named, const fs::path& folder) {
    const auto absolute = [&](const std::string& path) { return (folder / path).lexically_normal(); };
    if (fs::exists(absolute(named)))
        return existing(absolute(named), std::nullopt);

    const size_t hash = named.find('#');
    const std::string place = named.substr(0, hash);
    std::optional<std::string> output;
    if (hash != std::string::npos && hash + 1 < named.size())
        output = named.substr(hash + 1);

    if (place.empty())
        return upward(folder, output);
    if (!fs::exists(absolute(place))) {
        if (place.find(':') == std::string::npos)
            throw Error(fmt::format("there is no hive at {}", absolute(place).string()));
        return {.folder = folder, .file = {}, .flake = place, .output = output, .is_local = false};
    }
    HivePlace found = existing(absolute(place), output);
    if (output && !found.is_flake())
        throw Error(fmt::format("{} is no flake: it has no output “{}”", found.file.string(), *output));
    return found;
}

} // namespace

std::string HivePlace::to_string() const {
    return is_flake() ? flake + (output ? "#" + *output : "") : file.string();
}

HivePlace find_hive(const std::optional<fs::path>& named, const fs::path& folder) {
    return named ? named_hive(named->string(), folder) : upward(folder, std::nullopt);
}

} // namespace waggle::trigger
