#include "shared/protocol/questions.hpp"

#include "shared/protocol/closure_summary.hpp"
#include "shared/protocol/message_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace waggle::protocol {

Json to_json(const CheckHealth&) {
    return {{"type", "checkHealth"}};
}

CheckHealth CheckHealth::from(Fields&) {
    return {};
}

Json to_json(const HealthReport& report) {
    return {{"type", "healthReport"}, {"healthy", report.healthy}, {"text", cut(report.text)}};
}

HealthReport HealthReport::from(Fields& fields) {
    return {fields.boolean("healthy"), protocol::text(fields, "text")};
}

Json to_json(const RebootNode&) {
    return {{"type", "reboot"}};
}

RebootNode RebootNode::from(Fields&) {
    return {};
}

Json to_json(const Rebooting& rebooting) {
    return {{"type", "rebooting"}, {"bootId", cut(rebooting.boot_id, max_word_bytes)}};
}

Rebooting Rebooting::from(Fields& fields) {
    return {text(fields, "bootId", max_word_bytes)};
}

Json to_json(const GetHistory& get) {
    return {{"type", "getHistory"}, {"limit", get.limit}};
}

GetHistory GetHistory::from(Fields& fields) {
    return {number(fields, "limit", 1)};
}

Json to_json(const History& history) {
    if (history.entries.size() > max_history_entries)
        throw Error(fmt::format("a history message takes {} entries at most", max_history_entries));
    // One byte of a message's text may take six in JSON. If there is not enough space, the oldest entries are left out.
    constexpr size_t most_bytes = max_message_bytes - (64 << 10);
    Json entries = Json::array();
    size_t bytes = 0;
    for (const auto& entry : history.entries) {
        auto json = protocol::to_json(entry);
        bytes += dump_json(json).size() + 1;
        if (bytes > most_bytes)
            break;
        entries.push_back(std::move(json));
    }
    return {{"type", "history"}, {"entries", entries}};
}

History History::from(Fields& fields) {
    History history;
    for (const auto& item : fields.array("entries", max_history_entries))
        history.entries.push_back(history_entry_from_json(item));
    return history;
}

Json to_json(const Recall& recall) {
    return {{"type", "recall"}, {"generation", recall.generation ? Json(*recall.generation) : Json()}};
}

Recall Recall::from(Fields& fields) {
    Recall recall;
    if (!fields.is_null("generation"))
        recall.generation = number(fields, "generation", 1);
    return recall;
}

Json to_json(const Recalled& recalled) {
    return {{"type", "recalled"},
            {"generation", recalled.generation},
            {"document", protocol::to_json(recalled.document)},
            {"listBytes", recalled.list_bytes}};
}

Recalled Recalled::from(Fields& fields) {
    Recalled recalled;
    recalled.generation = number(fields, "generation", 1);
    recalled.document = signed_document_from_json(fields.object("document"));
    recalled.list_bytes = number(fields, "listBytes", 1);
    if (recalled.list_bytes > max_closure_list_bytes)
        fields.fail("listBytes", "is more than a closure list may have");
    return recalled;
}

} // namespace waggle::protocol
