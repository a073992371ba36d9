#include "shared/net/tls.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/error.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>
#include <string>

namespace waggle::net {
namespace {

template <auto free_function>
struct Free {
    template <class T>
    void operator()(T* object) const {
        free_function(object);
    }
};

// The list in ALPN's format: each name with its length before it.
constexpr std::array<unsigned char, 9> alpn_list = {8, 'w', 'a', 'g', 'g', 'l', 'e', '/', '1'};

[[noreturn]] void fail(std::string_view what) {
    std::array<char, 256> text{};
    ERR_error_string_n(ERR_get_error(), text.data(), text.size());
    throw Error(std::string(what) + ": " + text.data());
}

void require(bool ok, const char* what) {
    if (!ok)
        fail(what);
}

// Names and dates are not checked, only the key counts (RFC 5280 section 4.1.2.5 has the date for "no end").
std::unique_ptr<X509, Free<X509_free>> make_certificate(const ssh::PrivateKey& key) {
    std::unique_ptr<X509, Free<X509_free>> certificate(X509_new());
    require(certificate != nullptr, "making a certificate");
    X509* x509 = certificate.get();
    const auto* name = reinterpret_cast<const unsigned char*>("waggle-agent");
    bool ok = X509_set_version(x509, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1 &&
              X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
              X509_set_issuer_name(x509, X509_get_subject_name(x509)) == 1 &&
              ASN1_TIME_set_string(X509_getm_notBefore(x509), "19700101000000Z") == 1 &&
              ASN1_TIME_set_string(X509_getm_notAfter(x509), "99991231235959Z") == 1 &&
              X509_set_pubkey(x509, key.get()) == 1 && X509_sign(x509, key.get(), nullptr) > 0;
    require(ok, "making a certificate");
    return certificate;
}

bool is_ed25519(const X509* certificate) {
    const EVP_PKEY* key = certificate ? X509_get0_pubkey(certificate) : nullptr;
    return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
}

int accept_any_ed25519_certificate(X509_STORE_CTX* store, void*) {
    if (is_ed25519(X509_STORE_CTX_get0_cert(store)))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM);
    return 0;
}

int choose_alpn(SSL*, const unsigned char** chosen, unsigned char* chosen_length, const unsigned char* offered,
                unsigned offered_length, void*) {
    unsigned char* found = nullptr;
    if (SSL_select_next_proto(&found, chosen_length, alpn_list.data(), alpn_list.size(), offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

TlsContext make_context(const SSL_METHOD* method) {
    TlsContext context(SSL_CTX_new(method));
    require(context != nullptr, "setting up TLS");
    SSL_CTX* tls = context.get();
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS); // saves 34 KiB for each waiting connection
    bool ok = SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_max_proto_version(tls, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set1_sigalgs_list(tls, "ed25519") == 1 && SSL_CTX_set_num_tickets(tls, 0) == 1 &&
              SSL_CTX_set_max_early_data(tls, 0) == 1;
    require(ok, "setting up TLS");
    return context;
}

} // namespace

void FreeTlsContext::operator()(SSL_CTX* context) const {
    SSL_CTX_free(context);
}

TlsContext make_server_tls(const ssh::PrivateKey& host_key) {
    TlsContext context = make_context(TLS_server_method());
    auto certificate = make_certificate(host_key);
    bool ok = SSL_CTX_use_certificate(context.get(), certificate.get()) == 1 &&
              SSL_CTX_use_PrivateKey(context.get(), host_key.get()) == 1;
    require(ok, "using the host key for TLS");
    SSL_CTX_set_alpn_select_cb(context.get(), choose_alpn, nullptr);
    return context;
}

TlsContext make_client_tls() {
    TlsContext context = make_context(TLS_client_method());
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context.get(), accept_any_ed25519_certificate, nullptr);
    require(SSL_CTX_set_alpn_protos(context.get(), alpn_list.data(), alpn_list.size()) == 0, "setting up TLS");
    return context;
}

void require_full_handshake(const SSL* tls) {
    if (!SSL_is_init_finished(tls) || SSL_version(tls) != TLS1_3_VERSION || SSL_session_reused(tls))
        throw Error("the TLS handshake is not a full one of TLS 1.3");
    const unsigned char* chosen = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(tls, &chosen, &length);
    if (length != alpn_protocol.size() || std::memcmp(chosen, alpn_protocol.data(), length) != 0)
        throw Error("the TLS handshake did not agree on the protocol " + std::string(alpn_protocol));
}

ssh::PublicKey peer_key(const SSL* tls) {
    const X509* certificate = SSL_get0_peer_certificate(tls);
    std::array<std::uint8_t, 32> raw{};
    size_t length = raw.size();
    if (!is_ed25519(certificate) ||
        EVP_PKEY_get_raw_public_key(X509_get0_pubkey(certificate), raw.data(), &length) != 1 || length != raw.size())
        throw Error("the TLS certificate has no Ed25519 key");
    return ssh::PublicKey(raw);
}

protocol::Exporter exporter(SSL* tls) {
    constexpr std::string_view label = "EXPORTER-Channel-Binding";
    protocol::Exporter bytes{};
    if (SSL_export_keying_material(tls, bytes.data(), bytes.size(), label.data(), label.size(), nullptr, 0, 0) != 1)
        fail("exporting the TLS channel binding");
    return bytes;
}

} // namespace waggle::net
