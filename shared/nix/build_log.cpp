#include "shared/nix/build_log.hpp"

#include "shared/nix/plain_text.hpp"
#include "shared/nix/store_path.hpp"

#include <algorithm>

namespace waggle::nix {

namespace {

// libutil/logging.hh
constexpr std::uint64_t level_info = 3;
constexpr std::uint64_t activity_build = 105;
constexpr std::uint64_t result_build_log_line = 101;
constexpr std::uint64_t result_post_build_log_line = 107;

constexpr size_t max_builders = 4096; // at a time; a machine has fewer cores
constexpr size_t max_line_bytes = 16 << 10;
constexpr size_t max_errors_bytes = 12 << 10;

std::string builder_of(const std::vector<std::string>& fields) {
    try {
        std::string name(StorePath::parse_absolute(fields.empty() ? "" : fields.front()).name());
        if (name.ends_with(".drv"))
            name.resize(name.size() - 4);
        return name + "> ";
    } catch (const BadStorePath&) {
        return "";
    }
}

} // namespace

void BuildLog::show(std::string_view prefix, std::string_view text) const {
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        on_line_(std::string(prefix).append(text.substr(0, end)));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

void BuildLog::said(std::string_view text) {
    if (!text.starts_with("error:"))
        return show("", text);
    if (errors_.size() + text.size() < max_errors_bytes)
        errors_.append(text).append("\n");
}

void BuildLog::begins(std::uint64_t id, std::uint64_t level, std::uint64_t type, std::string_view text,
                      const std::vector<std::string>& fields) {
    if (type == activity_build && builders_.size() < max_builders)
        builders_.emplace(id, builder_of(fields));
    if (level <= level_info)
        show("", text);
}

void BuildLog::result(std::uint64_t id, std::uint64_t type, const std::vector<std::string>& fields) {
    if ((type != result_build_log_line && type != result_post_build_log_line) || fields.empty())
        return;
    const auto builder = builders_.find(id);
    const std::string line = plain_text(fields.front(), max_line_bytes);
    show(builder == builders_.end() ? "" : builder->second, line.empty() ? " " : line);
}

} // namespace waggle::nix
