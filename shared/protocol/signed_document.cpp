#include "shared/protocol/signed_document.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/message_limits.hpp"
#include "shared/ssh/sshsig.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace waggle::protocol {

namespace {

constexpr size_t max_signatures = 8;

} // namespace

DeploymentId SignedDocument::id() const {
    return DeploymentId{sha256(payload)};
}

SignedDocument sign(const Deployment& deployment, const ssh::Signer& key) {
    return sign_payload(to_payload(deployment), deployment_namespace, key);
}

SignedDocument sign_payload(std::string payload, std::string_view name_space, const ssh::Signer& key) {
    auto signature = ssh::sshsig_sign(key, name_space, payload);
    return {std::move(payload), {std::move(signature)}};
}

Json to_json(const SignedDocument& document) {
    Json signatures = Json::array();
    for (const auto& signature : document.signatures)
        signatures.push_back(to_base64(signature));
    return {{"payload", to_base64(document.payload)}, {"signatures", std::move(signatures)}};
}

SignedDocument signed_document_from_json(const Json& json) {
    Fields fields(json, "signed deployment");
    SignedDocument document;
    document.payload = fields.base64("payload", max_payload_bytes);
    for (const auto& item : fields.array("signatures", max_signatures)) {
        auto bytes = item.is_string() ? from_base64(item.get_ref<const std::string&>()) : std::nullopt;
        if (!bytes || bytes->size() > max_signature_bytes)
            fields.fail("signatures",
                        fmt::format("has an item that is not base64 of at most {} bytes", max_signature_bytes));
        document.signatures.emplace_back(as_text(*bytes));
    }
    if (document.signatures.empty())
        fields.fail("signatures", "is empty");
    fields.end();
    return document;
}

std::vector<ssh::PublicKey> valid_signers(const SignedDocument& document, std::string_view name_space) {
    std::vector<ssh::PublicKey> signers;
    for (const auto& signature : document.signatures) {
        try {
            auto signer = ssh::sshsig_verify(signature, name_space, document.payload);
            if (std::ranges::find(signers, signer) == signers.end())
                signers.push_back(signer);
        } catch (const ssh::BadSignature&) {
            continue;
        }
    }
    return signers;
}

} // namespace waggle::protocol
