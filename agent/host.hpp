#pragma once

#include "agent/boot_room.hpp"
#include "shared/nix/store_path.hpp"
#include "shared/ssh/key.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

inline constexpr auto system_profile = "/nix/var/nix/profiles/system";

// What this machine is, read from its files whenever asked.
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
    // Units that failed, or that systemd is about to start again after a failure; sorted.
    virtual std::vector<std::string> failed_units() const = 0;
    virtual std::uint64_t free_store_bytes() const = 0;
    virtual std::optional<BootRoom> boot_room() const = 0; // see agent/boot_room.hpp
    // What its boot loader would copy for a system in the store.
    virtual std::vector<protocol::BootFile> boot_files(const nix::StorePath& toplevel, protocol::DeviceTrees) const = 0;
    // Whether there is a watch over the next boots, or a part of one (agent/boot_watch.hpp).
    virtual bool has_boot_watch() const = 0;
    // Of a system in the store, by name.
    virtual std::map<std::string, nix::StorePath> specialisations(const nix::StorePath& toplevel) const = 0;
    // Whether the path can be switched to.
    virtual bool is_system(const nix::StorePath& toplevel) const = 0;
    // Whether a generation of the system profile is this system.
    virtual bool is_generation(const nix::StorePath& toplevel) const = 0;
    // The operators of the agent that the system starts; nullopt: it has none. Throws Error.
    virtual std::optional<std::vector<ssh::PublicKey>> operators_in(const nix::StorePath& toplevel) const = 0;
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
    std::optional<BootRoom> boot_room() const override { return find_boot_room(); }
    std::vector<protocol::BootFile> boot_files(const nix::StorePath& toplevel,
                                               protocol::DeviceTrees device_trees) const override {
        return protocol::find_boot_files(toplevel.absolute(), device_trees);
    }
    bool has_boot_watch() const override;
    std::map<std::string, nix::StorePath> specialisations(const nix::StorePath& toplevel) const override;
    bool is_system(const nix::StorePath& toplevel) const override;
    bool is_generation(const nix::StorePath& toplevel) const override;
    std::optional<std::vector<ssh::PublicKey>> operators_in(const nix::StorePath& toplevel) const override;
};

// The program of this process, with all links resolved, and the store path that it is in, if it is in one.
std::string own_program();
std::optional<nix::StorePath> own_package();
// The store path that a symbolic link ends at.
std::optional<nix::StorePath> store_path_behind(const std::filesystem::path& link);
// TOPLEVEL/bin/switch-to-configuration
std::filesystem::path switch_program(const nix::StorePath& toplevel);
// The number in "system-12-link".
std::optional<std::uint64_t> generation_of_link(std::string_view link_name);

} // namespace waggle::agent
