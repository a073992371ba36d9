#include "trigger/build/failure.hpp"

#include "shared/nix/disk_full.hpp"

#include <algorithm>

namespace waggle::trigger {

namespace {

// Adds every "/nix/store/….drv" in the text.
void add_derivations(std::string_view text, std::set<std::string>& derivations) {
    constexpr std::string_view store = "/nix/store/";
    constexpr std::string_view suffix = ".drv";
    for (size_t begin = text.find(store); begin != std::string_view::npos; begin = text.find(store, begin + 1)) {
        const size_t end = std::min(text.find_first_of(" '\"^!,;:)\n\x1b", begin), text.size());
        std::string_view path = text.substr(begin, end - begin);
        while (path.ends_with('.'))
            path.remove_suffix(1);
        if (path.ends_with(suffix))
            derivations.emplace(path);
    }
}

Explanation join(const std::vector<BuildError>& errors, const auto& wanted) {
    constexpr std::string_view prefix = "error: ";
    Explanation joined;
    for (const BuildError& error : errors) {
        if (!wanted(error))
            continue;
        if (!joined.text.empty())
            joined.text += '\n';
        joined.text += error.text.starts_with(prefix) ? error.text.substr(prefix.size()) : error.text;
        if (!error.is_consequence)
            joined.failed.insert(error.derivations.begin(), error.derivations.end());
    }
    return joined;
}

} // namespace

std::vector<BuildError> build_errors(std::string_view standard_error) {
    std::vector<BuildError> errors;
    bool inside = false;
    for (size_t begin = 0; begin < standard_error.size();) {
        const size_t end = std::min(standard_error.find('\n', begin), standard_error.size());
        const std::string_view line = standard_error.substr(begin, end - begin);
        begin = end + 1;
        if (line.starts_with("error:")) {
            errors.emplace_back();
            inside = true;
        } else {
            inside = inside && line.starts_with(' ');
        }
        if (!inside)
            continue;
        BuildError& error = errors.back();
        if (!error.text.empty())
            error.text += '\n';
        error.text += line;
        // The last lines of a builder's log are the builder's output, not Nix's.
        if (const size_t first = line.find_first_not_of(' '); first != std::string_view::npos && line[first] == '>')
            continue;
        add_derivations(line, error.derivations);
        error.is_consequence = error.is_consequence || line.starts_with("error: build of ") ||
                               line.find("failed to build") != std::string_view::npos ||
                               line.find("dependency failed") != std::string_view::npos;
    }
    return errors;
}

Explanation explain_failure(const std::vector<BuildError>& errors, const std::set<std::string>& needed_derivations) {
    const auto concerns_node = [&](const BuildError& error) {
        return std::any_of(error.derivations.begin(), error.derivations.end(),
                           [&](const auto& drv) { return needed_derivations.contains(drv); });
    };
    Explanation found = join(errors, [&](const auto& error) { return concerns_node(error) && !error.is_consequence; });
    found.is_its_own = !found.text.empty();
    if (found.text.empty())
        found = join(errors, concerns_node);
    if (found.text.empty())
        found = join(errors, [](const auto&) { return true; });
    if (found.text.empty())
        found.text = "nix-store --realise failed without a message about this node";
    if (nix::says_disk_is_full(found.text))
        found.text += "\nA disk is full where it is built: free space there, for example with nix-collect-garbage.";
    return found;
}

} // namespace waggle::trigger
