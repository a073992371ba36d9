#include "shared/protocol/build_request.hpp"
#include "tests/unit/protocol/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace waggle::protocol {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

BuildRequest sample_request() {
    const Deployment deployment = sample_deployment();
    BuildRequest request{.hive = "demo",
                         .node = "alpha",
                         .node_keys = deployment.node_keys,
                         .system = "aarch64-linux",
                         .drv = store_path('d', "nixos-system-alpha.drv"),
                         .toplevel = store_path('a', "nixos-system-alpha"),
                         .derivations = deployment.closure.value(),
                         .exporter = {},
                         .timeout = std::chrono::seconds(3600)};
    request.exporter[0] = 7;
    return request;
}

std::string request_complaint_with(const std::string& pointer, const Json& value) {
    auto json = Json::parse(to_payload(sample_request()));
    json[Json::json_pointer(pointer)] = value;
    return complaint([&] { parse_build_request(json.dump()); });
}

TEST(BuildRequest, IsReadAsItWasWritten) {
    const BuildRequest request = sample_request();
    EXPECT_EQ(parse_build_request(to_payload(request)), request);
}

// The table of docs/reference/protocol.md.
TEST(BuildRequest, HasExactlyTheDocumentedFields) {
    const auto json = Json::parse(to_payload(sample_request()));
    std::vector<std::string> names;
    for (const auto& item : json.items()) {
        names.push_back(item.key());
        auto without = json;
        without.erase(item.key());
        EXPECT_THAT(complaint([&] { parse_build_request(without.dump()); }),
                    testing::AllOf(HasSubstr("\"" + item.key() + "\""), HasSubstr("is missing")));
    }
    EXPECT_THAT(names, testing::UnorderedElementsAre("v", "type", "hive", "node", "nodeKeys", "system", "drv",
                                                     "toplevel", "derivations", "exporter", "timeout"));
    EXPECT_THAT(request_complaint_with("/goal", "switch"), HasSubstr("unknown field \"goal\""));
}

TEST(BuildRequest, RefusesInvalidValuesAndNamesTheField) {
    struct Case {
        const char* pointer;
        Json value;
        const char* said;
    };
    const Case cases[] = {
        {"/v", 2, "build request: field \"v\""},
        {"/type", "deployment", "field \"type\" is \"deployment\", not \"build\""},
        {"/node", "../alpha", "field \"node\" is not a name"},
        {"/nodeKeys", Json::array(), "field \"nodeKeys\" is empty"},
        {"/system", "aarch64", "field \"system\""},
        {"/drv", "/etc/passwd", "field \"drv\" is not a store path"},
        {"/drv", sample_request().toplevel.absolute(), "field \"drv\" is not a derivation"},
        {"/toplevel", nullptr, "field \"toplevel\""},
        {"/derivations", nullptr, "field \"derivations\""},
        {"/derivations/paths", max_closure_paths + 1, "field \"derivations\": field \"paths\" is not between 1 and"},
        {"/derivations/bytes", max_closure_list_bytes + 1,
         "field \"derivations\": field \"bytes\" is not between 1 and"},
        {"/exporter", "", "field \"exporter\""},
        {"/exporter", "AAAA", "field \"exporter\" is not 32 bytes"},
        {"/timeout", 0, "field \"timeout\" is not between 1 and 86400"},
        {"/timeout", 86401, "field \"timeout\" is not between 1 and 86400"},
    };
    for (const auto& c : cases)
        EXPECT_THAT(request_complaint_with(c.pointer, c.value), HasSubstr(c.said))
            << c.pointer << " = " << c.value.dump();
    EXPECT_THAT(complaint([] { parse_build_request(std::string(max_payload_bytes + 1, ' ')); }), HasSubstr("longer"));
}

// Neither can be mistaken for the other, by its signature or by its content.
TEST(BuildRequest, IsNotInterchangeableWithADeployment) {
    const auto key = ssh::PrivateKey::generate();
    const auto request = sign(sample_request(), key);
    const auto deployment = sign(sample_deployment(), key);
    EXPECT_THAT(valid_signers(request, build_namespace), ElementsAre(key.public_key()));
    EXPECT_THAT(valid_signers(request), IsEmpty());
    EXPECT_THAT(valid_signers(deployment, build_namespace), IsEmpty());
    EXPECT_THAT(complaint([&] { parse_deployment(request.payload); }), HasSubstr("\"type\""));
    EXPECT_THAT(complaint([&] { parse_build_request(deployment.payload); }), HasSubstr("\"type\""));
}

} // namespace
} // namespace waggle::protocol
