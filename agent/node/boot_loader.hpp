#pragma once

#include "shared/nix/store_path.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// Boots a system once by the node's boot loader. Runs in transient units, which may change the system.
// docs/how-to/reboots.md says what each boot loader can do.
class BootLoader {
public:
    virtual ~BootLoader() = default;

    virtual std::string_view name() const = 0; // "systemd-boot", "grub", "extlinux", "none", "boot-once program"
    // Empty if it can boot a system once, otherwise why not, as the rest of a sentence: "has no entry for one boot".
    virtual std::string why_not_once() const = 0;
    bool can_boot_once() const { return why_not_once().empty(); }
    // Adds a menu entry for the toplevel, in a profile of its own in system-profiles, without changing the default, and
    // selects it for the next boot only. Throws Error and leaves the next boot unchanged.
    virtual void boot_once(const nix::StorePath& toplevel) = 0;
    // Undoes both. No error if there is nothing to undo.
    virtual void forget_once() = 0;
};

// The files and programs that boot loaders need; tests substitute their own.
class BootMachine {
public:
    virtual ~BootMachine() = default;
    virtual std::filesystem::path root() const { return "/"; }
    // Runs a program and returns its standard output. Throws Error if it fails.
    virtual std::string run(std::vector<std::string> argv) = 0;
};
std::unique_ptr<BootMachine> this_machine();

// The boot loader of the running system. Never null: "none" cannot boot once.
std::unique_ptr<BootLoader> find_boot_loader(std::shared_ptr<BootMachine> machine = this_machine());

// The id of the systemd-boot entry (loader.conf(5): the file's name) that boots the toplevel: of all files in `folder`
// (loader/entries). Returns nullopt if there is none.
std::optional<std::string> systemd_boot_entry(const std::filesystem::path& folder, const nix::StorePath& toplevel);
// The value of GRUB's next_entry that boots the toplevel: titles from the outermost submenu inward, joined by '>'.
std::optional<std::string> grub_entry(std::string_view grub_cfg, const nix::StorePath& toplevel);
// The mount that contains a path, from the text of /proc/self/mountinfo.
struct Mount {
    std::string file_system;
    std::string device;
};
Mount mount_of(std::string_view mountinfo, std::string_view path);
// Whether GRUB can clear next_entry after reading it. GRUB writes only to plain partitions with simple file systems;
// elsewhere it would boot the entry every time.
bool grub_can_write(std::string_view file_system, std::string_view device);

} // namespace waggle::agent
