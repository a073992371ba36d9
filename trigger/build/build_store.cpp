#include "trigger/build/build_store.hpp"

#include "trigger/connect/ssh_destination.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>

namespace waggle::trigger {

namespace {

constexpr std::string_view ssh_scheme = "ssh-ng://";
constexpr std::string_view gc_roots = "waggle-gcroots"; // in the home folder on that host

// ssh must not prompt, because there is no one to answer, and a dead builder must not delay the run for hours.
constexpr std::string_view ssh_options = "-o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=30";

bool is_one_of(std::string_view url, std::initializer_list<std::string_view> schemes) {
    for (const std::string_view scheme : schemes)
        if (url.starts_with(scheme))
            return true;
    return false;
}

std::string parameter(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::string_view item = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), item.size() + 1));
        if (item.starts_with(name) && item.substr(name.size()).starts_with('='))
            return std::string(item.substr(name.size() + 1));
    }
    return {};
}

// Quotes a word for the remote shell.
std::string for_shell(std::string_view word) {
    std::string text = "'";
    for (const char c : word)
        text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return text + "'";
}

} // namespace

BuildStore BuildStore::parse(const std::string& url) {
    const auto refuse = [&](std::string_view reason) {
        return Error(fmt::format("--build-store {}: {}; write it as ssh-ng://HOST, unix://SOCKET or local?root=/FOLDER",
                                 url.empty() ? "''" : url, reason));
    };
    if (is_one_of(url, {"http://", "https://", "s3://", "file://"}))
        throw refuse("that is a binary cache, in which nothing can be built");
    if (url.starts_with("ssh://"))
        throw refuse("by that protocol nothing is kept from the garbage collector while it is deployed");
    BuildStore store;
    store.url_ = url;
    if (url.starts_with(ssh_scheme)) {
        const std::string_view rest = std::string_view(url).substr(ssh_scheme.size());
        const size_t query = std::min(rest.find('?'), rest.size());
        store.host_ = rest.substr(0, query);
        store.ssh_key_ = parameter(rest.substr(std::min(query + 1, rest.size())), "ssh-key");
        const size_t colon = store.host_.rfind(':');
        if (colon != std::string::npos && store.host_.find(']', colon) == std::string::npos &&
            (store.host_.find(':') == colon || store.host_[colon - 1] == ']')) {
            store.port_ = store.host_.substr(colon + 1);
            store.host_.resize(colon);
        }
        if (const size_t bracket = store.host_.find('['); bracket != std::string::npos && store.host_.ends_with(']')) {
            store.host_.erase(bracket, 1); // ssh takes an IPv6 address without brackets
            store.host_.pop_back();
        }
        if (store.host_.empty() || store.host_.starts_with('-') ||
            store.host_.find_first_of(" /'\"") != std::string::npos)
            throw refuse("there is no host in it");
        return store;
    }
    const bool other = url.starts_with('/') || url.starts_with("local?") || url.starts_with("unix://");
    if (!other || url.find_first_of(" \t\n") != std::string::npos)
        throw refuse("that is no store to build in");
    return store;
}

Command BuildStore::on_this_machine(std::vector<std::string> argv) const {
    Command command{.argv = std::move(argv), .extra_environment = {}};
    if (is_by_ssh()) { // ssh uses the first value of an option, so the user's own options come first
        const char* own = std::getenv("NIX_SSHOPTS");
        command.extra_environment["NIX_SSHOPTS"] =
            fmt::format("{} {} {}", own ? own : "", fmt::join(ssh_configuration_option(), " "), ssh_options);
    }
    return command;
}

Command BuildStore::daemon() const {
    Command command = on_this_machine({"nix-daemon", "--stdio"});
    command.extra_environment["NIX_REMOTE"] = url_;
    return command;
}

Command BuildStore::nix_store() const {
    return on_this_machine({"nix-store", "--store", url_});
}

Command BuildStore::copy_derivations() const {
    return on_this_machine({"nix", "--extra-experimental-features", "nix-command", "copy", "--derivation",
                            "--no-check-sigs", "--to", url_});
}

Command BuildStore::add_root(const std::string& hive, const std::string& node, const nix::StorePath& path) const {
    Command command{.argv = {"ssh"}, .extra_environment = {}};
    const auto add = [&](const std::vector<std::string>& words) {
        command.argv.insert(command.argv.end(), words.begin(), words.end());
    };
    add(ssh_configuration_option());
    add({"-o", "BatchMode=yes", "-o", "ConnectTimeout=20"});
    if (!port_.empty())
        add({"-p", port_});
    if (!ssh_key_.empty())
        add({"-i", ssh_key_});
    add({"--", host_,
         fmt::format("nix-store --add-root {} --indirect --realise {}",
                     for_shell(fmt::format("{}/{}/node-{}", gc_roots, hive, node)), path.absolute())});
    return command;
}

std::optional<BuildStore> build_store(const NixOptions& nix) {
    if (!nix.build_store)
        return std::nullopt;
    return BuildStore::parse(*nix.build_store);
}

std::string explain_store_failure(const BuildStore& store, std::string_view said) {
    std::string_view advice;
    if (said.find("signature") != said.npos)
        advice =
            "\nThe store there takes unsigned paths from its trusted users only: name the user in trusted-users of "
            "its nix.conf, or sign what is built here.";
    else if (said.find("is not allowed to connect") != said.npos)
        advice = "\nThe user must be one of the allowed-users of its nix.conf.";
    else if (store.is_by_ssh() && said.find("not found") != said.npos)
        advice = "\nNix must be installed there, and its nix-daemon in the PATH of a login by SSH.";
    return fmt::format("the build store {}: {}{}", store.url(), said, advice);
}

} // namespace waggle::trigger
