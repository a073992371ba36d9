#pragma once

#include "shared/base/time.hpp"
#include "shared/ssh/key.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::ssh {

// The ssh-agent cannot be reached, or does not do what was requested; one sentence.
class AgentError : public Error {
public:
    using Error::Error;
};

// The keys that a running ssh-agent holds.
struct AgentKeys {
    struct Entry {
        PublicKey key;
        std::string comment;
    };
    std::vector<Entry> ed25519;
    std::vector<std::string> other_types; // "an RSA key (ssh-rsa)", for the error message
};

// These read the body of SSH_AGENT_IDENTITIES_ANSWER and SSH_AGENT_SIGN_RESPONSE (draft-miller-ssh-agent). They throw
// BadWire and BadKey.
AgentKeys parse_agent_keys(std::string_view answer);
std::array<std::uint8_t, 64> parse_agent_signature(std::string_view answer);

// A client of the ssh-agent that listens on a Unix socket. Each request uses a connection of its own.
class Agent {
public:
    explicit Agent(std::filesystem::path socket) : socket_(std::move(socket)) {}

    // Throws AgentError.
    AgentKeys keys(Deadline deadline) const;
    // Throws AgentError, also if the agent refuses because it does not hold the key or holds it with a restriction.
    std::array<std::uint8_t, 64> sign(const PublicKey& key, std::string_view message, Deadline deadline) const;

private:
    std::string ask(std::string_view question, Deadline deadline) const;

    std::filesystem::path socket_;
};

// A key that an ssh-agent holds.
class AgentKey : public Signer {
public:
    AgentKey(Agent agent, const PublicKey& key) : agent_(std::move(agent)), key_(key) {}

    PublicKey public_key() const override { return key_; }
    std::array<std::uint8_t, 64> sign(std::string_view message) const override;

private:
    Agent agent_;
    PublicKey key_;
};

} // namespace waggle::ssh
