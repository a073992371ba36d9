#include "shared/protocol/closure_summary.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/document_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace waggle::protocol {

Json to_json(const ClosureSummary& closure) {
    return {{"sha256", to_hex(closure.sha256)}, {"bytes", closure.bytes}, {"paths", closure.paths}};
}

ClosureSummary read_closure_summary(Fields& fields, std::string_view key, std::string_view what) {
    Fields inner(fields.object(key), fmt::format("{}, field \"{}\"", what, key));
    ClosureSummary closure;
    closure.sha256 = inner.digest("sha256");
    closure.bytes = count(inner, "bytes", max_closure_list_bytes);
    closure.paths = count(inner, "paths", max_closure_paths);
    inner.end();
    return closure;
}

} // namespace waggle::protocol
