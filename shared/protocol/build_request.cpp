#include "shared/protocol/build_request.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/document_fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace waggle::protocol {

std::string to_payload(const BuildRequest& request) {
    return dump_json({
        {"v", 1},
        {"type", "build"},
        {"hive", request.hive},
        {"node", request.node},
        {"nodeKeys", to_json(request.node_keys)},
        {"system", request.system},
        {"drv", request.drv.absolute()},
        {"toplevel", request.toplevel.absolute()},
        {"derivations", to_json(request.derivations)},
        {"exporter", to_base64(request.exporter)},
        {"timeout", request.timeout.count()},
    });
}

BuildRequest parse_build_request(std::string_view payload) {
    constexpr std::string_view what = "build request";
    if (payload.size() > max_payload_bytes)
        throw BadDocument(fmt::format("{}: longer than {} bytes", what, max_payload_bytes));
    auto json = parse_json(payload, what);
    Fields fields(json, what);
    fields.header("build", 1);
    BuildRequest request{.hive = fields.name("hive"),
                         .node = fields.name("node"),
                         .node_keys = read_node_keys(fields),
                         .system = read_system(fields),
                         .drv = read_store_path(fields, "drv"),
                         .toplevel = read_store_path(fields, "toplevel"),
                         .derivations = read_closure_summary(fields, "derivations", what),
                         .exporter = read_bytes<std::tuple_size_v<Exporter>>(fields, "exporter"),
                         .timeout = std::chrono::seconds{fields.integer("timeout", 1, max_build_timeout.count())}};
    fields.end();
    if (!request.drv.name().ends_with(".drv"))
        fields.fail("drv", "is not a derivation");
    return request;
}

SignedDocument sign(const BuildRequest& request, const ssh::Signer& key) {
    return sign_payload(to_payload(request), build_namespace, key);
}

} // namespace waggle::protocol
