#include "agent/activation.hpp"

#include "agent/line_splitter.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace waggle::agent {

namespace {

using namespace std::chrono_literals;

// The whole activation, its rollback included; switch-to-configuration may wait for slow services to stop.
constexpr auto max_activation = 2h;
constexpr auto systemd_run_timeout = 60s;
constexpr auto systemctl_timeout = 30s;
// The result file wakes us; this only finds out that there will never be one (killed together with its unit).
constexpr auto life_line_interval = 30s;
constexpr auto journal_lag = 2s; // from the unit's end to its last line in the journal, on a busy machine
constexpr size_t max_report_bytes = 256 << 10;
constexpr size_t max_journal_bytes = 16 << 20;

RunOptions within(std::chrono::milliseconds time) {
    RunOptions options;
    options.deadline = deadline_in(time);
    return options;
}

std::string unit_property(std::string_view property) {
    const auto result = run({.argv = {"systemctl", "show", "--value", "--property", std::string(property),
                                      fmt::format("{}.service", activation_unit)},
                             .extra_environment = {}},
                            within(systemctl_timeout));
    auto value = result.out;
    while (!value.empty() && value.back() == '\n')
        value.pop_back();
    return value;
}

bool unit_is_there() {
    try {
        const auto state = unit_property("ActiveState");
        return !state.empty() && state != "inactive" && state != "failed";
    } catch (const TimedOut&) {
        return true; // a systemd that is busy says nothing about the unit
    }
}

Command journal_command(Time started, bool follow) {
    // The marks in the output do the exact work; a clock that is set in between must not hide the first of them.
    const auto since = unix_ms(started) / 1000 - 300;
    Command command{.argv = {"journalctl", "--quiet", "--output=cat", "--all", "--no-pager",
                             fmt::format("--identifier={}", activation_unit), fmt::format("--since=@{}", since)},
                    .extra_environment = {}};
    if (follow)
        // --merge: else it follows this boot only, whose id a sandbox in a container may have wrong.
        command.argv.insert(command.argv.end(), {"--follow", "--no-tail", "--merge"});
    return command;
}

// Follows the journal; without a journal the activation goes on unseen.
std::optional<Child> follow_journal(Time started) {
    try {
        return Child(journal_command(started, true), {.pipe_stdout = true});
    } catch (const Error& error) {
        spdlog::warn("the activation's output cannot be followed: {}", error.what());
        return std::nullopt;
    }
}

void read_whole_journal(Time started, OutputFilter& filter) {
    try {
        auto options = within(systemctl_timeout);
        options.max_stdout_bytes = max_journal_bytes;
        const auto result = run(journal_command(started, false), options);
        filter.restart();
        LineSplitter lines([&](std::string_view line) { filter.line(line); });
        lines.feed(result.out);
    } catch (const Error& error) {
        spdlog::warn("the end of the activation's output was not read: {}", error.what());
    }
}

// What the follower has not seen yet: it hears of new lines a quarter of a second late, reading them all does not wait.
void read_rest_of_output(Time started, OutputFilter& filter, const Interrupt& interrupt) {
    const auto give_up = deadline_in(journal_lag);
    for (auto pause = 50ms; !filter.seen_end(); pause *= 2) {
        read_whole_journal(started, filter);
        if (filter.seen_end() || std::chrono::steady_clock::now() + pause > give_up)
            return;
        pollfd fd{.fd = interrupt.fd(), .events = POLLIN, .revents = 0};
        ::poll(&fd, 1, static_cast<int>(pause.count()));
        interrupt.check();
    }
}

} // namespace

std::string begin_mark(const protocol::DeploymentId& id) {
    return fmt::format("waggle-activation {} begins", id.to_string());
}

std::string end_mark(const protocol::DeploymentId& id) {
    return fmt::format("waggle-activation {} ends", id.to_string());
}

OutputFilter::OutputFilter(const protocol::DeploymentId& id, std::function<void(std::string_view)> on_line)
    : begin_(begin_mark(id)), end_(end_mark(id)), on_line_(std::move(on_line)) {}

void OutputFilter::line(std::string_view line) {
    if (line == begin_) {
        inside_ = true;
    } else if (line == end_) {
        inside_ = false;
        seen_end_ = true;
    } else if (inside_ && ++position_ > passed_) {
        passed_ = position_;
        on_line_(line);
    }
}

void OutputFilter::restart() {
    inside_ = false;
    position_ = 0;
}

std::vector<std::string> activation_command(const ActivationRequest& request, const std::filesystem::path& agent,
                                            const std::filesystem::path& state_dir, std::string_view path_variable) {
    const auto property = [](std::string_view name, std::string_view value) {
        return fmt::format("--property={}={}", name, value);
    };
    std::vector<std::string> argv{
        "systemd-run",
        "--quiet",
        fmt::format("--unit={}", activation_unit),
        fmt::format("--description=Waggle activates {}", request.toplevel.base_name()),
        "--service-type=exec",
        fmt::format("--setenv=PATH={}", path_variable),
        "--setenv=HOME=/root",                 // nix-env wants one
        property("DefaultDependencies", "no"), // emergency.target must not stop it
        property("IgnoreOnIsolate", "yes"),
        property("CollectMode", "inactive-or-failed"), // the name is free again, however it ends
        property("SyslogIdentifier", activation_unit),
        property("RuntimeMaxSec", fmt::format("{}", std::chrono::seconds(max_activation).count())),
        property("ExecStopPost", fmt::format("{} activation-result --state-dir {} --id {}", agent.string(),
                                             state_dir.string(), request.id.to_string())),
        "--",
        agent.string(),
        "activate",
        "--state-dir",
        state_dir.string(),
        "--id",
        request.id.to_string(),
        "--goal",
        std::string(to_string(request.goal)),
        "--toplevel",
        request.toplevel.absolute(),
    };
    if (request.rollback.keep_on_failed_units)
        argv.push_back("--keep-failed-units");
    if (!request.rollback.enable)
        argv.push_back("--no-rollback");
    return argv;
}

SystemdActivationUnit::SystemdActivationUnit(std::filesystem::path state_dir) : state_dir_(std::move(state_dir)) {}

void SystemdActivationUnit::start(const ActivationRequest& request) {
    if (unit_is_there())
        throw Error(fmt::format("another activation runs in {}.service on this node", activation_unit));
    // Only the newest activation's files are of use.
    std::filesystem::remove_all(state_dir_ / "activation");
    std::filesystem::create_directories(state_dir_ / "activation");
    const char* path = std::getenv("PATH");
    const Command command{.argv = activation_command(request, std::filesystem::read_symlink("/proc/self/exe"),
                                                     state_dir_, path == nullptr ? "" : path),
                          .extra_environment = {}};
    try {
        const auto result = run(command, within(systemd_run_timeout));
        if (!result.status.success())
            throw Error(fmt::format("systemd-run failed with {}: {}", result.status.to_string(), result.err_tail));
    } catch (const TimedOut&) {
        // systemd may start it yet, or has: then we wait for its end like for any other.
        if (!unit_is_there())
            throw;
    }
}

std::optional<ActivationReport> SystemdActivationUnit::await(const protocol::DeploymentId& id, Time started,
                                                             const std::function<void(std::string_view)>& on_line,
                                                             const Interrupt& interrupt) {
    const auto file = result_file(state_dir_, id);
    std::filesystem::create_directories(file.parent_path());
    const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch || ::inotify_add_watch(watch.get(), file.parent_path().c_str(), IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
        throw SystemError(fmt::format("watching {}", file.parent_path().string()));

    OutputFilter filter(id, on_line);
    LineSplitter lines([&](std::string_view line) { filter.line(line); });
    auto journal = follow_journal(started);
    bool unit_gone = false;
    std::optional<std::string> result;
    auto next_check = deadline_in(1s); // a restarted agent finds out soon whether there is anything to wait for
    while (true) {
        result = read_file_if_exists(file, max_report_bytes);
        if (result || unit_gone) // gone before we looked for the file: there will be none
            break;
        if (std::chrono::steady_clock::now() >= next_check) {
            unit_gone = !unit_is_there();
            next_check = deadline_in(life_line_interval);
            continue;
        }
        std::array<pollfd, 3> fds{
            {{.fd = interrupt.fd(), .events = POLLIN, .revents = 0},
             {.fd = watch.get(), .events = POLLIN, .revents = 0},
             {.fd = journal ? journal->stdout_pipe().get() : -1, .events = POLLIN, .revents = 0}}};
        if (::poll(fds.data(), fds.size(), poll_timeout_ms(next_check)) < 0 && errno != EINTR)
            throw SystemError("waiting for the activation");
        interrupt.check();
        std::array<std::byte, 16 << 10> buffer;
        if (fds[1].revents != 0) {
            while (::read(watch.get(), buffer.data(), buffer.size()) > 0) {
            }
        }
        if (fds[2].revents != 0) {
            const auto size = ::read(journal->stdout_pipe().get(), buffer.data(), buffer.size());
            if (size > 0)
                lines.feed(as_text(std::span<const std::byte>(buffer.data(), static_cast<size_t>(size))));
            else
                journal.reset(); // journalctl ended: the whole is read at the end
        }
    }
    journal.reset();
    read_rest_of_output(started, filter, interrupt);
    if (!result)
        return std::nullopt;
    return parse_report(*result, file.string());
}

} // namespace waggle::agent
