#include "trigger/hive/flake.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"
#include "trigger/hive/nix_error.hpp"
#include "trigger/hive/nix_string.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace waggle::trigger {

using protocol::Fields;
using protocol::Json;

namespace {

constexpr auto fetch_time = std::chrono::minutes(20); // inputs may be downloaded
constexpr auto hash_time = std::chrono::minutes(5);
constexpr size_t max_lock_bytes = 64 << 20;
constexpr std::int64_t max_time = std::int64_t{1} << 53;

std::string get_flake(const std::string& url) {
    return fmt::format("flake = builtins.getFlake {};", nix_string(url));
}

std::string in_query(std::string_view text) {
    std::string encoded;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           std::string_view("-._~/").find(c) != std::string_view::npos;
        encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return encoded;
}

} // namespace

LockedFlake locked_flake_from_json(const Json& json,
                                   const std::function<std::string(const std::filesystem::path&)>& hash) {
    Fields fields(json, "Nix's answer about the flake");
    Fields locked(fields.object("locked"), "the locked flake");
    const std::string path = fields.string("path");
    const auto nix_path = nix::StorePath::parse_absolute(path);
    if (locked.has("rev")) {
        std::string url = fields.string("url");
        if (locked.has("submodules") && locked.boolean("submodules") && url.find("submodules=") == std::string::npos)
            url += "&submodules=1"; // Nix 2.8 omits it; `rev` precedes it, hence the "&"
        return {.url = url,
                .nix = get_flake(url),
                .source = nix_path,
                .git = protocol::GitRevision{.rev = locked.string("rev"), .dirty = false}};
    }

    // The tree is being edited, in git or not. Use its store copy, because the tree itself may change between two
    // evaluators.
    const std::string nar_hash = locked.has("narHash") ? locked.string("narHash") : hash(path);
    LockedFlake flake{
        .url = fmt::format("path:{}?narHash={}", path, in_query(nar_hash)), .nix = {}, .source = nix_path, .git = {}};
    std::string last_modified;
    if (locked.has("lastModified")) {
        last_modified = std::to_string(locked.integer("lastModified", 0, max_time));
        flake.url += "&lastModified=" + last_modified;
    }
    flake.nix = get_flake(flake.url);
    if (locked.has("dir")) {
        const std::string dir = locked.string("dir");
        flake.url += "&dir=" + in_query(dir); // Nix 2.8 does not understand the URL with it
        flake.nix =
            fmt::format("tree = builtins.fetchTree {{ type = \"path\"; path = {}; narHash = {}; {} }}; dir = {};",
                        nix_string(path), nix_string(nar_hash),
                        last_modified.empty() ? "" : fmt::format("lastModified = {};", last_modified), nix_string(dir));
    }
    constexpr std::string_view dirty = "-dirty";
    if (locked.has("dirtyRev")) {
        std::string rev = locked.string("dirtyRev");
        if (rev.ends_with(dirty))
            rev.resize(rev.size() - dirty.size());
        flake.git = protocol::GitRevision{.rev = rev, .dirty = true};
    }
    return flake;
}

std::string nar_hash(const std::filesystem::path& folder, const Interrupt& interrupt) {
    const RunResult result = run({.argv = {"nix-hash", "--type", "sha256", folder.string()}, .extra_environment = {}},
                                 {.deadline = deadline_in(hash_time), .on_stderr_line = {}, .interrupt = &interrupt});
    const std::optional<Bytes> bytes = from_hex(result.out.substr(0, result.out.find('\n')));
    if (!result.status.success() || !bytes)
        throw EvaluationError(
            fmt::format("nix-hash cannot read {}: {}", folder.string(), nix_error(result.err_tail, false)));
    return "sha256-" + to_base64(*bytes);
}

bool has_its_locks(const Json& json) {
    if (!json.contains("locks") || !json.contains("path") || !json["path"].is_string())
        return true;
    const Json& locks = json["locks"];
    std::filesystem::path file = json["path"].get<std::string>();
    if (const Json locked = json.value("locked", Json::object()); locked.contains("dir") && locked["dir"].is_string())
        file /= locked["dir"].get<std::string>();
    file /= "flake.lock";
    if (!std::filesystem::exists(file))
        return locks.value("nodes", Json::object()).size() <= 1; // only the flake itself
    return protocol::parse_json(read_file(file, max_lock_bytes), file.string()) == locks;
}

LockedFlake lock_flake(const std::string& flake, const NixOptions& nix, const Interrupt& interrupt,
                       const std::function<void(std::string_view)>& on_line) {
    Command command{
        .argv = {"nix", "--extra-experimental-features", std::string(flake_features), "flake", "metadata", "--json"},
        .extra_environment = {}};
    const std::vector<std::string> words = arguments(nix, std::nullopt);
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    if (nix.show_trace)
        command.argv.emplace_back("--show-trace");
    command.argv.insert(command.argv.end(), {"--", flake});

    const auto ask = [&] {
        bool in_error = false; // lines from the error on are thrown
        const auto line = [&](std::string_view text) {
            in_error = in_error || text.find("error:") != std::string_view::npos;
            if (!in_error && !text.empty())
                on_line(text);
        };
        const RunResult result =
            run(command, {.deadline = deadline_in(fetch_time), .on_stderr_line = line, .interrupt = &interrupt});
        interrupt.check(); // Ctrl-C reaches the child as well
        if (!result.status.success())
            throw EvaluationError(fmt::format("{}: {}", flake, nix_error(result.err_tail, nix.show_trace)));
        return protocol::parse_json(result.out, "Nix's answer about the flake");
    };
    Json answer = ask();
    if (!has_its_locks(answer)) // it was just written, and some versions report the tree without it
        answer = ask();
    return locked_flake_from_json(answer, [&](const auto& path) { return nar_hash(path, interrupt); });
}

} // namespace waggle::trigger
