#pragma once

#include "shared/protocol/json.hpp"
#include "shared/protocol/signed_document.hpp"

#include <cstdint>
#include <string>

namespace waggle::protocol {

// Messages about a system that its node builds itself (shared/protocol/build_request.hpp). `from` reads a message from
// its JSON and throws BadDocument.

// trigger → agent: a signed build request; the list of its derivations follows in 'L' messages. The agent answers with
// Admitted or Refused, and in the end with Built or NotBuilt. Want and NARs work as in a deployment. Cancel cancels the
// build. The build ends with its session.
struct Build {
    SignedDocument document;

    static Build from(Fields& fields);
};
Json to_json(const Build& build);

// agent → trigger: how much of the derivations has arrived. Once all of it has, the build has begun.
struct BuildProgress {
    std::uint64_t paths_done = 0;
    std::uint64_t paths_total = 0;
    std::uint64_t bytes_done = 0;
    std::uint64_t bytes_total = 0;

    static BuildProgress from(Fields& fields);
};
Json to_json(const BuildProgress& progress);

// agent → trigger: a line of output of Nix and the builders.
struct BuildLine {
    std::string text;

    static BuildLine from(Fields& fields);
};
Json to_json(const BuildLine& line);

// agent → trigger: the system is built. Its closure list follows in 'L' messages.
struct Built {
    DeploymentId id; // of the build request
    ClosureSummary closure;

    static Built from(Fields& fields);
};
Json to_json(const Built& built);

// agent → trigger: why the system was not built. With the code "build-failed" the message is Nix's.
struct NotBuilt {
    DeploymentId id;
    std::string code;
    std::string message;

    static NotBuilt from(Fields& fields);
};
Json to_json(const NotBuilt& not_built);

} // namespace waggle::protocol
