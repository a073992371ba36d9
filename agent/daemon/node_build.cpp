#include "agent/daemon/node_build.hpp"

#include "agent/state/retention.hpp"
#include "shared/base/file.hpp"
#include "shared/net/connection.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds end_timeout{20}; // for a cancelled build to end; its builders are killed first
constexpr std::uint64_t max_lines = 20'000;     // the build log on the node has the rest

protocol::BuildProgress to_message(const FetchProgress& progress) {
    return {.paths_done = progress.paths_done,
            .paths_total = progress.paths_total,
            .bytes_done = progress.bytes_done,
            .bytes_total = progress.bytes_total};
}

} // namespace

TargetBuild::TargetBuild(const Environment& environment, protocol::BuildRequest request,
                         const protocol::DeploymentId& id, std::string operator_key, std::function<void()> on_end)
    : environment_(environment), request_(std::move(request)), id_(id), operator_key_(std::move(operator_key)),
      on_end_(std::move(on_end)) {}

TargetBuild::~TargetBuild() {
    store_.reset(); // the nix daemon's worker ends with its connection
    on_end_();
}

void TargetBuild::open_store() {
    store_ = environment_.open_store(environment_.store_timeout);
}

std::optional<protocol::NotBuilt> TargetBuild::fetch(Feed& feed, const Tell& tell) {
    try {
        store_->watch_waits(interrupt_, [&](const std::string& text) { tell(protocol::BuildLine{text}); });
        const auto list = receive_closure_list(request_.derivations, request_.drv, feed);
        // A derivation's store path depends on its content. For other paths, the node's own content under a signed name
        // is accepted. This list is separate from that of deployments, because a deployment may begin to fetch
        // meanwhile.
        UnsyncedPaths unsynced(environment_.state_dir / "unsynced-build", environment_.host.boot_id());
        const auto fetched =
            agent::fetch(list, *store_, feed, unsynced,
                         {.local_content = protocol::LocalContent::trust_node,
                          .free_bytes = environment_.host.free_store_bytes(),
                          .on_progress = [&](const FetchProgress& now) { tell(to_message(now)); },
                          .on_note = [&](const std::string& text) { tell(protocol::BuildLine{text}); }});
        tell(to_message(fetched)); // even if nothing was missing: the build begins
        return std::nullopt;
    } catch (const net::ConnectionLost&) {
        throw;
    } catch (const std::exception&) {
        return explain();
    }
}

std::variant<protocol::NotBuilt, protocol::ClosureList> TargetBuild::build(const Tell& tell) {
    const auto on_line = [&](std::string_view line) {
        if (++lines_ <= max_lines)
            tell(protocol::BuildLine{std::string(line)});
        else if (lines_ == max_lines + 1)
            tell(protocol::BuildLine{"the log has more lines than are sent: `nix log` on the node shows them"});
    };
    try {
        store_->build(request_.drv,
                      {.deadline = deadline_in(request_.timeout), .interrupt = interrupt_, .on_line = on_line});
        store_->sync(); // Nix registers a path before its files are on the disk
        auto list = protocol::make_closure_list(store_->query_closure(request_.toplevel));
        const auto root = environment_.state_dir / "gcroots" / built_root;
        remove_file(root); // the age of the link counts
        store_->add_root(root, request_.toplevel);
        return list;
    } catch (const std::exception&) {
        return explain();
    }
}

protocol::NotBuilt TargetBuild::explain() const {
    const auto because = [&](std::string code, std::string message) {
        return protocol::NotBuilt{id_, std::move(code), std::move(message)};
    };
    try {
        throw;
    } catch (const NotActivated& stopped) {
        return because(stopped.code(), stopped.what());
    } catch (const Interrupted&) {
        return because("cancelled", "the build was cancelled");
    } catch (const nix::BuildFailed& failure) {
        return because("build-failed", failure.what());
    } catch (const nix::DaemonError& error) {
        const auto failure = store_failure(error);
        return because(failure.code, failure.message);
    } catch (const std::exception& error) {
        return because(cancelled() ? "cancelled" : "not-built", error.what());
    }
}

TargetBuilds::Answer TargetBuilds::begin(const protocol::SignedDocument& document, const BuildContext& context) {
    auto admission = admit_build(document, environment_.self, context);
    if (!admission.request) {
        spdlog::warn("a build was refused: {}", admission.refusal.message);
        return admission.refusal;
    }
    const auto fingerprint = admission.require_operator_key().fingerprint();
    std::unique_lock lock(mutex_);
    if (current_ != nullptr && current_->operator_key() == fingerprint &&
        current_->request().drv == admission.request->drv) {
        current_->cancel();
        ended_.wait_until(lock, deadline_in(end_timeout), [&] { return current_ == nullptr; });
    }
    if (current_ != nullptr)
        return protocol::Refused{"busy", fmt::format("this node builds {} for {}", current_->request().drv.absolute(),
                                                     current_->operator_key())};
    auto build =
        std::make_unique<TargetBuild>(environment_, std::move(*admission.request), document.id(), fingerprint, [this] {
            const std::lock_guard gone(mutex_);
            current_ = nullptr;
            ended_.notify_all();
        });
    current_ = build.get();
    lock.unlock(); // a slow nix daemon must not block other sessions
    try {
        build->open_store();
    } catch (const std::exception& error) {
        return protocol::Refused{"nix-daemon-away", fmt::format("the nix daemon does not answer: {}", error.what())};
    }
    spdlog::info("building {} for {}", build->request().drv.absolute(), fingerprint);
    return build;
}

} // namespace waggle::agent
