#include "trigger/eval/eval_key.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/file.hpp"
#include "shared/base/hash.hpp"
#include "shared/base/process.hpp"
#include "shared/protocol/json.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace waggle::trigger {

namespace fs = std::filesystem;
using protocol::Json;

namespace {

constexpr auto program_time = std::chrono::seconds(30);
constexpr size_t max_module_bytes = 16 << 20;

// Returns the program's output, or nullopt if it fails.
std::optional<std::string> answer_of(std::vector<std::string> argv, const Interrupt& interrupt) {
    RunResult result = run({.argv = std::move(argv), .extra_environment = {}},
                           {.deadline = deadline_in(program_time), .on_stderr_line = {}, .interrupt = &interrupt});
    if (!result.status.success())
        return std::nullopt;
    return std::move(result.out);
}

} // namespace

std::string hash_of_files(const fs::path& folder) {
    std::set<fs::path> files;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file())
            files.insert(entry.path());
    }
    Sha256 hash;
    for (const fs::path& file : files) {
        const std::string content = read_file(file, max_module_bytes);
        hash.update(Json{file.lexically_relative(folder).string(), content.size()}.dump());
        hash.update(content);
    }
    return to_hex(hash.finish());
}

std::optional<std::string> eval_key(const std::string& lock, const NixOptions& nix, const fs::path& modules,
                                    const Interrupt& interrupt) {
    const bool may_be_impure = std::any_of(nix.options.begin(), nix.options.end(), [](const auto& option) {
        return option.first == "pure-eval" && option.second != "true";
    });
    if (may_be_impure || nix.impure)
        return std::nullopt;
    const std::optional<std::string> version = answer_of({"nix", "--version"}, interrupt);
    // Include all settings, although not all of them matter: an irrelevant change costs an evaluation, but a forgotten
    // setting produces a wrong system.
    std::vector<std::string> show = {"nix", "--extra-experimental-features", "nix-command", "show-config"};
    std::optional<std::string> settings = answer_of(show, interrupt);
    if (!settings) { // its name in newer versions
        show.back() = "config";
        show.emplace_back("show");
        settings = answer_of(show, interrupt);
    }
    if (!version || !settings)
        return std::nullopt;
    return Json{{"lock", lock},
                {"waggle", WAGGLE_VERSION},
                {"modules", hash_of_files(modules)},
                {"nix", *version},
                {"settings", to_hex(sha256(*settings))},
                {"options", nix.options}}
        .dump();
}

} // namespace waggle::trigger
