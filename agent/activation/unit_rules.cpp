#include "agent/activation/unit_rules.hpp"

#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"

#include <nlohmann/json.hpp>

namespace waggle::agent {

namespace {

constexpr auto file_name = "waggle-unit-rules.json";
constexpr size_t max_rules_bytes = 1 << 20;
constexpr size_t max_patterns = 1024;
constexpr std::int64_t max_seconds = 3600;

} // namespace

UnitRules load_unit_rules(const nix::StorePath& toplevel) {
    const auto file = toplevel.absolute() + "/" + file_name;
    const auto text = read_file_if_exists(file, max_rules_bytes);
    return text ? parse_unit_rules(*text, file) : UnitRules{};
}

UnitRules parse_unit_rules(std::string_view text, std::string_view name_for_errors) {
    const auto json = protocol::parse_json(text, name_for_errors);
    protocol::Fields fields(json, name_for_errors);
    if (fields.integer("v") != 1)
        fields.fail("v", "must be 1");
    UnitRules rules;
    rules.settle_time = std::chrono::seconds(fields.integer("settleTime", 0, max_seconds));
    for (const auto& pattern : fields.array("ignoreUnits", max_patterns)) {
        if (!pattern.is_string())
            fields.fail("ignoreUnits", "must be a list of patterns");
        rules.ignored.push_back(pattern.get<std::string>());
    }
    fields.end();
    return rules;
}

} // namespace waggle::agent
