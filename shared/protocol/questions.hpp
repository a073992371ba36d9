#pragma once

#include "shared/protocol/history.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/signed_document.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waggle::protocol {

// The messages of a session (shared/protocol/messages.hpp) outside of a deployment: a trigger's requests to a node, and
// the answers. `from` reads a message from its JSON and throws BadDocument.

// trigger → agent: run the running system's health checks. Answered by HealthReport.
struct CheckHealth {
    static CheckHealth from(Fields& fields);
};
Json to_json(const CheckHealth&);
struct HealthReport {
    bool healthy = true;
    std::string text; // the output of the checks, line by line

    static HealthReport from(Fields& fields);
};
Json to_json(const HealthReport& report);

// trigger → agent: reboot the node, if nothing is under way. Answered by Rebooting, or Refused "busy".
struct RebootNode {
    static RebootNode from(Fields& fields);
};
Json to_json(const RebootNode&);
struct Rebooting {
    std::string boot_id; // of the boot that ends

    static Rebooting from(Fields& fields);
};
Json to_json(const Rebooting& rebooting);

// trigger → agent: list the past deployments. Answered by History, newest first.
struct GetHistory {
    std::uint64_t limit = 20;

    static GetHistory from(Fields& fields);
};
Json to_json(const GetHistory& get);
struct History {
    std::vector<HistoryEntry> entries;

    static History from(Fields& fields);
};
Json to_json(const History& history);

// trigger → agent: return the document that made a generation (nullopt: the one before the running one). Answered by
// Recalled and then its closure list in 'L' messages, or by Refused "unknown-generation".
struct Recall {
    std::optional<std::uint64_t> generation;

    static Recall from(Fields& fields);
};
Json to_json(const Recall& recall);
struct Recalled {
    std::uint64_t generation = 0;
    SignedDocument document;
    std::uint64_t list_bytes = 0;

    static Recalled from(Fields& fields);
};
Json to_json(const Recalled& recalled);

} // namespace waggle::protocol
