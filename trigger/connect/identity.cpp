#include "trigger/connect/identity.hpp"

#include "shared/base/file.hpp"
#include "shared/ssh/agent.hpp"
#include "trigger/base/home_folder.hpp"
#include "trigger/base/trusted_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace waggle::trigger {

namespace fs = std::filesystem;

namespace {

constexpr size_t max_public_key_bytes = 16 << 10;
constexpr auto agent_time = std::chrono::seconds(5);
constexpr std::string_view how_to_make_one = "make one with `ssh-keygen -t ed25519`, and add its .pub line to "
                                             "services.waggle-agent.operators";

std::string fallback_text(const char* text) {
    return text ? text : "";
}

// Returns the key in a .pub file; nullopt if there is no such file or it is a private key.
std::optional<ssh::PublicKey> read_public_key(const fs::path& file) {
    std::error_code ignored;
    if (!fs::is_regular_file(file, ignored))
        return std::nullopt;
    const std::string text = read_file(file, max_public_key_bytes);
    if (text.starts_with("-----"))
        return std::nullopt;
    try {
        return ssh::PublicKey::parse(text);
    } catch (const ssh::BadKey& error) {
        throw Error(fmt::format("{}: {}", file.string(), error.what()));
    }
}

ssh::AgentKeys keys_of_agent(const IdentityPlaces& places) {
    return ssh::Agent(*places.agent_socket).keys(deadline_in(agent_time));
}

// Returns the key as the agent holds it, after the agent has signed with it.
Identity through_agent(const ssh::AgentKeys::Entry& entry, const IdentityPlaces& places) {
    Identity identity;
    identity.signer = std::make_unique<ssh::AgentKey>(ssh::Agent(*places.agent_socket), entry.key);
    identity.origin = entry.comment.empty() ? "ssh-agent" : fmt::format("ssh-agent ({})", entry.comment);
    // This is no message of another protocol, because those begin with a length or with "SSHSIG".
    identity.signer->sign("waggle: does this agent sign?");
    if (places.came_by_ssh)
        identity.warning =
            "this shell was reached by SSH, so its ssh-agent is probably a forwarded one: root on this machine "
            "can deploy in your name while you are logged in; better make a key here that is used only for "
            "deployments (ssh-keygen -t ed25519 -f ~/.ssh/waggle) and name it with --identity";
    return identity;
}

std::optional<Identity> find_in_agent(const ssh::PublicKey& key, const IdentityPlaces& places) {
    if (!places.agent_socket)
        return std::nullopt;
    for (const auto& entry : keys_of_agent(places).ed25519) {
        if (entry.key == key)
            return through_agent(entry, places);
    }
    return std::nullopt;
}

Identity only_one_of_agent(const fs::path& missing_file, const IdentityPlaces& places) {
    if (!places.agent_socket)
        throw Error(
            fmt::format("there is no operator key {}, and no ssh-agent runs (SSH_AUTH_SOCK is not set): name a key "
                        "with --identity, or {}",
                        missing_file.string(), how_to_make_one));
    const ssh::AgentKeys keys = keys_of_agent(places);
    if (keys.ed25519.size() == 1)
        return through_agent(keys.ed25519.front(), places);
    if (!keys.ed25519.empty()) {
        std::vector<std::string> names;
        for (const auto& entry : keys.ed25519)
            names.push_back(fmt::format("{} {}", entry.key.fingerprint(), entry.comment));
        throw Error(fmt::format("the ssh-agent holds {} Ed25519 keys: name the operator key's .pub file with "
                                "--identity\n    {}",
                                names.size(), fmt::join(names, "\n    ")));
    }
    if (!keys.other_types.empty())
        throw Error(
            fmt::format("there is no operator key {}, and the ssh-agent holds only {}; Waggle takes Ed25519 keys: {}",
                        missing_file.string(), fmt::join(keys.other_types, " and "), how_to_make_one));
    throw Error(
        fmt::format("there is no operator key {}, and the ssh-agent holds no key: name one with --identity, or {}",
                    missing_file.string(), how_to_make_one));
}

std::string why_not_in_agent(const IdentityPlaces& places) {
    return places.agent_socket ? "the ssh-agent does not hold it" : "no ssh-agent runs (SSH_AUTH_SOCK is not set)";
}

} // namespace

IdentityPlaces IdentityPlaces::of_this_process() {
    IdentityPlaces places{.home = home_folder(), .agent_socket = {}, .came_by_ssh = false};
    if (const std::string socket = fallback_text(std::getenv("SSH_AUTH_SOCK")); !socket.empty())
        places.agent_socket = socket;
    places.came_by_ssh = !fallback_text(std::getenv("SSH_CONNECTION")).empty();
    return places;
}

Identity load_identity(const std::optional<fs::path>& named, const IdentityPlaces& places) {
    const fs::path file = named ? *named : places.home / ".ssh" / "id_ed25519";
    std::error_code ignored;
    if (!named && !fs::exists(file, ignored))
        return only_one_of_agent(file, places);

    // A public key, or the path of a private key of which only the public part is here.
    std::optional<ssh::PublicKey> wanted = read_public_key(file);
    if (!wanted && !fs::exists(file, ignored))
        wanted = read_public_key(file.string() + ".pub");
    if (wanted) {
        if (auto identity = find_in_agent(*wanted, places))
            return std::move(*identity);
        throw Error(fmt::format("{} is a public key ({}), and {}: give the private key's file, or add it with ssh-add",
                                file.string(), wanted->fingerprint(), why_not_in_agent(places)));
    }
    if (!fs::exists(file, ignored))
        throw Error(fmt::format("there is no operator key {}; {}", file.string(), how_to_make_one));
    require_private_key_file(file);
    try {
        return {std::make_unique<ssh::PrivateKey>(ssh::PrivateKey::load(file)),
                fmt::format("the file {}", file.string()),
                {}};
    } catch (const ssh::PassphraseNeeded& error) {
        if (auto identity = find_in_agent(error.public_key(), places))
            return std::move(*identity);
        throw Error(fmt::format("{} ({})", error.what(), why_not_in_agent(places)));
    }
}

} // namespace waggle::trigger
