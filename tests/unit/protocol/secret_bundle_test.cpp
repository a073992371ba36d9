#include "shared/base/bytes.hpp"
#include "shared/protocol/json.hpp"
#include "shared/protocol/secret_bundle.hpp"
#include "tests/unit/protocol/samples.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <set>

namespace waggle::protocol {
namespace {

using testing::HasSubstr;

age::SecretBytes bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

Secret secret(const std::string& name, std::string_view content) {
    return {{.name = name, .path = "/run/keys/" + name}, bytes(content)};
}

SecretBundle sample_bundle() {
    SecretBundle bundle{.hive = "bees", .node = "alpha", .sequence = 17, .secrets = {}};
    bundle.secrets.push_back({{.name = "db",
                               .path = "/var/lib/db/password",
                               .user = "db",
                               .group = "www-data",
                               .permissions = 0440,
                               .upload_at = UploadAt::post_activation,
                               .restart_units = {"db.service", "web@1.service"},
                               .reload_units = {"nginx.service"},
                               .needed_for_users = true},
                              bytes(std::string_view("a\0b\n{\"", 6))});
    bundle.secrets.push_back(secret("empty", ""));
    bundle.secrets.push_back(secret("tls", "-----BEGIN"));
    return bundle;
}

std::string text_of(const SecretBundle& bundle) {
    const auto plaintext = to_plaintext(bundle);
    return std::string(as_text(plaintext));
}

// The plaintext with its first line changed by hand.
std::string with_header(const std::function<void(Json&)>& change, std::string_view contents = {}) {
    const auto text = text_of(sample_bundle());
    const auto end = text.find('\n');
    auto json = Json::parse(text.substr(0, end));
    change(json);
    return json.dump() + "\n" + (contents.data() ? std::string(contents) : text.substr(end + 1));
}

std::string complaint_about(std::string_view text) {
    return complaint([&] { parse_secret_bundle(text); });
}

TEST(SecretBundle, IsReadAsItWasWritten) {
    EXPECT_EQ(parse_secret_bundle(text_of(sample_bundle())), sample_bundle());
    const SecretBundle empty{.hive = "bees", .node = "alpha", .sequence = 1, .secrets = {}};
    EXPECT_EQ(parse_secret_bundle(text_of(empty)), empty);
}

TEST(SecretBundle, LengthRevealsLittle) {
    auto bundle = sample_bundle();
    const auto size = text_of(bundle).size();
    EXPECT_EQ(size, 4096u);
    bundle.secrets[1].content = bytes("some more");
    EXPECT_EQ(text_of(bundle).size(), size);
    std::set<size_t> sizes;
    for (size_t extra = 0; extra < 20'000; extra += 100) {
        bundle.secrets[1].content = bytes(std::string(extra, 'x'));
        const auto text = text_of(bundle);
        sizes.insert(text.size());
        EXPECT_LE(text.size(), std::max<size_t>(4096, (extra + 1000) * 112 / 100));
        EXPECT_EQ(parse_secret_bundle(text), bundle);
    }
    EXPECT_LT(sizes.size(), 50u); // of 200
}

TEST(SecretBundle, RefusesMissingAndUnknownFields) {
    const auto keys = {"v", "type", "hive", "node", "sequence", "secrets"};
    for (const char* key : keys)
        EXPECT_THAT(complaint_about(with_header([&](Json& json) { json.erase(key); })), HasSubstr("is missing")) << key;
    for (const char* key : {"name", "path", "user", "group", "permissions", "uploadAt", "restartUnits", "reloadUnits",
                            "neededForUsers", "bytes"}) {
        EXPECT_THAT(complaint_about(with_header([&](Json& json) { json["secrets"][0].erase(key); })),
                    HasSubstr("is missing"))
            << key;
    }
    EXPECT_THAT(complaint_about(with_header([](Json& json) { json["x"] = 1; })), HasSubstr("unknown field"));
    EXPECT_THAT(complaint_about(with_header([](Json& json) { json["secrets"][1]["x"] = 1; })),
                HasSubstr("unknown field"));
    auto twice = text_of(sample_bundle());
    twice.replace(twice.find("\"hive\""), 6, "\"node\"");
    EXPECT_THAT(complaint_about(twice), HasSubstr("twice"));
}

TEST(SecretBundle, RefusesInvalidValues) {
    struct Case {
        const char* pointer;
        Json value;
    };
    const Case cases[] = {
        {"/v", 2},
        {"/type", "deployment"},
        {"/hive", "../x"},
        {"/sequence", 0},
        {"/secrets/0/name", "a/b"},
        {"/secrets/0/name", ""},
        {"/secrets/0/name", "zz"}, // not in order
        {"/secrets/0/name", "empty"},
        {"/secrets/0/path", "run/keys/x"},
        {"/secrets/0/path", "/run/keys/../../etc/shadow"},
        {"/secrets/0/path", "/run/keys/empty"}, // another's
        {"/secrets/0/path", "/run/keys/empty/below"},
        {"/secrets/0/user", "root:root"},
        {"/secrets/0/user", "0"},
        {"/secrets/0/group", "-x"},
        {"/secrets/0/permissions", "4755"},
        {"/secrets/0/permissions", "rw"},
        {"/secrets/0/permissions", "00640"},
        {"/secrets/0/uploadAt", "later"},
        {"/secrets/0/restartUnits", {"nginx"}},
        {"/secrets/0/restartUnits", {"--force.service"}},
        {"/secrets/0/reloadUnits", {1}},
        {"/secrets/0/bytes", -1},
        {"/secrets/0/bytes", max_secret_bytes + 1},
        {"/secrets/0/bytes", 5000},
    };
    for (const auto& c : cases)
        EXPECT_NE(complaint_about(with_header([&](Json& json) { json[Json::json_pointer(c.pointer)] = c.value; })), "")
            << c.pointer << " = " << c.value;
}

TEST(SecretBundle, RefusesMissingAndExtraContent) {
    const auto same = [](Json&) {};
    const std::string_view contents("a\0b\n{\"-----BEGIN", 16);
    EXPECT_EQ(complaint_about(with_header(same, contents)), "");
    EXPECT_THAT(complaint_about(with_header(same, contents.substr(0, 15))), HasSubstr("ends before the content of"));
    EXPECT_THAT(complaint_about(with_header(same, std::string(contents) + "x")), HasSubstr("after the last content"));
    EXPECT_THAT(complaint_about(with_header(same, std::string(contents) + std::string(9, '\0') + " ")),
                HasSubstr("after the last content"));
    EXPECT_THAT(complaint_about("{}"), HasSubstr("first line"));
    EXPECT_THAT(complaint_about(std::string(max_bundle_plaintext_bytes + 1, '\n')), HasSubstr("longer than"));
}

TEST(SecretBundle, IsNotWrittenWhenItCouldNotBeRead) {
    const auto refusal = [](const std::function<void(SecretBundle&)>& change) {
        auto bundle = sample_bundle();
        change(bundle);
        return complaint([&] { to_plaintext(bundle); });
    };
    EXPECT_THAT(refusal([](auto& bundle) { bundle.secrets[1].file.user = "1000"; }),
                AllOf(HasSubstr("secret \"empty\""), HasSubstr("not a user's name")));
    EXPECT_THAT(refusal([](auto& bundle) { std::swap(bundle.secrets[0], bundle.secrets[1]); }), HasSubstr("order"));
    EXPECT_THAT(refusal([](auto& bundle) { bundle.secrets[0].content.resize(max_secret_bytes + 1); }),
                HasSubstr("longer than"));
    EXPECT_THAT(refusal([](auto& bundle) {
                    bundle.secrets.clear();
                    for (size_t i = 0; i <= max_secrets; ++i)
                        bundle.secrets.push_back(secret(fmt::format("s{:04}", i), "x"));
                }),
                HasSubstr("more than"));
    EXPECT_THAT(refusal([](auto& bundle) {
                    bundle.secrets.clear();
                    for (size_t i = 0; i < 9; ++i)
                        bundle.secrets.push_back(secret(fmt::format("s{}", i), std::string(max_secret_bytes, 'x')));
                }),
                HasSubstr("together"));
}

TEST(SecretBundle, TheLargestOneFitsIntoADeployment) {
    SecretBundle bundle{.hive = "bees", .node = "alpha", .sequence = 1, .secrets = {}};
    for (size_t i = 0; i < max_secret_content_bytes / max_secret_bytes; ++i)
        bundle.secrets.push_back(secret(fmt::format("s{}", i), std::string(max_secret_bytes, 'x')));
    const auto plaintext = to_plaintext(bundle);
    EXPECT_LE(plaintext.size(), max_bundle_plaintext_bytes);
    EXPECT_LT(max_bundle_plaintext_bytes + max_bundle_plaintext_bytes / 1000, max_secret_bundle_bytes); // sealed
    EXPECT_EQ(parse_secret_bundle(as_text(plaintext)), bundle);
}

TEST(SecretBundle, BelongsToOneDeployment) {
    const auto bundle = sample_bundle();
    EXPECT_NO_THROW(require_same_target(bundle, "bees", "alpha", 17));
    EXPECT_THROW(require_same_target(bundle, "wasps", "alpha", 17), BadDocument);
    EXPECT_THROW(require_same_target(bundle, "bees", "beta", 17), BadDocument);
    EXPECT_THAT(complaint([&] { require_same_target(bundle, "bees", "alpha", 18); }), HasSubstr("sequence 17"));
}

} // namespace
} // namespace waggle::protocol
