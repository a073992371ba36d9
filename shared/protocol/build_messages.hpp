#pragma once

#include "shared/protocol/json.hpp"
#include "shared/protocol/signed_document.hpp"

#include <cstdint>
#include <string>

namespace waggle::protocol {

// Messages about a system that its node builds itself (shared/protocol/build_request.hpp). `from` reads one from its
// JSON; it throws BadDocument.

// trigger → agent: a signed build request; the list of its derivations follows in 'L' messages. Answered by Admitted or
// Refused, in the end by Built or NotBuilt; Want and NARs as in a deployment; Cancel gives it up. It ends with its
// session.
struct Build {
    SignedDocument document;

    static Build from(Fields& fields);
};
Json to_json(const Build& build);

// agent → trigger: how much of the derivations has arrived. All of it: the build has begun.
struct BuildProgress {
    std::uint64_t paths_done = 0;
    std::uint64_t paths_total = 0;
    std::uint64_t bytes_done = 0;
    std::uint64_t bytes_total = 0;

    static BuildProgress from(Fields& fields);
};
Json to_json(const BuildProgress& progress);

// agent → trigger: a line of what Nix and the builders say.
struct BuildLine {
    std::string text;

    static BuildLine from(Fields& fields);
};
Json to_json(const BuildLine& line);

// agent → trigger: the system is there. Its closure list follows in 'L' messages.
struct Built {
    DeploymentId id; // of the build request
    ClosureSummary closure;

    static Built from(Fields& fields);
};
Json to_json(const Built& built);

// agent → trigger: why not. With the code "build-failed" the message is Nix's.
struct NotBuilt {
    DeploymentId id;
    std::string code;
    std::string message;

    static NotBuilt from(Fields& fields);
};
Json to_json(const NotBuilt& not_built);

} // namespace waggle::protocol
