#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"
#include "shared/net/http_get.hpp"
#include "shared/net/socket.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <thread>

namespace waggle::net {
namespace {

using namespace std::chrono_literals;

TEST(HttpUrl, ParsesHostPortAndTarget) {
    const auto plain = HttpUrl::parse("http://localhost");
    EXPECT_EQ(plain.host, "localhost");
    EXPECT_EQ(plain.port, 80);
    EXPECT_EQ(plain.target, "/");
    const auto full = HttpUrl::parse("https://[::1]:8443/a/b?c=d");
    EXPECT_TRUE(full.tls);
    EXPECT_EQ(full.host, "::1");
    EXPECT_EQ(full.port, 8443);
    EXPECT_EQ(full.target, "/a/b?c=d");
    EXPECT_EQ(HttpUrl::parse("http://a?q").target, "/?q");
    EXPECT_EQ(HttpUrl::parse("https://a").port, 443);
}

TEST(HttpUrl, RefusesWhatItCannotFetch) {
    for (const auto* wrong : {"", "localhost", "ftp://a", "http://", "http:///x", "http://a:0", "http://a:65536",
                              "http://a:x", "http://a:80x/", "http://[::1", "http://[::1]8", "http://u@a/",
                              "http://a/#f", "http://a/ b", "http://a/\r\nX: y", "http://a/ü"})
        EXPECT_THROW(HttpUrl::parse(wrong), Error) << wrong;
    EXPECT_EQ(HttpUrl::parse("http://a/b@c").target, "/b@c");
}

// Answers one request on a port of its own with fixed bytes.
class OneAnswer {
public:
    explicit OneAnswer(std::string answer)
        : listener_(std::move(listen_on({"127.0.0.1"}, 0).front())), thread_([this, answer = std::move(answer)] {
              pollfd entry{.fd = listener_.fd.get(), .events = POLLIN, .revents = 0};
              ::poll(&entry, 1, 10'000);
              const auto accepted = accept_from(listener_.fd.get());
              if (!accepted.fd)
                  return;
              std::array<std::byte, 4096> buffer;
              while (request.find("\r\n\r\n") == std::string::npos) {
                  const size_t size = read_some(accepted.fd, buffer, deadline_in(10s));
                  if (size == 0)
                      return;
                  request.append(reinterpret_cast<const char*>(buffer.data()), size);
              }
              write_all(accepted.fd, answer, deadline_in(10s));
          }) {}

    int ask(HttpGet get = {}) {
        get.url = HttpUrl::parse(fmt_url());
        const int status = http_status(get, deadline_in(10s));
        thread_.join();
        return status;
    }
    std::string fmt_url() const { return "http://127.0.0.1:" + std::to_string(listener_.endpoint.port()) + "/x?y"; }
    ~OneAnswer() {
        if (thread_.joinable())
            thread_.join();
    }

    std::string request;

private:
    Listener listener_;
    std::thread thread_;
};

TEST(HttpStatus, IsTheStatusOfTheServer) {
    OneAnswer server("HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_EQ(server.ask({.url = {}, .headers = {{"X-Token", "secret"}}}), 204);
    EXPECT_TRUE(server.request.starts_with("GET /x?y HTTP/1.1\r\nHost: 127.0.0.1:")) << server.request;
    EXPECT_NE(server.request.find("\r\nX-Token: secret\r\n"), std::string::npos);
    OneAnswer old("HTTP/1.0 503\r\n");
    EXPECT_EQ(old.ask(), 503);
}

TEST(HttpStatus, RefusesMalformedAnswers) {
    for (const auto* answer : {"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 2x0 OK\r\n", "HTTP/1.1 2000 OK\r\n", "\r\n", ""}) {
        OneAnswer server(answer);
        EXPECT_THROW(server.ask(), Error) << answer;
    }
    OneAnswer endless(std::string(64 << 10, 'x'));
    EXPECT_THROW(endless.ask(), Error);
}

TEST(HttpStatus, TimesOutAtTheDeadline) {
    const auto listener = std::move(listen_on({"127.0.0.1"}, 0).front());
    HttpGet get;
    get.url = HttpUrl::parse("http://127.0.0.1:" + std::to_string(listener.endpoint.port()));
    EXPECT_THROW(http_status(get, deadline_in(50ms)), TimedOut);
}

TEST(HttpStatus, OverTlsRequiresATrustedCertificateUnlessInsecure) {
    const TemporaryFolder folder;
    const auto path = [&](const char* name) { return (folder.path() / name).string(); };
    RunOptions soon;
    soon.deadline = deadline_in(30s);
    // Not every machine has OpenSSL's default configuration.
    write_file_atomically(path("config"), "[req]\ndistinguished_name = name\n[name]\n", 0600);
    ASSERT_TRUE(run({.argv = {"openssl", "req", "-config", path("config"), "-x509", "-newkey", "ed25519", "-nodes",
                              "-keyout", path("key"), "-out", path("crt"), "-days", "2", "-subj", "/CN=localhost",
                              "-addext", "subjectAltName=DNS:localhost"},
                     .extra_environment = {}},
                    soon)
                    .status.success());
    auto listener = std::move(listen_on({"127.0.0.1"}, 0).front());
    const auto port = std::to_string(listener.endpoint.port());
    listener.fd.close();
    Child server({.argv = {"openssl", "s_server", "-quiet", "-www", "-accept", "127.0.0.1:" + port, "-key", path("key"),
                           "-cert", path("crt")},
                  .extra_environment = {}},
                 {.pipe_stdin = true, .pipe_stdout = true, .pipe_stderr = true});
    HttpGet get;
    get.url = HttpUrl::parse("https://localhost:" + port + "/");
    get.insecure = true;
    const auto give_up = deadline_in(20s);
    int status = 0;
    while (status == 0) { // until it listens
        try {
            status = http_status(get, deadline_in(5s));
        } catch (const Error& error) {
            ASSERT_LT(std::chrono::steady_clock::now(), give_up) << error.what();
        }
    }
    EXPECT_EQ(status, 200);
    get.insecure = false;
    try {
        http_status(get, deadline_in(5s));
        ADD_FAILURE() << "nobody vouches for this certificate";
    } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("certificate"), std::string::npos) << error.what();
    }
    ::setenv("SSL_CERT_FILE", path("crt").c_str(), 1);
    EXPECT_EQ(http_status(get, deadline_in(5s)), 200);
    get.url.host = "127.0.0.1"; // not a name in the certificate
    EXPECT_THROW(http_status(get, deadline_in(5s)), Error);
    ::unsetenv("SSL_CERT_FILE");
}

} // namespace
} // namespace waggle::net
