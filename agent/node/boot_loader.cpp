#include "agent/node/boot_loader.hpp"

#include "agent/node/host.hpp"
#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <sstream>
#include <utility>

namespace waggle::agent {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::minutes program_timeout{10}; // a boot loader's installer may copy kernels to a slow card
// GRUB's menu includes only profiles whose names match \w+ (install-grub.pl).
constexpr auto once_profile = "nix/var/nix/profiles/system-profiles/waggle";
constexpr auto once_program = "etc/waggle/boot-once";
constexpr auto loader_info = "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
constexpr size_t max_menu_bytes = 16 << 20;
constexpr size_t max_entry_bytes = 1 << 20;

class LocalMachine : public BootMachine {
public:
    std::string run(std::vector<std::string> argv) override {
        RunOptions options;
        options.deadline = deadline_in(program_timeout);
        const Command command{.argv = std::move(argv), .extra_environment = {{"NIXOS_NO_CHECK", "1"}}};
        const auto result = waggle::run(command, options);
        if (!result.status.success())
            throw Error(fmt::format("{}: {}: {}", command.argv.front(), result.status.to_string(), result.err_tail));
        return result.out;
    }
};

std::string trimmed(std::string text) {
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

// What the boot loaders of NixOS have in common: the entry comes from a profile, and the default system writes the
// menu, because a system's installer makes that system the default.
class MenuLoader : public BootLoader {
public:
    explicit MenuLoader(std::shared_ptr<BootMachine> machine) : machine_(std::move(machine)) {}

    void boot_once(const nix::StorePath& toplevel) override {
        fs::create_directories(profile().parent_path());
        machine_->run({"nix-env", "--profile", profile(), "--set", toplevel.absolute()});
        write_menu();
        choose(toplevel);
    }

    void forget_once() override {
        if (!fs::is_symlink(profile()))
            return; // boot_once creates it first
        unchoose();
        std::vector<fs::path> links;
        for (const auto& entry : fs::directory_iterator(profile().parent_path())) {
            const auto name = entry.path().filename().string();
            if (name.starts_with("waggle-") && name.ends_with("-link"))
                links.push_back(entry.path());
        }
        for (const auto& link : links)
            remove_file(link);
        remove_file(profile()); // last: it marks that there is something to undo
        write_menu();
    }

protected:
    virtual void choose(const nix::StorePath& toplevel) = 0;
    virtual void unchoose() = 0;

    BootMachine& machine() const { return *machine_; }
    fs::path at(std::string_view path) const { return machine_->root() / path; }

private:
    fs::path profile() const { return at(once_profile); }
    void write_menu() { machine_->run({at("nix/var/nix/profiles/system/bin/switch-to-configuration"), "boot"}); }

    std::shared_ptr<BootMachine> machine_;
};

// Uses bootctl(1), "set-oneshot", which sets the EFI variable LoaderEntryOneShot. systemd-boot removes it before it
// boots the entry.
class SystemdBoot : public MenuLoader {
public:
    using MenuLoader::MenuLoader;
    std::string_view name() const override { return "systemd-boot"; }
    std::string why_not_once() const override { return {}; }

private:
    void choose(const nix::StorePath& toplevel) override {
        // $BOOT: the extended boot loader partition if there is one, else the EFI system partition.
        const fs::path boot = trimmed(machine().run({"bootctl", "--print-boot-path"}));
        const auto entry = systemd_boot_entry(boot / "loader/entries", toplevel);
        if (!entry)
            throw Error(fmt::format("{} has no entry for {}, though its profile was made",
                                    (boot / "loader/entries").string(), toplevel.base_name()));
        machine().run({"bootctl", "set-oneshot", *entry});
    }
    void unchoose() override { machine().run({"bootctl", "set-oneshot", ""}); }
};

// Sets next_entry in the environment block (GRUB manual, "grub-reboot"). NixOS's grub.cfg reads and clears it.
class Grub : public MenuLoader {
public:
    using MenuLoader::MenuLoader;
    std::string_view name() const override { return "grub"; }

    std::string why_not_once() const override {
        const auto menu = read_file_if_exists(menu_file(), max_menu_bytes);
        if (!menu || menu->find("next_entry") == std::string::npos)
            return "has a menu that does not read next_entry";
        const auto mount = mount_of(read_file(at("proc/self/mountinfo"), max_menu_bytes), "/boot/grub");
        if (!grub_can_write(mount.file_system, mount.device))
            return fmt::format("cannot write to its file system ({} on {}), so it could not clear a one-time boot",
                               mount.file_system, mount.device);
        return {};
    }

private:
    fs::path menu_file() const { return at("boot/grub/grub.cfg"); }
    fs::path environment() const { return at("boot/grub/grubenv"); }
    // A NixOS system with GRUB contains the program; a transient unit has the agent's PATH.
    std::string editor() const {
        const auto system = at("run/current-system/sw/bin/grub-editenv");
        return fs::exists(system) ? system.string() : "grub-editenv";
    }

    void choose(const nix::StorePath& toplevel) override {
        const auto entry = grub_entry(read_file(menu_file(), max_menu_bytes), toplevel);
        if (!entry)
            throw Error(fmt::format("{} has no entry for {}, though its profile was made", menu_file().string(),
                                    toplevel.base_name()));
        if (!fs::exists(environment()))
            machine().run({editor(), environment(), "create"});
        machine().run({editor(), environment(), "set", "next_entry=" + *entry});
    }
    void unchoose() override {
        if (fs::exists(environment()))
            machine().run({editor(), environment(), "unset", "next_entry"});
    }
};

// services.waggle-agent.bootOnce: a program from the configuration, for boot loaders that Waggle does not support.
class ProgramLoader : public BootLoader {
public:
    explicit ProgramLoader(std::shared_ptr<BootMachine> machine) : machine_(std::move(machine)) {}
    std::string_view name() const override { return "boot-once program"; }
    std::string why_not_once() const override { return {}; }
    void boot_once(const nix::StorePath& toplevel) override { machine_->run({program(), "set", toplevel.absolute()}); }
    void forget_once() override { machine_->run({program(), "forget"}); }

private:
    std::string program() const { return machine_->root() / once_program; }
    std::shared_ptr<BootMachine> machine_;
};

class NoOnce : public BootLoader {
public:
    NoOnce(std::string_view name, std::string why) : name_(name), why_(std::move(why)) {}
    std::string_view name() const override { return name_; }
    std::string why_not_once() const override { return why_; }
    void boot_once(const nix::StorePath&) override { throw Error(fmt::format("the boot loader ({}) {}", name_, why_)); }
    void forget_once() override {}

private:
    std::string_view name_;
    std::string why_;
};

// The variable has four bytes of attributes, followed by UTF-16. Its ASCII part is sufficient.
bool booted_by_systemd_boot(const fs::path& root) {
    std::string letters;
    for (const char c : read_file_if_exists(root / loader_info, 4096).value_or(""))
        if (c >= 0x20)
            letters += c;
    return letters.find("systemd-boot") != std::string::npos;
}

} // namespace

std::unique_ptr<BootMachine> this_machine() {
    return std::make_unique<LocalMachine>();
}

std::unique_ptr<BootLoader> find_boot_loader(std::shared_ptr<BootMachine> machine) {
    const auto root = machine->root();
    if (fs::exists(root / once_program))
        return std::make_unique<ProgramLoader>(std::move(machine));
    if (booted_by_systemd_boot(root))
        return std::make_unique<SystemdBoot>(std::move(machine));
    // This comes before GRUB, because a GRUB menu of an earlier installation may be left.
    if (fs::exists(root / "boot/extlinux/extlinux.conf"))
        return std::make_unique<NoOnce>("extlinux", "has no entry for one boot only");
    if (fs::exists(root / "boot/grub/grub.cfg"))
        return std::make_unique<Grub>(std::move(machine));
    return std::make_unique<NoOnce>("none", "is not one that Waggle supports");
}

std::optional<std::string> systemd_boot_entry(const fs::path& folder, const nix::StorePath& toplevel) {
    const std::string wanted = "init=" + toplevel.absolute() + "/init";
    std::error_code no_folder;
    for (const auto& entry : fs::directory_iterator(folder, no_folder)) {
        auto name = entry.path().filename().string();
        if (!name.ends_with(".conf"))
            continue;
        std::istringstream lines(read_file(entry.path(), max_entry_bytes));
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words(line);
            std::string word;
            if (!(words >> word) || word != "options")
                continue;
            while (words >> word)
                if (word == wanted && name.find("specialisation") == std::string::npos)
                    return name;
        }
    }
    return std::nullopt;
}

std::optional<std::string> grub_entry(std::string_view grub_cfg, const nix::StorePath& toplevel) {
    const std::string wanted = "init=" + toplevel.absolute() + "/init";
    struct Block {
        bool entry = false;
        std::string title; // escaped; empty for blocks that are not menu items
    };
    std::vector<Block> open;
    // The deepest entry: the default system also has one at the top, whose title belongs to another system after the
    // next write.
    std::optional<std::string> found;
    std::istringstream lines{std::string(grub_cfg)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string first;
        words >> first;
        if (first == "}") {
            if (!open.empty())
                open.pop_back();
        } else if (first == "menuentry" || first == "submenu") {
            const auto begin = line.find_first_of("\"'");
            const auto end = begin == std::string::npos ? begin : line.find(line[begin], begin + 1);
            if (end == std::string::npos)
                return std::nullopt;
            std::string title;
            for (const char c : line.substr(begin + 1, end - begin - 1))
                title += c == '>' ? ">>" : std::string(1, c); // grub-core/normal/menu.c
            open.push_back({first == "menuentry", title});
        } else if (line.ends_with('{')) {
            open.push_back({});
        } else if (!open.empty() && open.back().entry) {
            for (std::string word; words >> word;) {
                if (word != wanted)
                    continue;
                std::string path;
                for (const auto& block : open)
                    if (!block.title.empty())
                        path += (path.empty() ? "" : ">") + block.title;
                if (path.find_first_of("\\\"$") == std::string::npos && open.size() > 1)
                    found = path;
            }
        }
    }
    return found;
}

Mount mount_of(std::string_view mountinfo, std::string_view path) {
    Mount found;
    size_t longest = 0;
    std::istringstream lines{std::string(mountinfo)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string word;
        std::string point; // proc(5): the fifth field; after " - " come the file system's type and the device
        for (int field = 1; field <= 5 && words >> point; ++field) {
        }
        while (words >> word && word != "-") {
        }
        Mount mount;
        words >> mount.file_system >> mount.device;
        const bool holds =
            point == "/" || (path.starts_with(point) && (path.size() == point.size() || path[point.size()] == '/'));
        if (holds && point.size() >= longest) { // the last one hides those before it
            longest = point.size();
            found = mount;
        }
    }
    return found;
}

bool grub_can_write(std::string_view file_system, std::string_view device) {
    constexpr std::array<std::string_view, 5> simple = {"ext2", "ext3", "ext4", "vfat", "xfs"};
    constexpr std::string_view plain = "/dev/";
    if (std::ranges::find(simple, file_system) == simple.end() || !device.starts_with(plain))
        return false;
    const auto name = device.substr(plain.size());
    // LVM, RAID and encryption lie between GRUB and the blocks ("grub_env_write": diskfilter writes are not supported).
    return !name.starts_with("mapper/") && !name.starts_with("dm-") && !name.starts_with("md") &&
           name.find('/') == name.npos;
}

} // namespace waggle::agent
