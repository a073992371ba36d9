#include "shared/base/log.hpp"

#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace waggle {

namespace {

// sd-daemon(3): "<N>" at the beginning of a line is its syslog priority.
class JournalPriority : public spdlog::custom_flag_formatter {
public:
    void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& out) override {
        std::string_view prefix = "<6>";
        if (message.level >= spdlog::level::err)
            prefix = "<3>";
        else if (message.level == spdlog::level::warn)
            prefix = "<4>";
        else if (message.level <= spdlog::level::debug)
            prefix = "<7>";
        out.append(prefix.data(), prefix.data() + prefix.size());
    }
    std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<JournalPriority>(); }
};

} // namespace

void set_up_log(std::string_view level) {
    auto parsed = spdlog::level::from_str(std::string(level));
    if (parsed == spdlog::level::off && level != "off")
        throw Error(fmt::format("\"{}\" is not a log level; use trace, debug, info, warning, error or off", level));

    auto logger = std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    bool to_journal = std::getenv("JOURNAL_STREAM") != nullptr;
    formatter->add_flag<JournalPriority>('*').set_pattern(to_journal ? "%*%v" : "%Y-%m-%dT%H:%M:%S.%e %l: %v");
    logger->set_formatter(std::move(formatter));
    logger->set_level(parsed);
    spdlog::set_default_logger(std::move(logger));
}

} // namespace waggle
