#pragma once

#include "shared/base/time.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waggle::net {

// The target of a URL such as "http://[::1]:8080/healthz?full", without user, password and fragment.
struct HttpUrl {
    bool tls = false;
    std::string host; // an IPv6 address without its brackets
    std::uint16_t port = 80;
    std::string target = "/"; // path and query

    static HttpUrl parse(std::string_view text); // throws Error, naming the text
};

struct HttpGet {
    HttpUrl url;
    std::vector<std::pair<std::string, std::string>> headers; // "Host" replaces the URL's
    bool insecure = false; // accepts any certificate; otherwise one that this machine's authorities vouch for
};

// Throws Error for an invalid header, such as one with a line break.
void require_header(const std::string& name, const std::string& value);

// Sends a GET request and returns the status of the answer. It does not read the body or follow redirects, because it
// only checks whether a server is healthy. Throws Error in one sentence, and TimedOut. With TLS, the process must
// ignore SIGPIPE, as systemd's services do.
int http_status(const HttpGet& get, Deadline deadline);

} // namespace waggle::net
