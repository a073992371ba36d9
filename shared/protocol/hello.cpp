#include "shared/protocol/hello.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/document_fields.hpp"
#include "shared/protocol/message_limits.hpp"
#include "shared/ssh/sshsig.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace waggle::protocol {

namespace {

constexpr std::string_view operator_role = "operator";
constexpr size_t max_versions = 16;

ssh::PublicKey read_node_key(Fields& fields) {
    try {
        return ssh::PublicKey::parse(fields.string("nodeKey"));
    } catch (const ssh::BadKey& error) {
        fields.fail("nodeKey", fmt::format("cannot be used: {}", error.what()));
    }
}

std::vector<int> read_versions(Fields& fields) {
    std::vector<int> versions;
    for (const auto& item : fields.array("versions", max_versions)) {
        if (!item.is_number_unsigned() || item.get<std::uint64_t>() > 1'000'000)
            fields.fail("versions", "has an item that is not a version number");
        versions.push_back(item.get<int>());
    }
    if (versions.empty())
        fields.fail("versions", "is empty");
    return versions;
}

HelloVerdict refuse(std::string code, std::string message) {
    HelloVerdict verdict;
    verdict.code = std::move(code);
    verdict.message = std::move(message);
    return verdict;
}

} // namespace

std::string to_message(const Nonce& nonce) {
    return dump_json({{"v", 1}, {"type", "challenge"}, {"nonce", to_base64(nonce)}});
}

Nonce parse_challenge(std::string_view message) {
    if (message.size() > max_hello_bytes)
        throw BadDocument(fmt::format("challenge: longer than {} bytes", max_hello_bytes));
    auto json = parse_json(message, "challenge");
    Fields fields(json, "challenge");
    fields.header("challenge", 1);
    auto nonce = read_bytes<std::tuple_size_v<Nonce>>(fields, "nonce");
    fields.end();
    return nonce;
}

std::string sign_hello(const Hello& hello, const ssh::Signer& key) {
    auto payload = dump_json({{"v", 1},
                              {"type", "hello"},
                              {"role", operator_role},
                              {"exporter", to_base64(hello.exporter)},
                              {"nonce", to_base64(hello.nonce)},
                              {"hive", hello.hive},
                              {"node", hello.node},
                              {"nodeKey", hello.node_key.to_string()},
                              {"versions", hello.versions},
                              {"time", to_rfc3339(hello.time)}});
    auto signature = ssh::sshsig_sign(key, session_namespace, payload);
    return dump_json({{"payload", to_base64(payload)}, {"signature", to_base64(signature)}});
}

VerifiedHello verify_hello(std::string_view message) {
    if (message.size() > max_hello_bytes)
        throw BadDocument(fmt::format("hello: longer than {} bytes", max_hello_bytes));
    auto outer_json = parse_json(message, "hello");
    Fields outer(outer_json, "hello");
    auto payload = outer.base64("payload", max_hello_bytes);
    auto signature = outer.base64("signature", max_signature_bytes);
    outer.end();
    auto signer = ssh::sshsig_verify(signature, session_namespace, payload);

    auto json = parse_json(payload, "hello");
    Fields fields(json, "hello");
    fields.header("hello", 1);
    if (auto role = fields.string("role"); role != operator_role)
        fields.fail("role", fmt::format("is {}, but must be \"{}\"", in_quotes(role), operator_role));
    Hello hello{
        .exporter = read_bytes<std::tuple_size_v<Exporter>>(fields, "exporter"),
        .nonce = read_bytes<std::tuple_size_v<Nonce>>(fields, "nonce"),
        .hive = fields.name("hive"),
        .node = fields.name("node"),
        .node_key = read_node_key(fields),
        .versions = read_versions(fields),
        .time = fields.time("time"),
    };
    fields.end();
    return {std::move(hello), signer};
}

HelloVerdict admit_hello(const VerifiedHello& verified, const SessionExpectation& expected) {
    const auto& hello = verified.hello;
    // The operator is checked first, so that a client with any other key learns nothing else about the node.
    if (std::ranges::find(expected.operators, verified.operator_key) == expected.operators.end())
        return refuse("unknown-operator",
                      fmt::format("the key {} is not an operator of this node", verified.operator_key.fingerprint()));
    if (!equal_secret(hello.exporter, expected.exporter) || !equal_secret(hello.nonce, expected.nonce))
        return refuse("other-session", "the operator's proof was made for another connection; "
                                       "something between operator and node relays it");
    if (hello.hive != expected.hive)
        return refuse("other-hive", fmt::format("this node belongs to the hive {}, not {}", expected.hive, hello.hive));
    if (hello.node != expected.node)
        return refuse("other-node", fmt::format("this node is {}, not {}", expected.node, hello.node));
    if (hello.node_key != expected.node_key)
        return refuse("other-node", fmt::format("this node's key is {}, not {}", expected.node_key.fingerprint(),
                                                hello.node_key.fingerprint()));
    HelloVerdict verdict;
    for (int version : protocol_versions)
        if (std::ranges::find(hello.versions, version) != hello.versions.end())
            verdict.version = std::max(verdict.version, version);
    if (verdict.version == 0)
        return refuse("version", fmt::format("the operator's Waggle speaks session protocol {}, this agent {}: "
                                             "they are more than one release apart",
                                             fmt::join(hello.versions, ", "), fmt::join(protocol_versions, ", ")));
    verdict.admitted = true;
    return verdict;
}

} // namespace waggle::protocol
