#include "trigger/hive/from_json.hpp"

#include "shared/protocol/name.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <limits>

namespace waggle::trigger {

using protocol::Fields;
using protocol::Json;

namespace {

// hive.nix belongs to this program, so additional fields are not an error.
std::optional<std::string> optional_string(Fields& fields, std::string_view key) {
    if (!fields.has(key) || fields.is_null(key))
        return std::nullopt;
    return fields.string(key);
}

std::vector<std::string> strings(const Json& array, std::string_view what) {
    std::vector<std::string> all;
    for (const Json& item : array) {
        if (!item.is_string())
            throw protocol::BadDocument(fmt::format("{} holds something that is not a string", what));
        all.push_back(item.get<std::string>());
    }
    return all;
}

std::uint16_t port(Fields& fields, std::string_view key) {
    return static_cast<std::uint16_t>(fields.integer(key, 1, std::numeric_limits<std::uint16_t>::max()));
}

std::vector<std::string> string_list(Fields& fields, std::string_view key) {
    constexpr size_t max_items = 1000;
    return strings(fields.array(key, max_items), key);
}

// Returns the ports of an agent: one, or a list.
std::vector<std::uint16_t> ports(Fields& agent) {
    constexpr size_t max_ports = 100;
    if (!agent.at("port").is_array())
        return {port(agent, "port")};
    std::vector<std::uint16_t> all;
    for (const Json& item : agent.array("port", max_ports)) {
        if (!item.is_number_unsigned() || item.get<std::uint64_t>() > std::numeric_limits<std::uint16_t>::max())
            throw protocol::BadDocument("deployment.agent.port holds something that is not a port");
        all.push_back(item.get<std::uint16_t>());
    }
    return all;
}

// Removes the first item of a list and returns it.
template <typename Item>
Item take_first(std::vector<Item>& list, std::string_view what) {
    if (list.empty())
        throw protocol::BadDocument(fmt::format("{} is an empty list", what));
    Item first = std::move(list.front());
    list.erase(list.begin());
    return first;
}

KeySource key_source_from_json(const std::string& name, const Json& json) {
    Fields fields(json, fmt::format("deployment.keys.{}", name));
    KeySource source;
    protocol::SecretFile& file = source.file;
    file.name = name;
    file.path = fields.string("path");
    file.user = fields.string("user");
    file.group = fields.string("group");
    const auto permissions = protocol::parse_permissions(fields.string("permissions"));
    if (!permissions)
        fields.fail("permissions", "is not three octal digits, as in \"0640\"");
    file.permissions = *permissions;
    const auto upload_at = protocol::parse_upload_at(fields.string("uploadAt"));
    if (!upload_at)
        fields.fail("uploadAt", "is neither \"pre-activation\" nor \"post-activation\"");
    file.upload_at = *upload_at;
    file.restart_units = string_list(fields, "restartUnits");
    file.reload_units = string_list(fields, "reloadUnits");
    file.needed_for_users = fields.boolean("neededForUsers");
    source.key_file = optional_string(fields, "keyFile");
    if (!fields.is_null("keyCommand"))
        source.key_command = string_list(fields, "keyCommand");
    source.has_text = fields.boolean("hasText");
    if (json.contains("allowEmpty")) // absent if an older version of Waggle made the flake's hive
        source.allow_empty = fields.boolean("allowEmpty");
    return source;
}

// Returns "" if the node has no agent, and so no name.
std::string waggle_name(Fields& fields, std::string_view key) {
    std::string name = optional_string(fields, key).value_or("");
    if (name.empty())
        return name;
    if (!protocol::is_name(name))
        fields.fail(key, "is not a name that Waggle can use: letters, digits, '.', '_' and '-', at most 64 of them");
    return name;
}

} // namespace

HiveInfo hive_info_from_json(const Json& json) {
    constexpr size_t max_nodes = 100'000;
    Fields fields(json, "the hive");
    Fields meta(fields.object("meta"), "the hive's meta");
    HiveInfo info;
    info.name = meta.string("name");
    info.description = optional_string(meta, "description").value_or("");
    info.allow_apply_all = meta.boolean("allowApplyAll");
    info.machines_file = optional_string(meta, "machinesFile");
    if (meta.has("recoveryRecipients"))
        info.recovery_recipients = string_list(meta, "recoveryRecipients");
    info.nodes = strings(fields.array("nodes", max_nodes), "the hive's list of nodes");
    return info;
}

DeploymentOptions deployment_options_from_json(const Json& json) {
    Fields fields(json, "deployment");
    DeploymentOptions options;
    options.tags = strings(fields.array("tags", 1000), "deployment.tags");
    if (fields.has("targetHost") && !fields.is_null("targetHost")) {
        options.other_hosts = fields.at("targetHost").is_array() ? string_list(fields, "targetHost")
                                                                 : std::vector{fields.string("targetHost")};
        options.target_host = take_first(options.other_hosts, "deployment.targetHost");
    }
    if (!fields.is_null("targetPort"))
        options.target_port = port(fields, "targetPort");
    if (fields.has("agent")) { // absent if the node imports none of our modules
        Fields agent(fields.object("agent"), "deployment.agent");
        options.agent_enable = agent.boolean("enable");
        options.other_ports = ports(agent);
        options.agent_port = take_first(options.other_ports, "deployment.agent.port");
        options.agent_host_key = optional_string(agent, "hostKey");
        options.agent_via_ssh = optional_string(agent, "via") == "ssh";
    }
    if (fields.has("rollback")) {
        Fields rollback(fields.object("rollback"), "deployment.rollback");
        options.rollback.enable = rollback.boolean("enable");
        options.rollback.confirm_timeout = std::chrono::seconds(rollback.integer("confirmTimeout", 1, 86400));
        options.rollback.activation_timeout = std::chrono::seconds(rollback.integer("activationTimeout", 1, 86400));
        options.rollback.keep_on_failed_units = rollback.string("onFailedUnits") == "keep";
    }
    if (fields.has("localContent") && fields.string("localContent") == "exact")
        options.local_content = protocol::LocalContent::exact;
    if (fields.has("replaceUnknownProfiles"))
        options.replace_unknown_profiles = fields.boolean("replaceUnknownProfiles");
    if (fields.has("buildOnTarget"))
        options.build_on_target = fields.boolean("buildOnTarget");
    options.specialisation = optional_string(fields, "specialisation");
    return options;
}

NodeAddress node_address_from_json(const std::string& name, const Json& json) {
    Fields fields(json, fmt::format("node {}", name));
    NodeAddress address{.name = name,
                        .deployment = deployment_options_from_json(fields.object("deployment")),
                        .hive = waggle_name(fields, "hive"),
                        .node = waggle_name(fields, "node"),
                        .system = fields.string("system"),
                        .operators = fields.has("operators") ? strings(fields.array("operators", 1000), "operators")
                                                             : std::vector<std::string>{}};
    if (fields.has("keys"))
        for (const auto& [key, source] : fields.object("keys").items())
            address.deployment.keys.push_back(key_source_from_json(key, source));
    return address;
}

DeployedNode deployed_node_from_json(const std::string& name, const Json& json) {
    Fields fields(json, fmt::format("node {}", name));
    return {node_address_from_json(name, json), fields.boolean("agentEnabled")};
}

EvaluatedNode evaluated_node_from_json(const std::string& name, const Json& json) {
    Fields fields(json, fmt::format("node {}", name));
    return {deployed_node_from_json(name, json), nix::StorePath::parse_absolute(fields.string("drvPath")),
            nix::StorePath::parse_absolute(fields.string("toplevel"))};
}

} // namespace waggle::trigger
