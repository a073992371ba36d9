#include "agent/secrets/install_plan.hpp"

#include "shared/base/enum_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace waggle::agent {

using protocol::UploadAt;

namespace {

struct StageRow {
    SecretStage stage;
    StageRules rules;
};
constexpr std::array stages = {
    StageRow{SecretStage::for_users, {.unknown_owner_waits = true, .all_or_nothing = false, .removes = false}},
    StageRow{SecretStage::owners, {.unknown_owner_waits = true, .all_or_nothing = false, .removes = false}},
    StageRow{SecretStage::boot, {.unknown_owner_waits = true, .all_or_nothing = false, .removes = true}},
    StageRow{SecretStage::mount, {.unknown_owner_waits = true, .all_or_nothing = false, .removes = true}},
    StageRow{SecretStage::one, {.unknown_owner_waits = true, .all_or_nothing = false, .removes = false}},
    StageRow{SecretStage::before_activation, {.unknown_owner_waits = true, .all_or_nothing = true, .removes = false}},
    StageRow{SecretStage::after_activation, {.unknown_owner_waits = false, .all_or_nothing = true, .removes = true}},
};
static_assert(has_each_once(stages, &StageRow::stage, SecretStage::after_activation));

} // namespace

StageRules rules_of(SecretStage stage) {
    return row_of(stages, &StageRow::stage, stage).rules;
}

bool is_below(std::string_view path, std::string_view folder) {
    if (folder == "/")
        return true;
    return path.starts_with(folder) && path.size() > folder.size() && path[folder.size()] == '/';
}

std::optional<std::string> waits_for_mount(std::string_view path, const std::vector<std::string>& absent_mounts) {
    const auto found = std::ranges::find_if(absent_mounts, [&](const auto& mount) { return is_below(path, mount); });
    return found == absent_mounts.end() ? std::nullopt : std::optional(*found);
}

bool is_of_stage(const protocol::SecretFile& file, const StageScope& scope) {
    switch (scope.stage) {
    case SecretStage::for_users: return file.needed_for_users;
    case SecretStage::owners:
    case SecretStage::before_activation: return file.upload_at == UploadAt::pre_activation;
    case SecretStage::mount: return is_below(file.path, scope.mount);
    case SecretStage::one: return file.name == scope.name;
    case SecretStage::boot:
    case SecretStage::after_activation: return true;
    }
    return false;
}

Ownership ownership_of(const protocol::SecretFile& file, const Accounts& accounts) {
    const auto user = accounts.user(file.user);
    if (!user)
        return {.missing = fmt::format("user {}", file.user)};
    const auto group = accounts.group(file.group);
    if (!group)
        return {.missing = fmt::format("group {}", file.group)};
    return {.user = *user, .group = *group, .mode = file.permissions, .missing = {}};
}

} // namespace waggle::agent
