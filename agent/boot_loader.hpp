#pragma once

#include "shared/nix/store_path.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The node's boot loader, as far as booting a system once goes. Used in transient units, which may change the system.
// docs/reboots.md says what each can do.
class BootLoader {
public:
    virtual ~BootLoader() = default;

    virtual std::string_view name() const = 0; // "systemd-boot", "grub", "extlinux", "none", "boot-once program"
    // Empty when it can boot a system once, else why not, as the rest of a sentence: "has no entry for one boot".
    virtual std::string why_not_once() const = 0;
    bool can_boot_once() const { return why_not_once().empty(); }
    // Makes a menu entry for the toplevel, in a profile of its own in system-profiles, without a change of the default.
    // Then boots it next, once. Throws Error; the next boot is then the default as before.
    virtual void boot_once(const nix::StorePath& toplevel) = 0;
    // Takes both back. No error when there is nothing to take back.
    virtual void forget_once() = 0;
};

// What boot loaders are recognised and driven by; tests have files and programs of their own.
class BootMachine {
public:
    virtual ~BootMachine() = default;
    virtual std::filesystem::path root() const { return "/"; }
    // Runs a program to its end; its standard output. Throws Error when it fails.
    virtual std::string run(std::vector<std::string> argv) = 0;
};
std::unique_ptr<BootMachine> this_machine();

// The one that the running system has. Never null: "none" cannot boot once.
std::unique_ptr<BootLoader> find_boot_loader(std::shared_ptr<BootMachine> machine = this_machine());

// The id of the systemd-boot entry (loader.conf(5): the file's name) that boots the toplevel: of all files in `folder`
// (loader/entries). nullopt when there is none.
std::optional<std::string> systemd_boot_entry(const std::filesystem::path& folder, const nix::StorePath& toplevel);
// What GRUB's next_entry must be to boot the toplevel: titles from the outermost submenu inward, joined by '>'.
std::optional<std::string> grub_entry(std::string_view grub_cfg, const nix::StorePath& toplevel);
// What is mounted where the path is, by the text of /proc/self/mountinfo.
struct Mount {
    std::string file_system;
    std::string device;
};
Mount mount_of(std::string_view mountinfo, std::string_view path);
// Whether GRUB can forget next_entry when it has read it: it writes to plain partitions with simple file systems only,
// and would boot "once" for ever elsewhere.
bool grub_can_write(std::string_view file_system, std::string_view device);

} // namespace waggle::agent
