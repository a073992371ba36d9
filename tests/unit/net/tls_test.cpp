#include "shared/net/tls.hpp"
#include "tests/unit/net/raw_client.hpp"
#include "tests/unit/net/test_node.hpp"

#include <gmock/gmock.h>

#include <array>
#include <iterator>
#include <memory>

namespace waggle::net {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Tls, ShowsTheHostKeyInAFullHandshake) {
    TestNode node;
    RawTlsClient raw(node.server.port());
    ASSERT_TRUE(raw.connected());
    EXPECT_EQ(SSL_version(raw.tls()), TLS1_3_VERSION);
    EXPECT_EQ(peer_key(raw.tls()), node.host_key.public_key());
}

TEST(Tls, IssuesNoTicket) {
    TestNode node;
    RawTlsClient raw(node.server.port());
    ASSERT_THAT(raw.read_challenge(), HasSubstr("challenge"));
    EXPECT_EQ(raw.tickets(), 0);
    EXPECT_FALSE(SSL_SESSION_is_resumable(SSL_get_session(raw.tls())));
}

TEST(Tls, NegotiatesNoCompression) {
    TestNode node;
    RawTlsClient raw(node.server.port());
    std::string answer = raw.read_challenge();
    EXPECT_THAT(answer, HasSubstr("101 Switching Protocols"));
    EXPECT_THAT(answer, Not(HasSubstr("permessage-deflate")));
}

struct Refused {
    const char* why;
    RawTlsOptions options;
};

TEST(Tls, RefusesOtherHandshakes) {
    const Refused cases[] = {
        {"TLS 1.2", {.greatest_version = TLS1_2_VERSION}},
        {"no Ed25519", {.signatures = "ECDSA+SHA256:RSA-PSS+SHA256"}},
        {"no ALPN", {.alpn = false}},
    };
    TestNode node;
    for (const Refused& refused : cases) {
        RawTlsClient raw(node.server.port(), refused.options);
        bool served = raw.connected() && raw.read_challenge().find("challenge") != std::string::npos;
        EXPECT_FALSE(served) << refused.why;
    }
}

// Two TLS ends in one process, without a network.
struct Pair {
    // If `session` is given, the client requests its resumption.
    Pair(const TlsContext& client_context, const TlsContext& server_context, const SSL_SESSION* session = nullptr)
        : client(SSL_new(client_context.get())), server(SSL_new(server_context.get())) {
        if (session) {
            SSL_SESSION* const own =
                SSL_SESSION_dup(session); // OpenSSL invalidates a session whose connection ends abruptly
            SSL_set_session(client, own);
            SSL_SESSION_free(own);
        }
        BIO* client_bio = nullptr;
        BIO* server_bio = nullptr;
        BIO_new_bio_pair(&client_bio, 0, &server_bio, 0);
        SSL_set_bio(client, client_bio, client_bio);
        SSL_set_bio(server, server_bio, server_bio);
        for (int i = 0; i < 10 && (!SSL_is_init_finished(client) || !SSL_is_init_finished(server)); ++i) {
            SSL_connect(client);
            SSL_accept(server);
        }
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() {
        SSL_free(client);
        SSL_free(server);
    }
    SSL* client;
    SSL* server;
};

struct FreeSession {
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using TlsSession = std::unique_ptr<SSL_SESSION, FreeSession>;

using TicketKeys = std::array<unsigned char, 80>;

// A server with our host key that issues and accepts tickets.
TlsContext make_lenient_server(const ssh::PrivateKey& host_key, TicketKeys& keys) {
    TlsContext context = make_server_tls(host_key);
    SSL_CTX_clear_options(context.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context.get(), 1);
    SSL_CTX_set_tlsext_ticket_keys(context.get(), keys.data(), std::ssize(keys));
    return context;
}

// The session that an OpenSSL client keeps after a connection to such a server.
TlsSession get_ticket(const TlsContext& server) {
    TlsSession kept;
    TlsContext client = make_client_tls();
    SSL_CTX_clear_options(client.get(), SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(client.get(), SSL_SESS_CACHE_CLIENT);
    SSL_CTX_set_app_data(client.get(), &kept);
    SSL_CTX_sess_set_new_cb(client.get(), [](SSL* tls, SSL_SESSION* session) {
        static_cast<TlsSession*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls)))->reset(SSL_SESSION_dup(session));
        return 0;
    });
    const Pair pair(client, server);
    char nothing = 0;
    SSL_read(pair.client, &nothing, 1); // receives what follows the handshake
    return kept;
}

TEST(Tls, AResumptionGetsAFullHandshakeOrIsRefused) {
    TestNode node;
    TicketKeys keys{7};
    const TlsContext lenient = make_lenient_server(node.host_key, keys);
    const TlsSession session = get_ticket(lenient);
    ASSERT_TRUE(session && SSL_SESSION_is_resumable(session.get()));
    {
        const Pair resumed(make_client_tls(), lenient, session.get());
        ASSERT_TRUE(SSL_session_reused(resumed.client)) << "the client does not insist";
        EXPECT_THROW(require_full_handshake(resumed.client), Error);
        EXPECT_THROW(require_full_handshake(resumed.server), Error);
    }
    // Even a server that could decrypt the ticket does not resume the session.
    TlsContext server = make_server_tls(node.host_key);
    SSL_CTX_set_tlsext_ticket_keys(server.get(), keys.data(), std::ssize(keys));
    const Pair full(make_client_tls(), server, session.get());
    EXPECT_FALSE(SSL_session_reused(full.server));
    require_full_handshake(full.client);
    require_full_handshake(full.server);

    RawTlsClient raw(node.server.port(), {.session = session.get()});
    EXPECT_TRUE(raw.connected());
    EXPECT_FALSE(SSL_session_reused(raw.tls()));
    EXPECT_EQ(peer_key(raw.tls()), node.host_key.public_key());
}

TEST(Tls, ExporterMatchesOnBothSidesAndDiffersPerSession) {
    ssh::PrivateKey key = ssh::PrivateKey::generate();
    TlsContext client = make_client_tls();
    TlsContext server = make_server_tls(key);
    Pair one(client, server);
    Pair other(client, server);
    require_full_handshake(one.client);
    require_full_handshake(one.server);
    EXPECT_EQ(exporter(one.client), exporter(one.server));
    EXPECT_NE(exporter(one.client), exporter(other.client));
}

// RFC 9266: a context of no bytes, which in TLS 1.3 is the same as none.
TEST(Tls, TheExporterFollowsRfc9266) {
    ssh::PrivateKey key = ssh::PrivateKey::generate();
    Pair pair(make_client_tls(), make_server_tls(key));
    protocol::Exporter expected{};
    unsigned char empty = 0;
    ASSERT_EQ(
        SSL_export_keying_material(pair.client, expected.data(), 32, "EXPORTER-Channel-Binding", 24, &empty, 0, 1), 1);
    EXPECT_EQ(exporter(pair.client), expected);
}

TEST(Tls, TheClientAcceptsNoOtherKindOfCertificate) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_pubkey(certificate, key);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_sign(certificate, key, EVP_sha256());
    TlsContext server(SSL_CTX_new(TLS_server_method()));
    SSL_CTX_use_certificate(server.get(), certificate);
    SSL_CTX_use_PrivateKey(server.get(), key);
    Pair pair(make_client_tls(), server);
    EXPECT_FALSE(SSL_is_init_finished(pair.client));
    EXPECT_THROW(require_full_handshake(pair.client), Error);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

TEST(Tls, TheClientRequiresAlpnFromTheServer) {
    ssh::PrivateKey key = ssh::PrivateKey::generate();
    TlsContext server = make_server_tls(key);
    SSL_CTX_set_alpn_select_cb(server.get(), nullptr, nullptr); // a server without ALPN
    Pair pair(make_client_tls(), server);
    EXPECT_TRUE(SSL_is_init_finished(pair.client));
    EXPECT_THROW(require_full_handshake(pair.client), Error);
}

} // namespace
} // namespace waggle::net
