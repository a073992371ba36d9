#pragma once

#include "shared/nix/store_path.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace waggle::agent {

// The node's boot loader, as far as booting a system once goes. Used in transient units, which may change the system.
class BootLoader {
public:
    virtual ~BootLoader() = default;

    virtual std::string_view name() const = 0; // "systemd-boot", "grub", "extlinux", "none"
    virtual bool can_boot_once() const = 0;
    // Makes a menu entry for the toplevel, in a profile of its own in system-profiles, without a change of the default.
    // Then boots it next, once. Throws Error; the next boot is then the default as before.
    virtual void boot_once(const nix::StorePath& toplevel) = 0;
    // Takes both back. No error when there is nothing to take back.
    virtual void forget_once() = 0;
};

// The one that the running system has. Never null: "none" cannot boot once.
std::unique_ptr<BootLoader> find_boot_loader();

} // namespace waggle::agent
