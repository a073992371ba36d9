#pragma once

#include "agent/node/boot_space.hpp"
#include "agent/node/config.hpp"
#include "shared/nix/store_path.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

inline constexpr auto system_profile = "/nix/var/nix/profiles/system";

// Facts about this machine, read from its files on every call.
class Host {
public:
    virtual ~Host() = default;

    virtual std::optional<nix::StorePath> current_system() const = 0;
    virtual std::optional<nix::StorePath> booted_system() const = 0;
    virtual std::optional<nix::StorePath> profile() const = 0;
    // The name of the generation link that the profile names, "system-12-link"; "" when there is no profile.
    virtual std::string profile_link() const = 0;
    virtual std::optional<std::uint64_t> profile_generation() const = 0;
    virtual std::string boot_id() const = 0;
    // The sorted names of units that have failed or that systemd is about to restart after a failure. Throws Error.
    virtual std::vector<std::string> failed_units() const = 0;
    virtual std::uint64_t free_store_bytes() const = 0;
    virtual std::optional<BootSpace> boot_space() const = 0; // see agent/node/boot_space.hpp
    // The files that the boot loader would copy for a system in the store.
    virtual std::vector<protocol::BootFile> boot_files(const nix::StorePath& toplevel, protocol::DeviceTrees) const = 0;
    // Whether a boot watchdog, or a part of one, is installed (agent/node/boot_watch.hpp).
    virtual bool has_boot_watch() const = 0;
    // The specialisations of a system in the store, by name.
    virtual std::map<std::string, nix::StorePath> specialisations(const nix::StorePath& toplevel) const = 0;
    // Whether the path can be switched to.
    virtual bool is_system(const nix::StorePath& toplevel) const = 0;
    // Whether a generation of the system profile is this system.
    virtual bool is_generation(const nix::StorePath& toplevel) const = 0;
    // The agent of the system, or nullopt if it has none. Throws Error.
    virtual std::optional<NextAgent> agent_in(const nix::StorePath& toplevel) const = 0;
};

class LocalHost : public Host {
public:
    std::optional<nix::StorePath> current_system() const override;
    std::optional<nix::StorePath> booted_system() const override;
    std::optional<nix::StorePath> profile() const override;
    std::string profile_link() const override;
    std::optional<std::uint64_t> profile_generation() const override;
    std::string boot_id() const override;
    std::vector<std::string> failed_units() const override;
    std::uint64_t free_store_bytes() const override;
    std::optional<BootSpace> boot_space() const override { return find_boot_space(); }
    std::vector<protocol::BootFile> boot_files(const nix::StorePath& toplevel,
                                               protocol::DeviceTrees device_trees) const override {
        return protocol::find_boot_files(toplevel.absolute(), device_trees);
    }
    bool has_boot_watch() const override;
    std::map<std::string, nix::StorePath> specialisations(const nix::StorePath& toplevel) const override;
    bool is_system(const nix::StorePath& toplevel) const override;
    bool is_generation(const nix::StorePath& toplevel) const override;
    std::optional<NextAgent> agent_in(const nix::StorePath& toplevel) const override;
};

// The program of this process, with all links resolved, and the store path that it is in, if it is in one.
std::string own_program();
std::optional<nix::StorePath> own_package();
// The store path that a symbolic link resolves to.
std::optional<nix::StorePath> store_path_behind(const std::filesystem::path& link);
// TOPLEVEL/bin/switch-to-configuration
std::filesystem::path switch_program(const nix::StorePath& toplevel);
// The number in "system-12-link".
std::optional<std::uint64_t> generation_of_link(std::string_view link_name);

} // namespace waggle::agent
