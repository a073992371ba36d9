#include "agent/node/boot_space.hpp"

#include "agent/state/not_activated.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <array>

namespace waggle::agent {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view extlinux_folder = "boot/nixos";
// As in systemd-boot-builder.py, install-grub.pl and extlinux-conf-builder.sh of nixpkgs.
constexpr std::array<std::string_view, 6> kernel_folders = {"boot/EFI/nixos", "boot/kernels",       extlinux_folder,
                                                            "efi/EFI/nixos",  "boot/efi/EFI/nixos", "boot"};
constexpr std::uint64_t reserved_bytes = 1 << 20; // for the menu and its entries

std::optional<dev_t> device(const fs::path& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 ? std::optional(info.st_dev) : std::nullopt;
}

} // namespace

std::optional<BootSpace> find_boot_space(const fs::path& root) {
    for (const std::string_view name : kernel_folders) {
        const fs::path folder = root / name;
        const auto there = device(folder);
        if (!there || there == device(root) || there == device(root / "nix/store"))
            continue;
        struct statvfs info{};
        if (::statvfs(folder.c_str(), &info) != 0)
            continue;
        BootSpace room{
            .folder = folder, .free_bytes = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize, .files = {}};
        if (name == extlinux_folder)
            room.device_trees = protocol::DeviceTrees::included;
        std::error_code unreadable;
        for (const auto& entry : fs::directory_iterator(folder, unreadable))
            room.files.insert(entry.path().filename().string());
        return room;
    }
    return std::nullopt;
}

std::uint64_t missing_boot_bytes(std::span<const protocol::BootFile> wanted, const std::set<std::string>& present) {
    std::uint64_t missing = 0;
    for (const auto& file : wanted) {
        const auto there = present.lower_bound(file.name);
        if (there == present.end() || !there->starts_with(file.name))
            missing += file.bytes;
    }
    return missing;
}

void check_boot_space(std::span<const protocol::BootFile> wanted, const std::optional<BootSpace>& room) {
    if (!room)
        return;
    const auto missing = missing_boot_bytes(wanted, room->files);
    if (missing == 0 || missing + reserved_bytes <= room->free_bytes)
        return;
    throw NotActivated(
        protocol::Outcome::failed_before_activation, "no-boot-space",
        fmt::format("{} has {} MiB free, and kernel and initrd of the new system need {} MiB there: delete old "
                    "generations (services.waggle-agent.keep, or nix-env --profile /nix/var/nix/profiles/system "
                    "--delete-generations +3 and then /nix/var/nix/profiles/system/bin/switch-to-configuration boot)",
                    room->folder.string(), room->free_bytes >> 20, ((missing + reserved_bytes) >> 20) + 1));
}

} // namespace waggle::agent
