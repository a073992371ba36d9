#include "shared/protocol/secret_bundle.hpp"

#include "shared/base/bytes.hpp"
#include "shared/protocol/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>

namespace waggle::protocol {

namespace {

constexpr std::string_view what = "secret bundle";
constexpr size_t min_padded_bytes = 4096;
constexpr size_t max_permission_digits = 4;

// Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", 2019): a length of n bits keeps about
// log2(n) of them, which costs at most 12 %.
size_t padded_size(size_t size) {
    if (size <= min_padded_bytes)
        return min_padded_bytes;
    const auto exponent = std::bit_width(size) - 1;
    const auto kept = std::bit_width(static_cast<unsigned>(exponent));
    const size_t mask = (size_t{1} << (exponent - kept)) - 1;
    return (size + mask) & ~mask;
}

Json to_json(const Secret& secret) {
    const SecretFile& file = secret.file;
    return {
        {"name", file.name},
        {"path", file.path},
        {"user", file.user},
        {"group", file.group},
        {"permissions", permissions_text(file.permissions)},
        {"uploadAt", to_string(file.upload_at)},
        {"restartUnits", file.restart_units},
        {"reloadUnits", file.reload_units},
        {"neededForUsers", file.needed_for_users},
        {"bytes", secret.content.size()},
    };
}

std::vector<std::string> read_units(Fields& fields, std::string_view key) {
    std::vector<std::string> units;
    for (const auto& item : fields.array(key, max_secret_units)) {
        if (!item.is_string())
            fields.fail(key, "has an item that is not a string");
        units.push_back(item.get<std::string>());
    }
    return units;
}

struct Described {
    SecretFile file;
    size_t bytes = 0;
};

Described read_secret(const Json& json) {
    Fields fields(json, "secret bundle, field \"secrets\"");
    Described described;
    SecretFile& file = described.file;
    file.name = fields.string("name");
    file.path = fields.string("path");
    file.user = fields.string("user");
    file.group = fields.string("group");
    const auto permissions = parse_permissions(fields.string("permissions", max_permission_digits));
    if (!permissions)
        fields.fail("permissions", "is not three or four octal digits, at most 0777");
    file.permissions = *permissions;
    const auto upload_at = parse_upload_at(fields.string("uploadAt"));
    if (!upload_at)
        fields.fail("uploadAt", "is neither \"pre-activation\" nor \"post-activation\"");
    file.upload_at = *upload_at;
    file.restart_units = read_units(fields, "restartUnits");
    file.reload_units = read_units(fields, "reloadUnits");
    file.needed_for_users = fields.boolean("neededForUsers");
    described.bytes = static_cast<size_t>(fields.integer("bytes", 0, max_secret_bytes));
    fields.end();
    return described;
}

} // namespace

void require_valid(const SecretBundle& bundle) {
    if (bundle.secrets.size() > max_secrets)
        throw BadDocument(fmt::format("{}: it holds more than {} secrets", what, max_secrets));
    size_t total = 0;
    const Secret* largest = nullptr;
    std::vector<std::string_view> paths;
    for (size_t i = 0; i < bundle.secrets.size(); ++i) {
        const Secret& secret = bundle.secrets[i];
        const auto name = in_quotes(secret.file.name);
        if (const auto problem = problem_with(secret.file))
            throw BadDocument(fmt::format("secret {}: {}", name, *problem));
        if (i > 0 && bundle.secrets[i - 1].file.name >= secret.file.name)
            throw BadDocument(fmt::format("{}: {} is there twice, or not in the order of names", what, name));
        if (secret.content.size() > max_secret_bytes)
            throw BadDocument(fmt::format("secret {}: it is longer than {} bytes", name, max_secret_bytes));
        total += secret.content.size();
        if (largest == nullptr || secret.content.size() > largest->content.size())
            largest = &secret;
        paths.push_back(secret.file.path);
    }
    if (total > max_secret_content_bytes)
        throw BadDocument(fmt::format("{}: the secrets have {} bytes together, more than {}; the largest is {} with {}",
                                      what, total, max_secret_content_bytes, in_quotes(largest->file.name),
                                      largest->content.size()));
    // No two secrets may share a path, and none may be below another.
    std::ranges::sort(paths);
    for (size_t i = 0; i < paths.size(); ++i) {
        const auto below = std::string(paths[i]) + "/";
        if (i + 1 < paths.size() && paths[i + 1] == paths[i])
            throw BadDocument(fmt::format("{}: two secrets have the path {}", what, paths[i]));
        const auto next = std::ranges::lower_bound(paths, below);
        if (next != paths.end() && next->starts_with(below))
            throw BadDocument(fmt::format("{}: {} is a secret and the folder of another", what, paths[i]));
    }
}

age::SecretBytes to_plaintext(const SecretBundle& bundle) {
    require_valid(bundle);
    Json secrets = Json::array();
    size_t content_bytes = 0;
    for (const auto& secret : bundle.secrets) {
        secrets.push_back(to_json(secret));
        content_bytes += secret.content.size();
    }
    const auto header = dump_json({{"v", 1},
                                   {"type", "secrets"},
                                   {"hive", bundle.hive},
                                   {"node", bundle.node},
                                   {"sequence", bundle.sequence},
                                   {"secrets", secrets}});
    if (header.size() > max_secret_header_bytes)
        throw BadDocument(
            fmt::format("{}: its list of secrets is longer than {} bytes", what, max_secret_header_bytes));
    age::SecretBytes plaintext;
    plaintext.reserve(padded_size(header.size() + 1 + content_bytes));
    plaintext.insert(plaintext.end(), header.begin(), header.end());
    plaintext.push_back('\n');
    for (const auto& secret : bundle.secrets)
        plaintext.insert(plaintext.end(), secret.content.begin(), secret.content.end());
    plaintext.resize(padded_size(plaintext.size()), 0);
    return plaintext;
}

SecretBundle parse_secret_bundle(std::string_view plaintext) {
    if (plaintext.size() > max_bundle_plaintext_bytes)
        throw BadDocument(fmt::format("{}: longer than {} bytes", what, max_bundle_plaintext_bytes));
    const auto end = plaintext.substr(0, max_secret_header_bytes + 1).find('\n');
    if (end == plaintext.npos)
        throw BadDocument(fmt::format("{}: its first line does not end", what));
    const auto json = parse_json(plaintext.substr(0, end), what);
    auto rest = plaintext.substr(end + 1);

    Fields fields(json, what);
    fields.header("secrets", 1);
    SecretBundle bundle;
    bundle.hive = fields.name("hive");
    bundle.node = fields.name("node");
    bundle.sequence = fields.integer("sequence", 1);
    const auto& items = fields.array("secrets", max_secrets);
    fields.end();
    bundle.secrets.reserve(items.size());
    for (const auto& item : items) {
        auto described = read_secret(item);
        if (described.bytes > rest.size())
            throw BadDocument(
                fmt::format("{}: it ends before the content of {}", what, in_quotes(described.file.name)));
        const auto content = rest.substr(0, described.bytes);
        rest.remove_prefix(content.size());
        bundle.secrets.push_back({std::move(described.file), {content.begin(), content.end()}});
    }
    if (rest.find_first_not_of('\0') != rest.npos)
        throw BadDocument(fmt::format("{}: there is something after the last content", what));
    require_valid(bundle);
    return bundle;
}

void require_same_target(const SecretBundle& bundle, std::string_view hive, std::string_view node,
                         std::int64_t sequence) {
    if (bundle.hive != hive || bundle.node != node)
        throw BadDocument(fmt::format("{}: it is for node {} of hive {}, not for {} of {}", what, bundle.node,
                                      bundle.hive, node, hive));
    if (bundle.sequence != sequence)
        throw BadDocument(fmt::format("{}: it belongs to the deployment with sequence {}, not to that with {}", what,
                                      bundle.sequence, sequence));
}

Secrets replace_by(std::string_view sealed) {
    return {.keep = false, .sha256 = sha256(sealed), .bytes = sealed.size()};
}

} // namespace waggle::protocol
