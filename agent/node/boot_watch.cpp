#include "agent/node/boot_watch.hpp"

#include "agent/node/unit_names.hpp"
#include "shared/base/file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

namespace waggle::agent {

namespace {

constexpr std::chrono::minutes longest_boot{10};
constexpr auto service = "waggle-watch.service";
// Every boot begins with this target, and starts the units that it wants whether or not the target itself is reached.
constexpr auto wants = "sysinit.target.wants";

} // namespace

std::chrono::seconds boot_time(const DeploymentRecord& record) {
    return std::min<std::chrono::seconds>(record.rollback.activation_timeout, longest_boot);
}

BootWatchUnits boot_watch_units(const DeploymentRecord& record, const std::filesystem::path& state_dir,
                                std::string_view path_variable) {
    // As with the transient units, a failed mount neither stops nor delays these units.
    constexpr std::string_view unit = "[Unit]\n"
                                      "Description=Waggle: roll back a one-time boot whose agent does not start\n"
                                      "DefaultDependencies=no\n"
                                      "IgnoreOnIsolate=yes\n";
    return {.timer = fmt::format("{}\n[Timer]\nOnBootSec={}s\nAccuracySec=1s\n", unit, boot_time(record).count()),
            .service = fmt::format("{}StartLimitIntervalSec=0\n\n[Service]\nType=exec\n"
                                   "Environment=PATH={}\nEnvironment=HOME=/root\nSyslogIdentifier={}\n"
                                   "Restart=on-failure\nRestartSec=5s\n"
                                   "ExecStart={} watch --state-dir {} --id {} --system {}\n",
                                   unit, path_variable, output_identifier, record.agent, state_dir.string(),
                                   record.id.to_string(), record.toplevel->absolute())};
}

void BootWatch::set(const DeploymentRecord& record, const std::filesystem::path& state_dir,
                    std::string_view path_variable) const {
    const auto units = boot_watch_units(record, state_dir, path_variable);
    make_folders(folder_ / wants);
    write_file_atomically(folder_ / service, units.service, 0644);
    write_file_atomically(folder_ / boot_watch_timer, units.timer, 0644);
    // Comes last, because this link enables the watchdog.
    replace_link(folder_ / wants / boot_watch_timer, fmt::format("../{}", boot_watch_timer));
}

// The link that makes every boot start the timer comes first.
std::vector<std::filesystem::path> BootWatch::files() const {
    return {folder_ / wants / boot_watch_timer, folder_ / boot_watch_timer, folder_ / service};
}

bool BootWatch::is_set() const {
    return std::ranges::any_of(files(), [](const auto& file) { return exists(symlink_status(file)); });
}

void BootWatch::remove() const {
    std::exception_ptr failure;
    for (const auto& file : files()) {
        try {
            if (exists(symlink_status(file))) // a read-only folder without the file is no error
                remove_file(file);
        } catch (const std::exception&) {
            if (!failure)
                failure = std::current_exception();
        }
    }
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace waggle::agent
