#include "agent/daemon/unsynced_paths.hpp"

#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <fmt/format.h>

#include <sstream>
#include <utility>

namespace waggle::agent {

namespace {

constexpr size_t max_list_file_bytes = 64 << 20; // hundreds of thousands of paths
constexpr std::string_view boot_word = "boot ";

} // namespace

UnsyncedPaths::UnsyncedPaths(std::filesystem::path file, std::string boot_id)
    : file_(std::move(file)), boot_id_(std::move(boot_id)) {
    std::istringstream lines(read_file_if_exists(file_, max_list_file_bytes).value_or(""));
    std::string boot;
    try {
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with(boot_word))
                boot = line.substr(boot_word.size());
            else
                paths_[boot].insert(nix::StorePath::parse(line));
        }
    } catch (const Error& error) {
        throw Error(fmt::format("{}: {}; run `nix-store --verify --check-contents`, then remove this file",
                                file_.string(), error.what()));
    }
}

std::set<nix::StorePath> UnsyncedPaths::doubtful() const {
    std::set<nix::StorePath> all;
    for (const auto& [boot, paths] : paths_)
        if (boot != boot_id_)
            all.insert(paths.begin(), paths.end());
    return all;
}

void UnsyncedPaths::expect(const std::vector<nix::StorePath>& paths) {
    if (paths.empty())
        return;
    paths_[boot_id_].insert(paths.begin(), paths.end());
    write();
}

void UnsyncedPaths::settle(const std::vector<nix::StorePath>& looked_at) {
    paths_.erase(boot_id_);
    for (auto& [boot, paths] : paths_)
        for (const auto& path : looked_at)
            paths.erase(path);
    std::erase_if(paths_, [](const auto& of_boot) { return of_boot.second.empty(); });
    if (any())
        write();
    else
        remove_file(file_);
}

void UnsyncedPaths::write() const {
    std::string text;
    for (const auto& [boot, paths] : paths_) {
        text += fmt::format("{}{}\n", boot_word, boot);
        for (const auto& path : paths)
            text += path.base_name() + '\n';
    }
    write_file_atomically(file_, text, 0600);
}

} // namespace waggle::agent
