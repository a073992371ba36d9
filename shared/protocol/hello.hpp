#pragma once

#include "shared/base/time.hpp"
#include "shared/protocol/json.hpp"
#include "shared/ssh/key.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::protocol {

inline constexpr std::string_view session_namespace = "waggle-session"; // SSHSIG namespace
inline constexpr size_t max_hello_bytes = 4096;
// The versions of the session protocol that this program supports, greatest last: those of this release and the
// previous one.
inline constexpr std::array<int, 2> protocol_versions = {1, 2};
inline constexpr int first_version_with_compression = 2; // of NARs

using Exporter = std::array<std::uint8_t, 32>; // RFC 9266 channel binding of the TLS session
using Nonce = std::array<std::uint8_t, 32>;

// The agent's first message, and the only one that it sends before a hello: {"v":1,"type":"challenge","nonce":base64}.
std::string to_message(const Nonce& nonce);
Nonce parse_challenge(std::string_view message);

// The operator's proof of identity, bound to this TLS session, this nonce, this node and the key that the node
// presented.
struct Hello {
    Exporter exporter{};
    Nonce nonce{};
    std::string hive;
    std::string node;
    ssh::PublicKey node_key;
    std::vector<int> versions; // of the session protocol
    Time time;
};

// The message: {"payload": base64 of the JSON, "signature": base64 of the SSHSIG over it}.
std::string sign_hello(const Hello& hello, const ssh::Signer& key);

struct VerifiedHello {
    Hello hello;
    ssh::PublicKey operator_key; // made the signature; admit_hello checks whether it is an operator
};
// Throws BadDocument or ssh::BadSignature.
VerifiedHello verify_hello(std::string_view message);

// What an agent verifies a hello against.
struct SessionExpectation {
    Exporter exporter{};
    Nonce nonce{};
    std::string hive;
    std::string node;
    ssh::PublicKey node_key;
    std::vector<ssh::PublicKey> operators;
};

struct HelloVerdict {
    bool admitted = false;
    std::string code;    // of the refusal: "unknown-operator", "other-session", "other-node", "other-hive", "version"
    std::string message; // of the refusal, one sentence
    int version = 0;     // the greatest that both sides support
};
HelloVerdict admit_hello(const VerifiedHello& verified, const SessionExpectation& expected);

} // namespace waggle::protocol
