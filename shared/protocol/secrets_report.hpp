#pragma once

#include "shared/base/time.hpp"
#include "shared/protocol/json.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

// The messages of a session (shared/protocol/messages.hpp) about the secrets on a node.

// trigger → agent: report the status of the secrets. Answered by SecretsReport, which never contains their content.
struct GetSecrets {
    static GetSecrets from(Fields& fields);
};
Json to_json(const GetSecrets&);
struct SecretStatus {
    enum class State {
        in_place,  // content, owner and mode are those of the bundle
        missing,   // no such file
        differs,   // its content, owner or mode was changed
        waits,     // for its file system, or for its user or group to exist
        unreadable // another kind of file, or an error
    };
    std::string name;
    std::string path;
    State state = State::in_place;
    std::string owner;           // as on disk, "user:group"; empty if the file is missing
    std::string mode;            // as on disk, "0400"
    std::optional<Time> written; // when the file was written
    std::optional<Time> changed; // when a deployment brought this content; a reboot rewrites the file, but keeps this
    std::string note;            // a sentence about a secret that is not in place
};
struct SecretsReport {
    std::int64_t sequence = 0; // of the deployment that brought the bundle; 0: there is none
    std::string problem;       // a sentence if the bundle in the state directory cannot be used; otherwise empty
    std::vector<SecretStatus> secrets;

    static SecretsReport from(Fields& fields);
};
Json to_json(const SecretStatus& secret);
Json to_json(const SecretsReport& report);
std::string_view to_string(SecretStatus::State state); // "in-place", "missing", …
inline constexpr size_t max_reported_secrets = 500;

} // namespace waggle::protocol
