#pragma once

#include "shared/protocol/history.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/signed_document.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waggle::protocol {

// Messages of a session (shared/protocol/messages.hpp) besides those of a deployment: what a trigger asks a node for,
// and the answers. `from` reads one from its JSON; it throws BadDocument.

// trigger → agent: run the health checks of the system that runs. Answered by HealthReport.
struct CheckHealth {
    static CheckHealth from(Fields& fields);
};
Json to_json(const CheckHealth&);
struct HealthReport {
    bool healthy = true;
    std::string text; // what the checks said, line by line

    static HealthReport from(Fields& fields);
};
Json to_json(const HealthReport& report);

// trigger → agent: reboot the node, if nothing is under way. Answered by Rebooting, or refused "busy".
struct RebootNode {
    static RebootNode from(Fields& fields);
};
Json to_json(const RebootNode&);
struct Rebooting {
    std::string boot_id; // of the boot that ends

    static Rebooting from(Fields& fields);
};
Json to_json(const Rebooting& rebooting);

// trigger → agent: what has been deployed? Answered by History, the newest first.
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

// trigger → agent: give me back what made a generation (nullopt: the one before the one that runs). Answered by
// Recalled, then by its closure list in 'L' messages; or refused "unknown-generation".
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
