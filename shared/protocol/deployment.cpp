#include "shared/protocol/deployment.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"
#include "shared/protocol/document_fields.hpp"
#include "shared/protocol/enum_field.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/name.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace waggle::protocol {

namespace {

constexpr EnumText<Goal, Goal::upload_keys> goals({{
    {Goal::build, "build"},
    {Goal::push, "push"},
    {Goal::switch_, "switch"},
    {Goal::boot, "boot"},
    {Goal::test, "test"},
    {Goal::dry_activate, "dry-activate"},
    {Goal::upload_keys, "upload-keys"},
}});
constexpr EnumText<Delivery, Delivery::channel> deliveries({{
    {Delivery::session, "session"},
    {Delivery::channel, "channel"},
}});
constexpr EnumText<Reboot, Reboot::if_needed> reboots({{
    {Reboot::never, "never"},
    {Reboot::always, "always"},
    {Reboot::if_needed, "ifNeeded"},
}});
constexpr EnumText<LocalContent, LocalContent::exact> local_contents({{
    {LocalContent::trust_node, "trust-node"},
    {LocalContent::exact, "exact"},
}});
constexpr EnumText<bool, true> failed_units_policies({{{false, "rollback"}, {true, "keep"}}}); // keep_on_failed_units

Json to_json(const Secrets& secrets) {
    if (secrets.keep)
        return {{"keep", true}};
    return {{"replace", true}, {"sha256", to_hex(secrets.sha256)}, {"bytes", secrets.bytes}};
}

Json to_json(const Rollback& rollback) {
    return {{"enable", rollback.enable},
            {"confirmTimeout", rollback.confirm_timeout.count()},
            {"activationTimeout", rollback.activation_timeout.count()},
            {"onFailedUnits", failed_units_policies.to_string(rollback.keep_on_failed_units)}};
}

Secrets read_secrets(Fields& fields) {
    Fields inner(fields.object("secrets"), "deployment, field \"secrets\"");
    Secrets secrets;
    secrets.keep = inner.has("keep");
    std::string_view word = secrets.keep ? "keep" : "replace";
    if (!inner.boolean(word))
        inner.fail(word, "can only be true");
    if (!secrets.keep) {
        secrets.sha256 = inner.digest("sha256");
        secrets.bytes = count(inner, "bytes", max_secret_bundle_bytes);
    }
    inner.end();
    return secrets;
}

Rollback read_rollback(Fields& fields) {
    Fields inner(fields.object("rollback"), "deployment, field \"rollback\"");
    Rollback rollback;
    rollback.enable = inner.boolean("enable");
    rollback.confirm_timeout = std::chrono::seconds{inner.integer("confirmTimeout", 1, max_confirm_timeout.count())};
    rollback.activation_timeout =
        std::chrono::seconds{inner.integer("activationTimeout", 1, max_activation_timeout.count())};
    rollback.keep_on_failed_units = read_enum(inner, "onFailedUnits", failed_units_policies);
    inner.end();
    return rollback;
}

std::optional<GitRevision> read_git(Fields& fields) {
    if (fields.is_null("git"))
        return std::nullopt;
    Fields inner(fields.object("git"), "deployment, field \"git\"");
    GitRevision git;
    git.rev = inner.string("rev");
    if (!from_hex(git.rev) || (git.rev.size() != 40 && git.rev.size() != 64)) // SHA-1 or SHA-256
        inner.fail("rev", "is not a git revision (40 or 64 lower-case hexadecimal digits)");
    git.dirty = inner.boolean("dirty");
    inner.end();
    return git;
}

std::optional<std::string> read_specialisation(Fields& fields) {
    if (fields.is_null("specialisation"))
        return std::nullopt;
    auto name = fields.string("specialisation");
    if (!name.empty() && !is_name(name))
        fields.fail("specialisation", fmt::format("is not the name of one: {}", in_quotes(name)));
    return name;
}

std::vector<BootFile> read_boot_files(Fields& fields) {
    std::vector<BootFile> files;
    for (const auto& item : fields.array("bootFiles", max_boot_files)) {
        Fields file(item, "deployment, field \"bootFiles\"");
        files.push_back({file.string("name"), count(file, "bytes", max_boot_file_bytes)});
        file.end();
    }
    return files;
}

// Checks rules that involve more than one field.
void check_consistency(const Deployment& deployment, const Fields& fields) {
    if (deployment.goal == Goal::build)
        fields.fail("goal", "is \"build\", which a node has no part in");
    const auto goal = to_string(deployment.goal);
    const bool with_closure = has_closure(deployment.goal);
    const auto problem = with_closure ? fmt::format("is null, and the goal {} needs one", goal)
                                      : fmt::format("must be null with the goal {}", goal);
    if (deployment.toplevel.has_value() != with_closure)
        fields.fail("toplevel", problem);
    if (deployment.closure.has_value() != with_closure)
        fields.fail("closure", problem);
    if (deployment.secrets.keep && deployment.goal == Goal::upload_keys)
        fields.fail("secrets", fmt::format("is \"keep\", and the goal {} is to replace them", goal));
    if (!deployment.secrets.keep && !takes_secrets(deployment.goal))
        fields.fail("secrets", fmt::format("is \"replace\", and the goal {} changes nothing", goal));
    if (deployment.expires <= deployment.not_before)
        fields.fail("expires", "is not after \"notBefore\"");
}

template <class T>
const T& require(const std::optional<T>& field, const Deployment& deployment, std::string_view what) {
    if (!field)
        throw Error(fmt::format("a deployment with the goal {} lacks a {}", to_string(deployment.goal), what));
    return *field;
}

} // namespace

std::string_view to_string(Goal goal) {
    return goals.to_string(goal);
}

std::string_view to_string(Reboot reboot) {
    return reboots.to_string(reboot);
}

std::optional<Reboot> parse_reboot(std::string_view text) {
    return reboots.parse(text);
}

std::optional<Goal> parse_goal(std::string_view text) {
    return goals.parse(text);
}

bool activates(Goal goal) {
    return goal != Goal::build && goal != Goal::push && goal != Goal::upload_keys;
}

bool sets_profile(Goal goal) {
    return goal == Goal::switch_ || goal == Goal::boot;
}

bool has_closure(Goal goal) {
    return goal != Goal::upload_keys;
}

bool takes_secrets(Goal goal) {
    return goal == Goal::switch_ || goal == Goal::boot || goal == Goal::test || goal == Goal::upload_keys;
}

const nix::StorePath& Deployment::require_toplevel() const {
    return require(toplevel, *this, "toplevel");
}

const ClosureSummary& Deployment::require_closure() const {
    return require(closure, *this, "closure list");
}

std::string DeploymentId::to_string() const {
    return to_hex(digest);
}

std::string DeploymentId::brief() const {
    return to_string().substr(0, 12);
}

DeploymentId DeploymentId::parse(std::string_view hex) {
    auto bytes = from_hex(hex);
    DeploymentId id;
    if (!bytes || bytes->size() != id.digest.size())
        throw BadDocument(
            fmt::format("{} is not a deployment's id (64 lower-case hexadecimal digits)", in_quotes(hex)));
    std::ranges::copy(*bytes, id.digest.begin());
    return id;
}

std::string to_payload(const Deployment& deployment) {
    Json json = {
        {"v", 1},
        {"type", "deployment"},
        {"hive", deployment.hive},
        {"node", deployment.node},
        {"nodeKeys", to_json(deployment.node_keys)},
        {"system", deployment.system},
        {"goal", to_string(deployment.goal)},
        {"toplevel", nullptr},
        {"closure", nullptr},
        {"secrets", to_json(deployment.secrets)},
        {"sequence", deployment.sequence},
        {"parent", nullptr},
        {"created", to_rfc3339(deployment.created)},
        {"notBefore", to_rfc3339(deployment.not_before)},
        {"expires", to_rfc3339(deployment.expires)},
        {"delivery", deliveries.to_string(deployment.delivery)},
        {"rollback", to_json(deployment.rollback)},
        {"reboot", reboots.to_string(deployment.reboot)},
        {"removeAgent", deployment.remove_agent},
        {"localContent", local_contents.to_string(deployment.local_content)},
        {"retry", deployment.retry},
        {"git", nullptr},
        {"specialisation", nullptr},
        {"bootFiles", Json::array()},
    };
    for (const auto& file : deployment.boot_files)
        json["bootFiles"].push_back({{"name", file.name}, {"bytes", file.bytes}});
    if (deployment.specialisation)
        json["specialisation"] = *deployment.specialisation;
    if (deployment.toplevel)
        json["toplevel"] = deployment.toplevel->absolute();
    if (deployment.closure)
        json["closure"] = to_json(*deployment.closure);
    if (deployment.parent)
        json["parent"] = deployment.parent->to_string();
    if (deployment.reset_state) // agents of the previous version do not know this field
        json["resetState"] = true;
    if (deployment.install_boot_loader) // the same
        json["installBootLoader"] = true;
    if (deployment.git)
        json["git"] = {{"rev", deployment.git->rev}, {"dirty", deployment.git->dirty}};
    return dump_json(json);
}

Deployment parse_deployment(std::string_view payload) {
    if (payload.size() > max_payload_bytes)
        throw BadDocument(fmt::format("deployment: longer than {} bytes", max_payload_bytes));
    auto json = parse_json(payload, "deployment");
    Fields fields(json, "deployment");
    fields.header("deployment", 1);
    Deployment deployment;
    deployment.hive = fields.name("hive");
    deployment.node = fields.name("node");
    deployment.node_keys = read_node_keys(fields);
    deployment.system = read_system(fields);
    deployment.goal = read_enum(fields, "goal", goals);
    if (!fields.is_null("toplevel"))
        deployment.toplevel = read_store_path(fields, "toplevel");
    if (!fields.is_null("closure"))
        deployment.closure = read_closure_summary(fields, "closure", "deployment");
    deployment.secrets = read_secrets(fields);
    deployment.sequence = fields.integer("sequence", 1);
    if (!fields.is_null("parent"))
        deployment.parent = DeploymentId{fields.digest("parent")};
    deployment.created = fields.time("created");
    deployment.not_before = fields.time("notBefore");
    deployment.expires = fields.time("expires");
    deployment.delivery = read_enum(fields, "delivery", deliveries);
    deployment.rollback = read_rollback(fields);
    deployment.reboot = read_enum(fields, "reboot", reboots);
    deployment.remove_agent = fields.boolean("removeAgent");
    deployment.local_content = read_enum(fields, "localContent", local_contents);
    deployment.retry = fields.boolean("retry");
    if (fields.has("resetState"))
        deployment.reset_state = fields.boolean("resetState");
    if (fields.has("installBootLoader"))
        deployment.install_boot_loader = fields.boolean("installBootLoader");
    deployment.git = read_git(fields);
    deployment.specialisation = read_specialisation(fields);
    deployment.boot_files = read_boot_files(fields);
    fields.end();
    check_consistency(deployment, fields);
    return deployment;
}

} // namespace waggle::protocol
