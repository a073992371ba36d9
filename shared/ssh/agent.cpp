#include "shared/ssh/agent.hpp"

#include "shared/base/fd.hpp"
#include "shared/ssh/wire.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace waggle::ssh {

namespace {

// draft-miller-ssh-agent, sections 5.1 and 6.1
constexpr char agent_failure = 5;
constexpr char request_identities = 11;
constexpr char identities_answer = 12;
constexpr char sign_request = 13;
constexpr char sign_response = 14;

constexpr size_t max_answer_bytes = 256 << 10; // as OpenSSH's own client
constexpr std::uint32_t max_keys = 2048;       // as OpenSSH's own client

// The node waits 5 s for the whole proof of identity, of which this is one step.
constexpr auto sign_time = std::chrono::seconds(3);

std::string_view body_of(std::string_view answer, char type) {
    if (answer.empty() || answer.front() != type)
        throw BadWire("it is of another kind than what was asked for");
    return answer.substr(1);
}

} // namespace

AgentKeys parse_agent_keys(std::string_view answer) {
    WireReader reader(answer);
    const std::uint32_t count = reader.u32();
    if (count > max_keys)
        throw BadWire(fmt::format("it reports {} keys", count));
    AgentKeys keys;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::string_view blob = reader.string();
        const std::string_view comment = reader.string();
        const std::string_view type = WireReader(blob).string();
        if (type == "ssh-ed25519")
            keys.ed25519.push_back({PublicKey::from_wire(blob), std::string(comment)});
        else if (auto other = describe_other_type(type); !other.empty())
            keys.other_types.push_back(std::move(other));
    }
    reader.end();
    return keys;
}

std::array<std::uint8_t, 64> parse_agent_signature(std::string_view answer) {
    WireReader reader(answer);
    WireReader signature(reader.string());
    reader.end();
    if (signature.string() != "ssh-ed25519")
        throw BadWire("the signature is of another type");
    const std::string_view raw = signature.string();
    signature.end();
    std::array<std::uint8_t, 64> bytes;
    if (raw.size() != bytes.size())
        throw BadWire("the signature has another length");
    std::ranges::transform(raw, bytes.begin(), [](char c) { return static_cast<std::uint8_t>(c); });
    return bytes;
}

AgentKeys Agent::keys(Deadline deadline) const {
    try {
        const std::string answer = ask(std::string(1, request_identities), deadline);
        return parse_agent_keys(body_of(answer, identities_answer));
    } catch (const BadWire& error) {
        throw AgentError(fmt::format("the ssh-agent's list of keys cannot be read: {}", error.what()));
    } catch (const BadKey& error) {
        throw AgentError(fmt::format("the ssh-agent's list of keys cannot be read: {}", error.what()));
    }
}

std::array<std::uint8_t, 64> Agent::sign(const PublicKey& key, std::string_view message, Deadline deadline) const {
    std::string question(1, sign_request);
    put_string(question, key.wire());
    put_string(question, message);
    put_u32(question, 0); // no flags: they are for RSA
    try {
        const std::string answer = ask(question, deadline);
        if (!answer.empty() && answer.front() == agent_failure)
            throw AgentError(
                fmt::format("the ssh-agent refuses to sign with {}: it is locked, does not hold the key any more, or "
                            "holds it with a "
                            "restriction (ssh-add -h, -c) under which it only logs in by SSH; add it again without",
                            key.fingerprint()));
        const auto signature = parse_agent_signature(body_of(answer, sign_response));
        if (!key.verify(message, signature))
            throw AgentError(fmt::format("the ssh-agent's signature does not match the key {}", key.fingerprint()));
        return signature;
    } catch (const BadWire& error) {
        throw AgentError(fmt::format("the ssh-agent's signature cannot be read: {}", error.what()));
    } catch (const TimedOut&) {
        throw AgentError(
            fmt::format("the ssh-agent has not signed with {} in time, as where each use must be confirmed "
                        "(ssh-add -c): a node waits only seconds for its operator; add the key without -c",
                        key.fingerprint()));
    }
}

std::string Agent::ask(std::string_view question, Deadline deadline) const {
    Fd fd;
    try {
        fd = connect_unix(socket_.c_str(), deadline);
    } catch (const Error& error) {
        throw AgentError(fmt::format("no ssh-agent answers on {} (SSH_AUTH_SOCK): {}", socket_.string(), error.what()));
    }
    std::string framed;
    put_string(framed, question);
    std::array<std::byte, 4> header;
    std::string answer;
    try {
        write_all(fd, framed, deadline);
        read_exactly(fd, header, deadline);
        const std::uint32_t size = WireReader(as_text(header)).u32();
        if (size > max_answer_bytes)
            throw BadWire(fmt::format("it is {} bytes long", size));
        answer.resize(size);
        read_exactly(fd, std::as_writable_bytes(std::span(answer)), deadline);
    } catch (const BadWire&) {
        throw;
    } catch (const TimedOut&) {
        throw;
    } catch (const Error& error) {
        throw AgentError(fmt::format("the ssh-agent on {} does not answer: {}", socket_.string(), error.what()));
    }
    return answer;
}

std::array<std::uint8_t, 64> AgentKey::sign(std::string_view message) const {
    return agent_.sign(key_, message, deadline_in(sign_time));
}

} // namespace waggle::ssh
