#include "agent/node/boot_loader.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <map>

namespace waggle::agent {
namespace {

namespace fs = std::filesystem;

const auto system_a = nix::StorePath::parse("/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-nixos-system-a");
const auto system_b = nix::StorePath::parse("/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-nixos-system-b");

// Records the commands instead of running them, and returns prepared output.
class FakeMachine : public BootMachine {
public:
    fs::path root() const override { return folder.path(); }
    std::string run(std::vector<std::string> argv) override {
        for (auto& word : argv)
            if (word.starts_with(root().string()))
                word.erase(0, root().string().size());
        auto line = fmt::format("{}", fmt::join(argv, " "));
        if (fails == argv.front())
            throw Error(line + " failed");
        ran.push_back(line);
        return output[line];
    }
    void write(const fs::path& file, std::string_view text) const {
        fs::create_directories((root() / file).parent_path());
        write_file_atomically(root() / file, text, 0644);
    }

    TemporaryFolder folder;
    std::vector<std::string> ran;
    std::map<std::string, std::string> output;
    std::string fails;
};

// As systemd-boot writes it: attributes, then UTF-16.
std::string loader_info(std::string_view text) {
    std::string value("\x06\0\0\0", 4);
    for (const char c : text)
        value.append({c, '\0'});
    return value;
}
constexpr auto loader_info_file = "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

std::string systemd_boot_conf(const nix::StorePath& system) {
    return "title NixOS\nversion Generation 7 NixOS\nlinux /efi/nixos/k.efi\noptions init=" + system.absolute() +
           "/init loglevel=4\n";
}

// As install-grub.pl writes it.
std::string grub_cfg() {
    const auto entry = [](std::string_view title, const nix::StorePath& system) {
        return fmt::format(
            "menuentry \"{}\" --class nixos --unrestricted {{\nsearch --set=drive1 --fs-uuid 12\n  linux "
            "($drive1)//kernels/k init={}/init loglevel=4\n  initrd ($drive1)//kernels/i\n}}\n\n",
            title, system.absolute());
    };
    return "if [ \"${next_entry}\" ]; then\n  set default=\"${next_entry}\"\n  set next_entry=\n  save_env "
           "next_entry\nfi\n\nfunction savedefault {\n    if [ -z \"${boot_once}\"]; then\n    save_env x\n    "
           "fi\n}\n" +
           entry("NixOS", system_a) + "submenu \"NixOS - All configurations\" --class submenu {\n" +
           entry("NixOS - Configuration 3 (2026-11-22 - 24.05)", system_a) + "}\n\n" +
           "submenu \"NixOS - Profile 'waggle'\" --class submenu {\n" +
           entry("NixOS - Configuration 1 (2026-11-22 > 24.05)", system_b) + "}\n\n";
}

TEST(BootLoader, IsRecognised) {
    const auto machine = std::make_shared<FakeMachine>();
    const auto name = [&] { return find_boot_loader(machine)->name(); };
    EXPECT_EQ(name(), "none");
    EXPECT_FALSE(find_boot_loader(machine)->can_boot_once());
    machine->write("boot/grub/grub.cfg", grub_cfg());
    EXPECT_EQ(name(), "grub");
    machine->write("boot/extlinux/extlinux.conf", "");
    EXPECT_EQ(name(), "extlinux");
    EXPECT_FALSE(find_boot_loader(machine)->can_boot_once());
    EXPECT_THROW(find_boot_loader(machine)->boot_once(system_b), Error);
    machine->write(loader_info_file, loader_info("GRUB 2.12"));
    EXPECT_EQ(name(), "extlinux") << "another loader says its name, too";
    machine->write(loader_info_file, loader_info("systemd-boot 252.6"));
    EXPECT_EQ(name(), "systemd-boot");
    machine->write("etc/waggle/boot-once", "");
    EXPECT_EQ(name(), "boot-once program");
}

TEST(BootLoader, SystemdBootBootsTheEntryOfTheProfileOnce) {
    const auto machine = std::make_shared<FakeMachine>();
    machine->write(loader_info_file, loader_info("systemd-boot 252.6"));
    machine->write("efi/loader/entries/nixos-generation-7.conf", systemd_boot_conf(system_a));
    machine->write("efi/loader/entries/nixos-waggle-generation-1.conf", systemd_boot_conf(system_b));
    machine->write("efi/loader/entries/nixos-waggle-generation-1-specialisation-x.conf", systemd_boot_conf(system_b));
    machine->output["bootctl --print-boot-path"] = (machine->root() / "efi").string() + "\n";
    const auto loader = find_boot_loader(machine);
    ASSERT_TRUE(loader->can_boot_once());
    loader->boot_once(system_b);
    EXPECT_EQ(machine->ran,
              (std::vector<std::string>{
                  "nix-env --profile /nix/var/nix/profiles/system-profiles/waggle --set " + system_b.absolute(),
                  "/nix/var/nix/profiles/system/bin/switch-to-configuration boot",
                  "bootctl --print-boot-path",
                  "bootctl set-oneshot nixos-waggle-generation-1.conf",
              }));
    machine->fails = "bootctl";
    EXPECT_THROW(loader->boot_once(system_b), Error);
}

TEST(BootLoader, CancelsTheOneTimeBoot) {
    const auto machine = std::make_shared<FakeMachine>();
    machine->write(loader_info_file, loader_info("systemd-boot 252.6"));
    const auto loader = find_boot_loader(machine);
    loader->forget_once();
    EXPECT_TRUE(machine->ran.empty()) << "there is nothing to take back";
    const fs::path profiles = machine->root() / "nix/var/nix/profiles/system-profiles";
    fs::create_directories(profiles);
    fs::create_symlink("waggle-2-link", profiles / "waggle");
    for (const auto* link : {"waggle-1-link", "waggle-2-link", "other"})
        machine->write(fs::path("nix/var/nix/profiles/system-profiles") / link, "");
    loader->forget_once();
    EXPECT_EQ(machine->ran.front(), "bootctl set-oneshot ");
    EXPECT_EQ(machine->ran.back(), "/nix/var/nix/profiles/system/bin/switch-to-configuration boot");
    const auto left = fs::directory_iterator(profiles);
    EXPECT_EQ(std::distance(begin(left), end(left)), 1) << "other profiles are not ours";
}

TEST(BootLoader, GrubBootsTheEntryOfTheProfileOnce) {
    EXPECT_EQ(grub_entry(grub_cfg(), system_b),
              "NixOS - Profile 'waggle'>NixOS - Configuration 1 (2026-11-22 >> 24.05)");
    EXPECT_EQ(grub_entry(grub_cfg(), system_a),
              "NixOS - All configurations>NixOS - Configuration 3 (2026-11-22 - 24.05)");
    EXPECT_EQ(grub_entry("menuentry \"NixOS\" {\n}\n", system_a), std::nullopt);
    EXPECT_EQ(grub_entry("menuentry {\n", system_a), std::nullopt);

    const auto machine = std::make_shared<FakeMachine>();
    machine->write("boot/grub/grub.cfg", grub_cfg());
    machine->write("proc/self/mountinfo", "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n");
    const auto loader = find_boot_loader(machine);
    ASSERT_EQ(loader->why_not_once(), "");
    loader->boot_once(system_b);
    EXPECT_EQ(machine->ran[2], "grub-editenv /boot/grub/grubenv create");
    EXPECT_EQ(machine->ran[3], "grub-editenv /boot/grub/grubenv set next_entry=NixOS - Profile 'waggle'>NixOS - "
                               "Configuration 1 (2026-11-22 >> 24.05)");
    machine->write("boot/grub/grubenv", "");
    fs::create_directories(machine->root() / "nix/var/nix/profiles/system-profiles");
    fs::create_symlink("waggle-1-link", machine->root() / "nix/var/nix/profiles/system-profiles/waggle");
    machine->ran.clear();
    loader->forget_once();
    EXPECT_EQ(machine->ran.front(), "grub-editenv /boot/grub/grubenv unset next_entry");
}

TEST(BootLoader, GrubIsNotUsedIfItCannotClearTheOneTimeEntry) {
    EXPECT_TRUE(grub_can_write("ext4", "/dev/sda1"));
    EXPECT_TRUE(grub_can_write("vfat", "/dev/nvme0n1p1"));
    EXPECT_FALSE(grub_can_write("btrfs", "/dev/sda1"));
    EXPECT_FALSE(grub_can_write("zfs", "rpool/root"));
    EXPECT_FALSE(grub_can_write("ext4", "/dev/mapper/vg-root"));
    EXPECT_FALSE(grub_can_write("ext4", "/dev/md0"));
    EXPECT_FALSE(grub_can_write("ext4", "/dev/vg/root"));

    const auto machine = std::make_shared<FakeMachine>();
    machine->write("boot/grub/grub.cfg", grub_cfg());
    machine->write("proc/self/mountinfo", "22 1 0:30 / / rw - btrfs /dev/sda1 rw\n");
    EXPECT_NE(find_boot_loader(machine)->why_not_once().find("btrfs on /dev/sda1"), std::string::npos);
    machine->write("boot/grub/grub.cfg", "menuentry \"NixOS\" {\n}\n");
    EXPECT_NE(find_boot_loader(machine)->why_not_once().find("next_entry"), std::string::npos);
}

TEST(BootLoader, FindsTheMountOfAPath) {
    constexpr auto mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                            "23 22 8:2 / /boot rw master:2 shared:3 - vfat /dev/sda2 rw\n"
                            "24 22 8:3 / /boot/grubby rw - xfs /dev/sda3 rw\n";
    EXPECT_EQ(mount_of(mounts, "/boot/grub").device, "/dev/sda2");
    EXPECT_EQ(mount_of(mounts, "/boot").file_system, "vfat");
    EXPECT_EQ(mount_of(mounts, "/bootstrap").device, "/dev/sda1");
    EXPECT_EQ(mount_of("", "/boot").device, "");
}

TEST(BootLoader, UsesTheConfiguredBootOnceProgram) {
    const auto machine = std::make_shared<FakeMachine>();
    machine->write("etc/waggle/boot-once", "");
    const auto loader = find_boot_loader(machine);
    loader->boot_once(system_b);
    loader->forget_once();
    EXPECT_EQ(machine->ran, (std::vector<std::string>{"/etc/waggle/boot-once set " + system_b.absolute(),
                                                      "/etc/waggle/boot-once forget"}));
}

} // namespace
} // namespace waggle::agent
