#pragma once

#include "shared/base/time.hpp"
#include "shared/protocol/json.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

// Messages of a session (shared/protocol/messages.hpp) about the secrets on a node.

// trigger → agent: how are the secrets? Answered by SecretsReport; never with their content.
struct GetSecrets {
    static GetSecrets from(Fields& fields);
};
Json to_json(const GetSecrets&);
struct SecretStatus {
    enum class State {
        in_place,  // content, owner and mode are those of the bundle
        missing,   // no such file
        differs,   // somebody changed its content, owner or mode
        waits,     // for its file system, or for its user or group to exist
        unreadable // another kind of file, or an error
    };
    std::string name;
    std::string path;
    State state = State::in_place;
    std::string owner;           // as on disk, "user:group"; empty when it is missing
    std::string mode;            // as on disk, "0400"
    std::optional<Time> written; // the file
    std::optional<Time> changed; // when a deployment brought this content; a reboot writes the file again, this stays
    std::string note;            // a sentence for what is not in place
};
struct SecretsReport {
    std::int64_t sequence = 0; // of the deployment that brought the bundle; 0: there is none
    std::string problem;       // a sentence when the bundle in the state directory cannot be used; empty: well
    std::vector<SecretStatus> secrets;

    static SecretsReport from(Fields& fields);
};
Json to_json(const SecretsReport& report);
std::string_view to_string(SecretStatus::State state); // "in-place", "missing", …
inline constexpr size_t max_reported_secrets = 500;

} // namespace waggle::protocol
