#include "agent/node/host.hpp"

#include "agent/node/boot_watch.hpp"
#include "agent/node/config.hpp"
#include "agent/node/systemd.hpp"
#include "agent/node/unit_names.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace waggle::agent {

namespace {

constexpr size_t max_boot_id_bytes = 256;

} // namespace

std::optional<nix::StorePath> store_path_behind(const std::filesystem::path& link) {
    std::error_code error;
    const auto target = std::filesystem::canonical(link, error);
    if (error)
        return std::nullopt;
    try {
        return nix::StorePath::parse_absolute(target.string());
    } catch (const nix::BadStorePath&) {
        return std::nullopt;
    }
}

std::optional<nix::StorePath> LocalHost::current_system() const {
    return store_path_behind("/run/current-system");
}

std::optional<nix::StorePath> LocalHost::booted_system() const {
    return store_path_behind("/run/booted-system");
}

std::optional<nix::StorePath> LocalHost::profile() const {
    return store_path_behind(system_profile);
}

std::string LocalHost::profile_link() const {
    const auto link = read_link(system_profile);
    return link ? link->string() : "";
}

std::optional<std::uint64_t> LocalHost::profile_generation() const {
    const auto link = read_link(system_profile);
    return link ? generation_of_link(link->filename().string()) : std::nullopt;
}

std::string LocalHost::boot_id() const {
    auto text = read_file("/proc/sys/kernel/random/boot_id", max_boot_id_bytes);
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

std::vector<std::string> LocalHost::failed_units() const {
    std::vector<std::string> names;
    for (auto& unit : agent::failed_units())
        if (!is_transient_service(unit.name))
            names.push_back(std::move(unit.name));
    return names;
}

bool LocalHost::has_boot_watch() const {
    return BootWatch().is_set();
}

std::uint64_t LocalHost::free_store_bytes() const {
    struct statvfs info{};
    if (::statvfs("/nix/store", &info) != 0)
        throw SystemError("asking for the free space of /nix/store");
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

std::map<std::string, nix::StorePath> LocalHost::specialisations(const nix::StorePath& toplevel) const {
    std::map<std::string, nix::StorePath> found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(toplevel.absolute() + "/specialisation", none))
        if (auto system = store_path_behind(entry.path()))
            found.emplace(entry.path().filename().string(), std::move(*system));
    return found;
}

bool LocalHost::is_system(const nix::StorePath& toplevel) const {
    return ::access(switch_program(toplevel).c_str(), X_OK) == 0;
}

bool LocalHost::is_generation(const nix::StorePath& toplevel) const {
    std::error_code error; // no folder: no generations
    for (const auto& entry :
         std::filesystem::directory_iterator(std::filesystem::path(system_profile).parent_path(), error))
        if (generation_of_link(entry.path().filename().string()) && store_path_behind(entry.path()) == toplevel)
            return true;
    return false;
}

std::optional<NextAgent> LocalHost::agent_in(const nix::StorePath& toplevel) const {
    return agent_in_system(toplevel.absolute());
}

std::string own_program() {
    return std::filesystem::read_symlink("/proc/self/exe").string();
}

std::optional<nix::StorePath> own_package() {
    constexpr std::string_view store = "/nix/store/";
    const auto program = own_program();
    if (!program.starts_with(store))
        return std::nullopt;
    return nix::StorePath::parse_absolute(program.substr(0, program.find('/', store.size())));
}

std::filesystem::path switch_program(const nix::StorePath& toplevel) {
    return std::filesystem::path(toplevel.absolute()) / "bin/switch-to-configuration";
}

std::optional<std::uint64_t> generation_of_link(std::string_view link_name) {
    constexpr std::string_view prefix = "system-";
    constexpr std::string_view suffix = "-link";
    if (!link_name.starts_with(prefix) || !link_name.ends_with(suffix) ||
        link_name.size() <= prefix.size() + suffix.size())
        return std::nullopt;
    const auto digits = link_name.substr(prefix.size(), link_name.size() - prefix.size() - suffix.size());
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size())
        return std::nullopt;
    return number;
}

} // namespace waggle::agent
