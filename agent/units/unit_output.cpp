#include "agent/units/unit_output.hpp"

#include "agent/node/unit_names.hpp"
#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <span>
#include <string_view>
#include <utility>

namespace waggle::agent {

namespace {

using namespace std::chrono_literals;

constexpr auto journal_timeout = 30s;
constexpr auto journal_lag = 2s;   // from the unit's end to its last line in the journal, on a busy machine
constexpr auto clock_slack = 300s; // a clock that is set in between must not hide the first line
constexpr size_t max_journal_bytes = 16 << 20;

// The earliest time at which the first line to be forwarded may have been written.
Time began(const DeploymentRecord& record) {
    for (const auto& entry : record.state_log)
        if (entry.state == protocol::DeploymentState::activating)
            return entry.at - clock_slack; // the marks in the output select exactly
    return record.since;
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
        seen_end_ = false;
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

UnitOutput::UnitOutput(const DeploymentRecord& record, const std::function<void(std::string_view)>& on_line)
    : since_(began(record)), filter_(record.id, on_line),
      lines_([this](std::string_view line) { filter_.line(line); }) {
    try {
        follower_.emplace(journal_command(true), Child::Streams{.pipe_stdout = true});
    } catch (const Error& error) {
        spdlog::warn("the activation's output cannot be followed: {}", error.what());
    }
}

// Any local user can write to the journal under any identifier, but journald itself sets _SYSTEMD_UNIT and _UID.
std::vector<std::string> read_output(Time since, bool follow) {
    std::vector<std::string> argv{"journalctl",
                                  "--quiet",
                                  "--output=cat",
                                  "--all",
                                  "--no-pager",
                                  fmt::format("--identifier={}", output_identifier),
                                  fmt::format("--since=@{}", unix_ms(since) / 1000)};
    if (follow)
        // --merge: otherwise journalctl follows this boot only, whose ID may be wrong in a sandbox in a container.
        argv.insert(argv.end(), {"--follow", "--no-tail", "--merge"});
    argv.emplace_back("_UID=0");
    for (const auto unit : transient_unit_names) // any of them matches
        argv.push_back(fmt::format("_SYSTEMD_UNIT={}.service", unit));
    return argv;
}

Command UnitOutput::journal_command(bool follow) const {
    return {.argv = read_output(since_, follow), .extra_environment = {}};
}

int UnitOutput::fd() {
    return follower_ ? follower_->stdout_pipe().get() : -1;
}

void UnitOutput::read_some() {
    std::array<std::byte, 16 << 10> buffer;
    const auto size = ::read(fd(), buffer.data(), buffer.size());
    if (size > 0)
        lines_.feed(as_text(std::span<const std::byte>(buffer.data(), static_cast<size_t>(size))));
    else
        follower_.reset(); // journalctl has ended; read_rest() reads the whole journal
}

void UnitOutput::read_whole_journal() {
    try {
        RunOptions options;
        options.deadline = deadline_in(journal_timeout);
        options.max_stdout_bytes = max_journal_bytes;
        const auto result = run(journal_command(false), options);
        filter_.restart();
        LineSplitter lines([&](std::string_view line) { filter_.line(line); });
        lines.feed(result.out);
    } catch (const Error& error) {
        spdlog::warn("the end of the activation's output was not read: {}", error.what());
    }
}

void UnitOutput::read_rest(const Interrupt& interrupt) {
    follower_.reset();
    const auto give_up = deadline_in(journal_lag);
    for (auto pause = 50ms;; pause *= 2) {
        read_whole_journal();
        if (filter_.seen_end() || std::chrono::steady_clock::now() + pause > give_up)
            return;
        interrupt.wait(pause);
    }
}

} // namespace waggle::agent
