#pragma once

#include "shared/base/time.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace waggle::net {

// Where a URL points: "http://[::1]:8080/healthz?full" and the like, without user, password and fragment.
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
    bool insecure = false; // takes any certificate; else one that this machine's authorities vouch for
};

// Throws Error for a header that is no header, such as one with a line break.
void require_header(const std::string& name, const std::string& value);

// Sends a GET request and returns the status of the answer. Its body is not read and no redirect followed: who asks
// wants to know whether a server is well. Throws Error in one sentence, TimedOut. With TLS in a process that ignores
// SIGPIPE, as systemd's services do.
int http_status(const HttpGet& get, Deadline deadline);

} // namespace waggle::net
