#include "shared/protocol/build_messages.hpp"

#include "shared/protocol/document_fields.hpp"
#include "shared/protocol/message_fields.hpp"

#include <nlohmann/json.hpp>

namespace waggle::protocol {

Json to_json(const Build& build) {
    return {{"type", "build"}, {"document", protocol::to_json(build.document)}};
}

Build Build::from(Fields& fields) {
    return {signed_document_from_json(fields.object("document"))};
}

Json to_json(const BuildProgress& progress) {
    return {{"type", "buildProgress"},
            {"pathsDone", progress.paths_done},
            {"pathsTotal", progress.paths_total},
            {"bytesDone", progress.bytes_done},
            {"bytesTotal", progress.bytes_total}};
}

BuildProgress BuildProgress::from(Fields& fields) {
    return {number(fields, "pathsDone"), number(fields, "pathsTotal"), number(fields, "bytesDone"),
            number(fields, "bytesTotal")};
}

Json to_json(const BuildLine& line) {
    return {{"type", "buildLine"}, {"text", cut(line.text)}};
}

BuildLine BuildLine::from(Fields& fields) {
    return {protocol::text(fields, "text")};
}

Json to_json(const Built& built) {
    return {{"type", "built"}, {"id", built.id.to_string()}, {"closure", to_json(built.closure)}};
}

Built Built::from(Fields& fields) {
    return {DeploymentId{fields.digest("id")}, read_closure_summary(fields, "closure", "built message")};
}

Json to_json(const NotBuilt& not_built) {
    return {{"type", "notBuilt"},
            {"id", not_built.id.to_string()},
            {"code", cut(not_built.code, max_code_bytes)},
            {"message", cut(not_built.message)}};
}

NotBuilt NotBuilt::from(Fields& fields) {
    return {DeploymentId{fields.digest("id")}, text(fields, "code", max_code_bytes), protocol::text(fields, "message")};
}

} // namespace waggle::protocol
