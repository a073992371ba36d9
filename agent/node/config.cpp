#include "agent/node/config.hpp"

#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/name.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace waggle::agent {

namespace {

constexpr auto agent_unit_file = "/etc/systemd/system/waggle-agent.service";
constexpr auto default_state_dir = "/var/lib/waggle-agent";

constexpr size_t max_config_bytes = 1 << 20;
constexpr size_t max_unit_bytes = 1 << 20;
constexpr size_t max_listen = 64;
constexpr size_t max_paths = 256;

std::string name_field(protocol::Fields& fields, std::string_view key) {
    auto name = fields.string(key, 64);
    if (!protocol::is_name(name))
        fields.fail(key, fmt::format("\"{}\" is not a name (letters, digits, '.', '_', '-')", name));
    return name;
}

std::filesystem::path path_field(protocol::Fields& fields, std::string_view key) {
    std::filesystem::path path = fields.string(key);
    if (!path.is_absolute())
        fields.fail(key, "must be an absolute path");
    return path;
}

std::vector<std::string> paths_field(protocol::Fields& fields, std::string_view key) {
    std::vector<std::string> paths;
    if (!fields.has(key))
        return paths;
    for (const auto& item : fields.array(key, max_paths)) {
        if (!item.is_string() || !item.get_ref<const std::string&>().starts_with('/'))
            fields.fail(key, "must be a list of absolute paths");
        paths.push_back(item.get<std::string>());
    }
    return paths;
}

Config::Settings parse_settings(const protocol::Json& json, std::string_view name) {
    Config::Settings settings;
    protocol::Fields fields(json, fmt::format("{}: settings", name));
    if (fields.has("logLevel"))
        settings.log_level = fields.string("logLevel", 16);
    if (fields.has("maxConnections"))
        settings.max_connections = static_cast<size_t>(fields.integer("maxConnections", 1, 4096));
    if (fields.has("maxConnectionsPerAddress"))
        settings.max_connections_per_address = static_cast<size_t>(fields.integer("maxConnectionsPerAddress", 1, 4096));
    if (fields.has("storeTimeout"))
        settings.store_timeout = std::chrono::seconds(fields.integer("storeTimeout", 1, 86'400));
    fields.end();
    return settings;
}

} // namespace

Config parse_config(std::string_view text, std::string_view name_for_errors) {
    const auto json = protocol::parse_json(text, name_for_errors);
    protocol::Fields fields(json, name_for_errors);
    Config config;
    if (const auto version = fields.integer("v"); version != 1)
        fields.fail("v", fmt::format("is {}, this agent reads version 1", version));
    config.hive = name_field(fields, "hive");
    config.node = name_field(fields, "node");
    config.system = fields.string("system", 64);
    for (const auto& item : fields.array("listen", max_listen)) {
        if (!item.is_string())
            fields.fail("listen", "must be a list of addresses and interface names");
        config.listen.push_back(item.get<std::string>());
    }
    if (config.listen.empty())
        fields.fail("listen", "is empty: the agent would listen nowhere");
    config.port = static_cast<std::uint16_t>(fields.integer("port", 1, 65535));
    for (const auto& item : fields.array("operators", max_operators)) {
        if (!item.is_string())
            fields.fail("operators", "must be a list of public keys");
        try {
            config.operators.push_back(ssh::PublicKey::parse(item.get<std::string>()));
        } catch (const ssh::BadKey& error) {
            fields.fail("operators", error.what());
        }
    }
    if (config.operators.empty())
        fields.fail("operators", "is empty: no operator could deploy to this node");
    config.identity_file = path_field(fields, "identityFile");
    config.generate_identity = fields.boolean("generateIdentity");
    config.state_dir = path_field(fields, "stateDir");
    if (fields.has("keep") && !fields.is_null("keep"))
        config.keep_generations = static_cast<size_t>(fields.integer("keep", 1, 1'000'000));
    for (auto& file : paths_field(fields, "oldIdentityFiles"))
        config.old_identity_files.emplace_back(std::move(file));
    config.secret_mounts = paths_field(fields, "secretMounts");
    config.settings = parse_settings(fields.object("settings"), name_for_errors);
    fields.end();
    return config;
}

Config load_config(const std::filesystem::path& file) {
    return parse_config(read_file(file, max_config_bytes), file.string());
}

NextAgent parse_next_agent(std::string_view text, std::string_view name_for_errors) {
    const auto json = protocol::parse_json(text, name_for_errors);
    protocol::Fields fields(json, name_for_errors);
    NextAgent agent;
    for (const auto& item : fields.array("operators", max_operators)) {
        try {
            if (item.is_string())
                agent.operators.push_back(ssh::PublicKey::parse(item.get_ref<const std::string&>()));
        } catch (const ssh::BadKey&) {
            continue;
        }
    }
    if (fields.has("stateDir"))
        agent.state_dir = fields.string("stateDir");
    return agent;
}

std::optional<std::filesystem::path> config_of_unit(const std::filesystem::path& unit_file) {
    constexpr std::string_view option = "--config ";
    const auto unit = read_file_if_exists(unit_file, max_unit_bytes);
    if (!unit)
        return std::nullopt;
    const auto start = unit->find(option);
    if (start == std::string::npos)
        return std::nullopt;
    const auto from = start + option.size();
    return unit->substr(from, unit->find_first_of(" \n", from) - from);
}

std::optional<NextAgent> agent_in_system(const std::filesystem::path& toplevel) {
    const auto unit_file = toplevel / "etc/systemd/system/waggle-agent.service";
    if (read_file_if_exists(unit_file, max_unit_bytes).value_or("").empty()) // a masked unit is a link to /dev/null
        return std::nullopt;
    const auto file = config_of_unit(unit_file).value_or(toplevel / "waggle-agent.json");
    return parse_next_agent(read_file(file, max_config_bytes), file.string());
}

std::optional<std::filesystem::path> config_of_unit() {
    return config_of_unit(agent_unit_file);
}

std::filesystem::path find_state_dir(const std::optional<std::filesystem::path>& given) {
    if (given)
        return *given;
    const auto config = config_of_unit();
    return config ? load_config(*config).state_dir : std::filesystem::path(default_state_dir);
}

} // namespace waggle::agent
