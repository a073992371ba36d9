#include "shared/net/http_get.hpp"

#include "shared/base/error.hpp"
#include "shared/base/fd.hpp"
#include "shared/net/resolve.hpp"
#include "shared/net/socket.hpp"
#include "shared/net/tls.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

namespace waggle::net {
namespace {

// Longer than any real status line. No more than this is kept of an answer before the end of its first line.
constexpr size_t max_status_line_bytes = 8 << 10;
constexpr auto system_authorities = "/etc/ssl/certs/ca-certificates.crt"; // NixOS, Debian

bool is_visible(char c) {
    return c > 0x20 && c < 0x7f;
}

bool whole_number(std::string_view text, std::uint16_t& number) {
    const auto* const end = text.data() + text.size();
    const auto [last, error] = std::from_chars(text.data(), end, number);
    return error == std::errc{} && last == end && number != 0;
}

// RFC 9110 section 5.6.2
bool is_token(std::string_view text) {
    constexpr std::string_view delimiters = "\"(),/:;<=>?@[\\]{}";
    return !text.empty() &&
           std::ranges::all_of(text, [&](char c) { return is_visible(c) && delimiters.find(c) == delimiters.npos; });
}

void await(int fd, short events, Deadline deadline) {
    pollfd entry{.fd = fd, .events = events, .revents = 0};
    int ready = 0;
    while ((ready = ::poll(&entry, 1, poll_timeout_ms(deadline))) < 0 && errno == EINTR) {
    }
    if (ready < 0)
        throw SystemError("waiting for a server");
    if (ready == 0 && std::chrono::steady_clock::now() >= deadline)
        throw TimedOut("no answer in time");
}

Fd connect_to(const Endpoint& endpoint, Deadline deadline) {
    Fd fd = open_tcp_socket(endpoint.family());
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length) == 0)
        return fd;
    if (errno != EINPROGRESS)
        throw SystemError(fmt::format("connecting to {}", endpoint.to_string()));
    await(fd.get(), POLLOUT, deadline);
    int problem = 0;
    socklen_t size = sizeof problem;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &problem, &size) != 0 || problem != 0)
        throw SystemError(fmt::format("connecting to {}", endpoint.to_string()), problem);
    return fd;
}

// Connects to the first address that accepts: "localhost" has two, and servers often listen on only one.
Fd connect_to_host(const HttpUrl& url, Deadline deadline) {
    Resolver resolver;
    std::string problem;
    for (const Endpoint& endpoint : resolver.resolve(url.host, url.port, deadline)) {
        try {
            return connect_to(endpoint, deadline);
        } catch (const TimedOut&) {
            throw;
        } catch (const Error& error) {
            problem += problem.empty() ? error.what() : fmt::format("; {}", error.what());
        }
    }
    throw Error(problem);
}

struct FreeTls {
    void operator()(SSL* tls) const { SSL_free(tls); }
};

// TLS over a non-blocking socket.
class Tls {
public:
    Tls(int fd, const HttpGet& get, Deadline deadline) : fd_(fd), context_(SSL_CTX_new(TLS_client_method())) {
        if (!context_)
            throw Error("no memory for TLS");
        SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
        SSL_CTX_set_default_verify_paths(context_.get());
        // For an OpenSSL that was built to look elsewhere. A missing file is ignored.
        SSL_CTX_load_verify_locations(context_.get(), system_authorities, nullptr);
        SSL_CTX_set_verify(context_.get(), get.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
        tls_.reset(SSL_new(context_.get()));
        if (!tls_ || SSL_set_fd(tls_.get(), fd) != 1)
            throw Error("no memory for TLS");
        // The certificate may name an address instead of a host; the server selects its certificate by host name only.
        if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_.get()), get.url.host.c_str()) != 1) {
            SSL_set1_host(tls_.get(), get.url.host.c_str());
            std::string name = get.url.host; // SSL_set_tlsext_host_name is a macro with a C cast
            SSL_ctrl(tls_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
        }
        step([&] { return SSL_connect(tls_.get()); }, deadline);
    }

    void write(std::string_view text, Deadline deadline) {
        step([&] { return SSL_write(tls_.get(), text.data(), static_cast<int>(text.size())); }, deadline);
    }
    size_t read_some(std::span<std::byte> buffer, Deadline deadline) {
        return static_cast<size_t>(
            step([&] { return SSL_read(tls_.get(), buffer.data(), static_cast<int>(buffer.size())); }, deadline));
    }

private:
    // Returns 0 if the server has closed the connection.
    template <class Step>
    int step(Step step, Deadline deadline) {
        while (true) {
            ERR_clear_error();
            const int result = step();
            if (result > 0)
                return result;
            switch (SSL_get_error(tls_.get(), result)) {
            case SSL_ERROR_WANT_READ: await(fd_, POLLIN, deadline); break;
            case SSL_ERROR_WANT_WRITE: await(fd_, POLLOUT, deadline); break;
            case SSL_ERROR_ZERO_RETURN: return 0;
            default: throw Error(fmt::format("TLS: {}", why()));
            }
        }
    }

    std::string why() const {
        if (const long verdict = SSL_get_verify_result(tls_.get());
            verdict != X509_V_OK && (SSL_get_verify_mode(tls_.get()) & SSL_VERIFY_PEER) != 0)
            return fmt::format("the server's certificate: {}", X509_verify_cert_error_string(verdict));
        const auto code = ERR_get_error();
        const char* reason = ERR_reason_error_string(code);
        return reason ? reason : "the connection broke";
    }

    int fd_;
    TlsContext context_;
    std::unique_ptr<SSL, FreeTls> tls_;
};

std::string request_text(const HttpGet& get) {
    const auto& url = get.url;
    const bool own_host = std::ranges::any_of(get.headers, [](const auto& header) { return header.first == "Host"; });
    std::string text = fmt::format("GET {} HTTP/1.1\r\n", url.target);
    if (!own_host) {
        const auto host = url.host.find(':') == std::string::npos ? url.host : fmt::format("[{}]", url.host);
        text += url.port == (url.tls ? 443 : 80) ? fmt::format("Host: {}\r\n", host)
                                                 : fmt::format("Host: {}:{}\r\n", host, url.port);
    }
    text += "User-Agent: waggle-agent\r\nConnection: close\r\n";
    for (const auto& [name, value] : get.headers)
        text += fmt::format("{}: {}\r\n", name, value);
    return text + "\r\n";
}

// "HTTP/1.1 200 OK"
int parse_status_line(std::string_view line) {
    int status = 0;
    const bool well_formed = line.starts_with("HTTP/1.") && line.size() >= 12 && line[8] == ' ' &&
                             std::from_chars(line.data() + 9, line.data() + 12, status).ptr == line.data() + 12 &&
                             (line.size() == 12 || line[12] == ' ' || line[12] == '\r');
    if (!well_formed || status < 100)
        throw Error("the answer is not HTTP");
    return status;
}

} // namespace

HttpUrl HttpUrl::parse(std::string_view text) {
    const auto fail = [&](std::string_view why) { return Error(fmt::format("the URL \"{}\" {}", text, why)); };
    HttpUrl url;
    std::string_view rest = text;
    if (!std::ranges::all_of(text, is_visible))
        throw fail("has a blank or a character that is not ASCII");
    if (rest.starts_with("https://")) {
        url.tls = true;
        url.port = 443;
        rest.remove_prefix(8);
    } else if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else {
        throw fail("begins neither with http:// nor with https://");
    }
    if (rest.find('#') != rest.npos || rest.substr(0, rest.find_first_of("/?")).find('@') != rest.npos)
        throw fail("has a user or a fragment");
    const auto path = std::min(rest.find_first_of("/?"), rest.size());
    if (path < rest.size())
        url.target = (rest[path] == '?' ? "/" : "") + std::string(rest.substr(path));
    auto authority = rest.substr(0, path);
    if (authority.starts_with('[')) {
        const auto end = authority.find(']');
        if (end == authority.npos)
            throw fail("has no ]");
        url.host = authority.substr(1, end - 1);
        authority.remove_prefix(end + 1);
    } else {
        const auto end = std::min(authority.find(':'), authority.size());
        url.host = authority.substr(0, end);
        authority.remove_prefix(end);
    }
    if (url.host.empty())
        throw fail("names no host");
    if (!authority.empty()) {
        if (authority[0] != ':' || !whole_number(authority.substr(1), url.port))
            throw fail("has an invalid port");
    }
    return url;
}

void require_header(const std::string& name, const std::string& value) {
    const auto allowed = [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); };
    if (!is_token(name))
        throw Error(fmt::format("the header \"{}\" is not a header's name", name));
    if (!std::ranges::all_of(value, allowed))
        throw Error(fmt::format("the header {} has a line break or another control character", name));
}

int http_status(const HttpGet& get, Deadline deadline) {
    for (const auto& [name, value] : get.headers)
        require_header(name, value);
    const Fd fd = connect_to_host(get.url, deadline);
    std::optional<Tls> tls;
    if (get.url.tls)
        tls.emplace(fd.get(), get, deadline);
    const std::string request = request_text(get);
    if (tls)
        tls->write(request, deadline);
    else
        write_all(fd, request, deadline);
    std::string answer;
    std::array<std::byte, 1024> buffer;
    while (answer.find('\n') == std::string::npos) {
        const size_t size = tls ? tls->read_some(buffer, deadline) : read_some(fd, buffer, deadline);
        if (size == 0)
            throw Error("the connection was closed without an answer");
        answer.append(reinterpret_cast<const char*>(buffer.data()), size);
        if (answer.size() > max_status_line_bytes)
            throw Error("the answer is not HTTP");
    }
    return parse_status_line(std::string_view(answer).substr(0, answer.find('\n')));
}

} // namespace waggle::net
