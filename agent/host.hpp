#pragma once

#include "shared/nix/store_path.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>

namespace waggle::agent {

inline constexpr auto system_profile = "/nix/var/nix/profiles/system";

// What this machine is, read from its files whenever asked.
class Host {
public:
    virtual ~Host() = default;

    virtual std::optional<nix::StorePath> current_system() const = 0;
    virtual std::optional<nix::StorePath> booted_system() const = 0;
    virtual std::optional<nix::StorePath> profile() const = 0;
    virtual std::optional<std::uint64_t> profile_generation() const = 0;
    virtual std::uint64_t free_store_bytes() const = 0;
    // Whether the path can be switched to.
    virtual bool is_system(const nix::StorePath& toplevel) const = 0;
};

class LocalHost : public Host {
public:
    std::optional<nix::StorePath> current_system() const override;
    std::optional<nix::StorePath> booted_system() const override;
    std::optional<nix::StorePath> profile() const override;
    std::optional<std::uint64_t> profile_generation() const override;
    std::uint64_t free_store_bytes() const override;
    bool is_system(const nix::StorePath& toplevel) const override;
};

// TOPLEVEL/bin/switch-to-configuration
std::filesystem::path switch_program(const nix::StorePath& toplevel);
// The number in "system-12-link".
std::optional<std::uint64_t> generation_of_link(std::string_view link_name);

} // namespace waggle::agent
