#include "agent/units/transient_units.hpp"

#include "agent/node/host.hpp"
#include "agent/node/systemd.hpp"
#include "agent/node/unit_names.hpp"
#include "agent/units/sandbox.hpp"
#include "agent/units/unit_output.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/process.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <utility>

namespace waggle::agent {

namespace {

using namespace std::chrono_literals;

constexpr auto systemd_run_timeout = 60s;
constexpr auto first_look = 1s;       // a restarted agent soon learns whether a unit is still running
constexpr auto look_interval = 30s;   // the state file wakes us; this only finds units that died without writing it
constexpr auto activation_slack = 1h; // for a rollback within the same unit

std::string service(std::string_view unit) {
    return fmt::format("{}.service", unit);
}

std::string timer(std::string_view unit) {
    return fmt::format("{}.timer", unit);
}

bool any_is_alive(const std::vector<std::string>& units) {
    try {
        return std::ranges::any_of(unit_states(units), &UnitState::is_running);
    } catch (const Error& error) {
        // A busy systemd does not answer, so the units may be alive.
        spdlog::warn("it is unknown whether {} are running: {}", fmt::join(units, ", "), error.what());
        return true;
    }
}

bool working() {
    return any_is_alive({service(activation_unit), service(commit_unit), service(recovery_unit),
                         service(activation_timer_unit), service(confirmation_timer_unit)});
}

void start(const UnitSpec& words) {
    const char* path = std::getenv("PATH");
    const Command command{.argv = systemd_run_command(words, path == nullptr ? "" : path), .extra_environment = {}};
    RunOptions options;
    options.deadline = deadline_in(systemd_run_timeout);
    const auto result = run(command, options);
    if (!result.status.success())
        throw Error(fmt::format("systemd-run of {} failed with {}: {}", words.unit, result.status.to_string(),
                                result.err_tail));
}

std::string property(std::string_view name, std::string_view value) {
    return fmt::format("--property={}={}", name, value);
}

std::vector<std::string> subcommand(std::string_view agent, std::string_view name,
                                    const std::filesystem::path& state_dir, const DeploymentRecord& record) {
    return {std::string(agent), std::string(name), "--state-dir", state_dir.string(), "--id", record.id.to_string()};
}

// Makes systemd resume at once what a unit that dies leaves behind.
std::string take_up_afterwards(std::string_view agent, const std::filesystem::path& state_dir,
                               const DeploymentRecord& record) {
    return property("ExecStopPost",
                    fmt::format("{} take-up --state-dir {} --id {}", agent, state_dir.string(), record.id.to_string()));
}

} // namespace

UnitSpec activation_spec(const DeploymentRecord& record, const std::filesystem::path& state_dir) {
    const auto limit = record.rollback.activation_timeout + activation_slack;
    return {.unit = std::string(activation_unit),
            .description = record.secrets_only ? std::string("Waggle replaces the secrets of this node")
                                               : fmt::format("Waggle activates {}", record.toplevel->base_name()),
            .options = {property("RuntimeMaxSec", fmt::format("{}", std::chrono::seconds(limit).count())),
                        take_up_afterwards(record.agent, state_dir, record)},
            .command = subcommand(record.agent, "activate", state_dir, record)};
}

UnitSpec commit_spec(const DeploymentRecord& record, const std::filesystem::path& state_dir, std::string_view agent) {
    return {.unit = std::string(commit_unit),
            .description = fmt::format("Waggle keeps {}", record.toplevel->base_name()),
            .options = {take_up_afterwards(agent, state_dir, record)},
            .command = subcommand(agent, "commit", state_dir, record)};
}

UnitSpec recovery_spec(const DeploymentRecord& record, const std::filesystem::path& state_dir, RecoveryCause caller) {
    UnitSpec words{.unit = std::string(recovery_unit),
                   .description = "Waggle: roll back to the previous system",
                   .options = {property("Restart", "on-failure"), property("RestartSec", "1s"),
                               property("StartLimitIntervalSec", "0")},
                   .command = subcommand(record.agent, "rollback", state_dir, record)};
    words.command.insert(words.command.end(), {"--automatic", std::string(to_string(caller))});
    if (caller != RecoveryCause::activation_timer && caller != RecoveryCause::confirm_timer)
        return words;
    const bool activation = caller == RecoveryCause::activation_timer;
    words.unit = activation ? activation_timer_unit : confirmation_timer_unit;
    const auto delay = activation ? record.rollback.activation_timeout : record.rollback.confirm_timeout;
    for (const auto& option :
         {fmt::format("--on-active={}s", delay.count()), std::string("--timer-property=AccuracySec=1s"),
          std::string("--timer-property=DefaultDependencies=no"), std::string("--timer-property=IgnoreOnIsolate=yes"),
          std::string("--timer-property=CollectMode=inactive-or-failed")})
        words.options.push_back(option);
    return words;
}

std::vector<std::string> systemd_run_command(const UnitSpec& words, std::string_view path_variable) {
    std::vector<std::string> argv{
        "systemd-run",
        "--quiet",
        fmt::format("--unit={}", words.unit),
        fmt::format("--description={}", words.description),
        "--service-type=exec",
        fmt::format("--setenv=PATH={}", path_variable),
        "--setenv=HOME=/root",                 // nix-env needs it
        property("DefaultDependencies", "no"), // emergency.target must not stop it
        property("IgnoreOnIsolate", "yes"),
        property("CollectMode", "inactive-or-failed"), // frees the name, however the unit ends
        property("SyslogIdentifier", output_identifier),
    };
    // Secrets pass through these units.
    std::ranges::copy(sandbox_options(UnitPurpose::change_system), std::back_inserter(argv));
    argv.insert(argv.end(), words.options.begin(), words.options.end());
    argv.emplace_back("--");
    argv.insert(argv.end(), words.command.begin(), words.command.end());
    return argv;
}

SystemdUnits::SystemdUnits(std::filesystem::path state_dir) : state_dir_(std::move(state_dir)) {}

void SystemdUnits::arm_activation_timer(const DeploymentRecord& record) {
    disarm_activation_timer(); // this frees its name
    start(recovery_spec(record, state_dir_, RecoveryCause::activation_timer));
}

void SystemdUnits::arm_confirmation_timer(const DeploymentRecord& record) {
    stop_unit(timer(confirmation_timer_unit)); // left by an earlier attempt that was interrupted
    start(recovery_spec(record, state_dir_, RecoveryCause::confirm_timer));
}

void SystemdUnits::disarm_activation_timer() {
    stop_unit(timer(activation_timer_unit));
}

void SystemdUnits::disarm() {
    std::exception_ptr failure;
    for (const auto name : {activation_timer_unit, confirmation_timer_unit}) {
        try {
            stop_unit(timer(name)); // usually, at most one of them exists
        } catch (const std::exception&) {
            failure = std::current_exception();
        }
    }
    if (failure)
        std::rethrow_exception(failure);
}

void SystemdUnits::start_activation(const DeploymentRecord& record) {
    try {
        start(activation_spec(record, state_dir_));
    } catch (const TimedOut&) {
        // systemd may still start the unit, or has started it. If so, wait for its end like for any other unit.
        if (!any_is_alive({service(activation_unit)}))
            throw;
    }
}

void SystemdUnits::start_commit(const DeploymentRecord& record) {
    start(commit_spec(record, state_dir_, own_program()));
}

void SystemdUnits::start_recovery(const DeploymentRecord& record, RecoveryCause caller) {
    auto words = recovery_spec(record, state_dir_, caller);
    if (caller == RecoveryCause::boot_watch)
        words.command.front() = own_program(); // a deployment that activated nothing has no agent in its record
    start(words);
}

void SystemdUnits::kill_activation() {
    if (kill_unit(service(activation_unit)))
        stop_unit(service(activation_unit));
}

void SystemdUnits::watch(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line,
                         const Look& look, const Interrupt& interrupt) {
    const Fd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!changes || ::inotify_add_watch(changes.get(), state_dir_.c_str(), IN_MOVED_TO) < 0)
        throw SystemError(fmt::format("watching {}", state_dir_.string()));
    UnitOutput output(record, on_line);
    auto next_check = deadline_in(first_look);
    bool at_work = true; // until the first check
    while (!look(at_work)) {
        at_work = true;
        std::array<pollfd, 3> fds{{{.fd = interrupt.fd(), .events = POLLIN, .revents = 0},
                                   {.fd = changes.get(), .events = POLLIN, .revents = 0},
                                   {.fd = output.fd(), .events = POLLIN, .revents = 0}}};
        if (::poll(fds.data(), fds.size(), poll_timeout_ms(next_check)) < 0 && errno != EINTR)
            throw SystemError("waiting for a unit");
        interrupt.check();
        if (fds[1].revents != 0) {
            std::array<std::byte, 4096> buffer;
            while (::read(changes.get(), buffer.data(), buffer.size()) > 0) {
            }
        }
        if (fds[2].revents != 0)
            output.read_some();
        if (std::chrono::steady_clock::now() >= next_check) {
            at_work = working();
            next_check = deadline_in(look_interval);
        }
    }
    output.read_rest(interrupt);
}

} // namespace waggle::agent
