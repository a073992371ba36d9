#include "agent/activation/switch_inhibitors.hpp"

#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <map>
#include <vector>

namespace waggle::agent {

namespace {

constexpr size_t max_inhibitors_bytes = 1 << 20;

std::map<std::string, std::string> inhibitors_of(const std::filesystem::path& system) {
    const auto file = system / "switch-inhibitors";
    std::map<std::string, std::string> inhibitors;
    const auto text = read_file_if_exists(file, max_inhibitors_bytes);
    if (!text)
        return inhibitors;
    const auto json = protocol::parse_json(*text, file.string());
    for (const auto& [name, value] : json.items())
        inhibitors.emplace(name, value.is_string() ? value.get<std::string>() : value.dump());
    return inhibitors;
}

} // namespace

std::string describe_changed_inhibitors(const std::filesystem::path& running, const std::filesystem::path& next) {
    const auto before = inhibitors_of(running);
    std::vector<std::string> changed;
    for (const auto& [name, value] : inhibitors_of(next))
        if (const auto found = before.find(name); found != before.end() && found->second != value)
            changed.push_back(fmt::format("{} ({}, then {})", name, found->second, value));
    return fmt::format("{}", fmt::join(changed, ", "));
}

} // namespace waggle::agent
