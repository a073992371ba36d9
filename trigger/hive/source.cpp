#include "trigger/hive/source.hpp"

#include "trigger/hive/module_folder.hpp"
#include "trigger/hive/nix_string.hpp"

#include <fmt/format.h>

namespace waggle::trigger {

HiveSource file_source(const HivePlace& place, const std::filesystem::path& modules) {
    return {.shown = place.to_string(),
            .folder = place.folder,
            .expression = fmt::format("(import {} {{ path = {}; }})", nix_string((modules / "source.nix").string()),
                                      nix_string(place.file.string())),
            .arguments = {},
            .lock = {},
            .keep = {},
            .git = {}};
}

HiveSource flake_source(const HivePlace& place, const LockedFlake& flake, const std::filesystem::path& modules,
                        const std::string& modules_hash, bool impure) {
    // Pure evaluation reads only files whose content is known in advance, including ours.
    const std::string our_files =
        fmt::format("(builtins.fetchTree {{ type = \"path\"; path = {}; narHash = {}; }} + \"/source.nix\")",
                    nix_string(modules.string()), nix_string(modules_hash));
    HiveSource source{.shown = place.to_string(),
                      .folder = place.folder,
                      .expression =
                          fmt::format("(import {} {{ {} shown = {}; output = {}; }})", our_files, flake.nix,
                                      nix_string(place.to_string()), place.output ? nix_string(*place.output) : "null"),
                      .arguments = {"--extra-experimental-features", std::string(flake_features)},
                      .lock = {},
                      .keep = {flake.source},
                      .git = {}};
    if (!impure) {
        source.arguments.insert(source.arguments.end(), {"--option", "pure-eval", "true"});
        source.lock = fmt::format("{}#{} {}", flake.url, place.output.value_or(""), modules_hash);
    }
    if (!place.is_local)
        source.git = flake.git;
    return source;
}

HiveSource open_hive(const std::optional<std::filesystem::path>& named, const NixOptions& nix,
                     const Interrupt& interrupt, const std::function<void(std::string_view)>& on_line) {
    const HivePlace place = find_hive(named, std::filesystem::current_path());
    const std::filesystem::path modules = nixos_module_folder();
    if (!place.is_flake())
        return file_source(place, modules);
    const LockedFlake flake = lock_flake(place.flake, nix, interrupt, on_line);
    return flake_source(place, flake, modules, nar_hash(modules, interrupt), nix.impure);
}

} // namespace waggle::trigger
