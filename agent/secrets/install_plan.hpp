#pragma once

#include "agent/secrets/accounts.hpp"
#include "shared/protocol/secret_bundle.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::agent {

// The stages that install secrets; docs/explanation/secrets.md says when each one runs.
enum class SecretStage {
    for_users,         // activation snippet before users are created: those with neededForUsers
    owners,            // activation snippet after users and groups were created: those that wait for an owner
    boot,              // early unit: all on mounted file systems
    mount,             // a file system was mounted: all on it
    one,               // a unit waits for this one
    before_activation, // of a deployment: those with uploadAt = "pre-activation"
    after_activation,  // all
};

// What the stage allows.
struct StageRules {
    bool unknown_owner_waits; // the file is root's alone meanwhile; otherwise it is an error
    bool all_or_nothing;      // one failure prevents the others; otherwise each secret is independent
    bool removes;             // files that the bundle no longer has
};
StageRules rules_of(SecretStage stage);

struct StageScope {
    SecretStage stage = SecretStage::boot;
    std::string mount;                      // of stage mount
    std::string name;                       // of stage one
    std::vector<std::string> absent_mounts; // mount points without a mounted file system; secrets below them wait
};

bool is_below(std::string_view path, std::string_view folder);
// The absent mount point that the path is below, if any.
std::optional<std::string> waits_for_mount(std::string_view path, const std::vector<std::string>& absent_mounts);
bool is_of_stage(const protocol::SecretFile& file, const StageScope& scope);

// The file's owner and mode: those in the hive, or, while that owner does not exist, accessible only to the user that
// installs secrets, root.
struct Ownership {
    uid_t user = ::geteuid();
    gid_t group = ::getegid();
    mode_t mode = 0400;
    std::string missing; // what does not exist: "user nginx", "group web"; empty: owner and mode are those in the hive
};
Ownership ownership_of(const protocol::SecretFile& file, const Accounts& accounts);

} // namespace waggle::agent
