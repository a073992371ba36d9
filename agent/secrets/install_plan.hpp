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

// When secrets are installed; docs/secrets.md says which stage is run when.
enum class SecretStage {
    for_users,         // activation snippet before users are made: those with neededForUsers
    owners,            // activation snippet after users and groups were made: those that wait for an owner
    boot,              // early unit: all on file systems that are there
    mount,             // a file system came: all that are on it
    one,               // a unit waits for this one
    before_activation, // of a deployment: those with uploadAt = "pre-activation"
    after_activation,  // all
};

// What the stage allows.
struct StageRules {
    bool unknown_owner_waits; // the file is root's alone meanwhile; else it is an error
    bool all_or_nothing;      // one that fails keeps the others from being written; else each for itself
    bool removes;             // files that the bundle no longer has
};
StageRules rules_of(SecretStage stage);

struct StageScope {
    SecretStage stage = SecretStage::boot;
    std::string mount;                      // of stage mount
    std::string name;                       // of stage one
    std::vector<std::string> absent_mounts; // mount points that nothing is mounted at: what is below them waits
};

bool is_below(std::string_view path, std::string_view folder);
// The absent mount point that the path is below, if there is one.
std::optional<std::string> waits_for_mount(std::string_view path, const std::vector<std::string>& absent_mounts);
bool is_of_stage(const protocol::SecretFile& file, const StageScope& scope);

// Who the file is to belong to, and its mode: as the hive says, or, while its owner does not exist, only for the user
// that installs secrets, root.
struct Ownership {
    uid_t user = ::geteuid();
    gid_t group = ::getegid();
    mode_t mode = 0400;
    std::string missing; // "user nginx", "group web"; empty: as the hive says
};
Ownership ownership_of(const protocol::SecretFile& file, const Accounts& accounts);

} // namespace waggle::agent
