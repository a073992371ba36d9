#include "agent/units/health_check.hpp"

#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"
#include "shared/base/time.hpp"
#include "shared/net/http_get.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <poll.h>

#include <algorithm>
#include <filesystem>

namespace waggle::agent {

namespace {

constexpr auto file_name = "waggle-health-checks.json";
constexpr size_t max_checks_bytes = 1 << 20;
constexpr size_t max_checks = 256; // of each kind
constexpr size_t max_words = 1024; // of a command or of headers
constexpr size_t max_word_bytes = 64 << 10;
constexpr std::int64_t max_seconds = 86'400;
constexpr size_t max_output_bytes = 16 << 20; // of one try; more is a failure
constexpr size_t max_reason_bytes = 500;

void read_common(protocol::Fields& fields, HealthCheck& check) {
    const auto seconds = [&](std::string_view key, std::int64_t least) {
        return std::chrono::seconds(fields.integer(key, least, max_seconds));
    };
    check.description = fields.string("description");
    check.period = seconds("period", 0);
    check.timeout = seconds("timeout", 1);
    check.deadline = seconds("deadline", 1);
}

CommandCheck read_command(const protocol::Json& json, std::string_view name) {
    protocol::Fields fields(json, fmt::format("{}: cmd", name));
    CommandCheck check;
    read_common(fields, check);
    for (const auto& word : fields.array("cmd", max_words)) {
        if (!word.is_string() || word.get_ref<const std::string&>().size() > max_word_bytes)
            fields.fail("cmd", "must be a list of words");
        check.command.push_back(word.get<std::string>());
    }
    if (check.command.empty())
        fields.fail("cmd", "is empty");
    fields.end();
    return check;
}

HttpCheck read_http(const protocol::Json& json, std::string_view name) {
    protocol::Fields fields(json, fmt::format("{}: http", name));
    HttpCheck check;
    read_common(fields, check);
    check.url = fields.string("url");
    check.insecure = fields.boolean("insecureSSL");
    const auto& headers = fields.object("headers");
    if (headers.size() > max_words)
        fields.fail("headers", "has too many");
    for (const auto& [header, value] : headers.items()) {
        if (!value.is_string())
            fields.fail("headers", "has a value that is not a string");
        check.headers.emplace_back(header, value.get<std::string>());
    }
    for (const auto& status : fields.array("status", max_words)) {
        if (!status.is_number_integer())
            fields.fail("status", "must be a list of numbers");
        check.statuses.push_back(status.get<int>());
    }
    try {
        net::HttpUrl::parse(check.url);
        for (const auto& [header, value] : check.headers)
            net::require_header(header, value);
    } catch (const Error& error) {
        fields.fail("url", error.what());
    }
    fields.end();
    return check;
}

std::string last_line(std::string_view text) {
    while (!text.empty() && text.back() == '\n')
        text.remove_suffix(1);
    const auto line_break = text.rfind('\n');
    return std::string(text.substr(line_break == text.npos ? 0 : line_break + 1).substr(0, max_reason_bytes));
}

std::string seconds_text(std::chrono::milliseconds time) {
    return fmt::format("{} s", std::chrono::ceil<std::chrono::seconds>(time).count());
}

// Tries the check once. Returns an empty string if it succeeds, otherwise the reason.
std::string try_once(const CommandCheck& check, Deadline deadline, const Interrupt* interrupt) {
    try {
        RunOptions options;
        options.deadline = deadline;
        options.max_stdout_bytes = max_output_bytes;
        options.interrupt = interrupt;
        const auto result = run({.argv = check.command, .extra_environment = {}}, options);
        if (result.status.success())
            return {};
        const auto words = last_line(result.err_tail.empty() ? result.out : result.err_tail);
        return words.empty() ? result.status.to_string() : fmt::format("{}: {}", result.status.to_string(), words);
    } catch (const TimedOut&) {
        return "it did not end in time and was killed";
    }
}

std::string try_once(const HttpCheck& check, Deadline deadline, const Interrupt*) {
    const int status = net::http_status(
        {.url = net::HttpUrl::parse(check.url), .headers = check.headers, .insecure = check.insecure}, deadline);
    if (check.statuses.empty() ? status >= 200 && status < 300
                               : std::ranges::find(check.statuses, status) != check.statuses.end())
        return {};
    return check.statuses.empty() ? fmt::format("status {}", status)
                                  : fmt::format("status {} instead of {}", status, fmt::join(check.statuses, ", "));
}

std::string name_of(const CommandCheck& check) {
    return check.description.empty()
               ? fmt::format("the check `{}`", Command{.argv = check.command, .extra_environment = {}}.to_string())
               : fmt::format("the check \"{}\"", check.description);
}

std::string name_of(const HttpCheck& check) {
    return check.description.empty() ? fmt::format("the check {}", check.url)
                                     : fmt::format("the check \"{}\" ({})", check.description, check.url);
}

void sleep_until(Deadline time, const Interrupt* interrupt) {
    do {
        pollfd entry{.fd = interrupt ? interrupt->fd() : -1, .events = POLLIN, .revents = 0};
        ::poll(&entry, 1, poll_timeout_ms(time));
        if (interrupt)
            interrupt->check();
    } while (std::chrono::steady_clock::now() < time);
}

// Repeats the check until it succeeds or its deadline has passed. Returns an empty string on success.
template <class Check>
std::string run_check(const Check& check, const std::function<void(std::string_view)>& say,
                      const Interrupt* interrupt) {
    const auto name = name_of(check);
    const auto give_up = deadline_in(check.deadline);
    std::string said;
    while (true) {
        std::string reason;
        try {
            reason = try_once(check, std::min(deadline_in(check.timeout), give_up), interrupt);
        } catch (const Interrupted&) {
            throw;
        } catch (const std::exception& error) {
            reason = error.what();
        }
        if (reason.empty()) {
            say(fmt::format("{} holds", name));
            return {};
        }
        if (reason != said)
            say(fmt::format("{} has not passed yet: {}", name, reason));
        said = reason;
        const auto next = deadline_in(check.period);
        if (next >= give_up)
            return fmt::format("{} has failed for {}: {}", name, seconds_text(check.deadline), reason);
        sleep_until(next, interrupt);
    }
}

} // namespace

HealthChecks parse_health_checks(std::string_view text, std::string_view name) {
    const auto json = protocol::parse_json(text, name);
    protocol::Fields fields(json, name);
    if (const auto version = fields.integer("v"); version != 1)
        fields.fail("v", fmt::format("is {}, this agent reads version 1", version));
    HealthChecks checks;
    for (const auto& item : fields.array("cmd", max_checks))
        checks.commands.push_back(read_command(item, name));
    for (const auto& item : fields.array("http", max_checks))
        checks.http.push_back(read_http(item, name));
    fields.end();
    return checks;
}

HealthChecks load_health_checks(const nix::StorePath& toplevel) {
    const auto file = std::filesystem::path(toplevel.absolute()) / file_name;
    const auto text = read_file_if_exists(file, max_checks_bytes);
    return text ? parse_health_checks(*text, file.string()) : HealthChecks{};
}

HealthVerdict run_health_checks(const HealthChecks& checks, const std::function<void(std::string_view)>& say,
                                const Interrupt* interrupt) {
    std::string problem;
    for (const auto& check : checks.commands)
        if (problem.empty())
            problem = run_check(check, say, interrupt);
    for (const auto& check : checks.http)
        if (problem.empty())
            problem = run_check(check, say, interrupt);
    return {.healthy = problem.empty(), .problem = problem};
}

} // namespace waggle::agent
