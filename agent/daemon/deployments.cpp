#include "agent/daemon/deployments.hpp"

#include "agent/daemon/housekeeping.hpp"
#include "agent/node/operators.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <exception>
#include <utility>

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds last_words_timeout{5}; // the last line takes up to 2 s to reach the journal

// The deployment that blocks others, including one that has ended but whose output is still being read.
std::optional<protocol::Running> holder(const std::shared_ptr<DeploymentRun>& newest) {
    if (!newest || newest->events().ended())
        return std::nullopt;
    return newest->running();
}

// The deployment that has not ended.
std::optional<protocol::Running> unended(const std::shared_ptr<DeploymentRun>& newest) {
    return newest && newest->has_ended() ? std::nullopt : holder(newest);
}

} // namespace

Deployments::Deployments(const Environment& environment, std::function<void()> on_end)
    : environment_(environment), on_end_(std::move(on_end)) {}

Deployments::~Deployments() {
    stop();
}

void Deployments::stop() {
    stop_.request();
    if (activation_.joinable())
        activation_.join();
}

void Deployments::resume() {
    auto record = environment_.state.get().deployment;
    if (!record)
        return;
    remember_end(environment_);
    remove_left_boot_watch(environment_);
    // The node has rebooted since the one-time boot was prepared, so the deployment resumes.
    if (record->state == protocol::DeploymentState::awaiting_reboot && record->outcome &&
        environment_.host.boot_id() != record->boot_id)
        record = environment_.state.change([](State& all) { all.require_deployment().outcome.reset(); }).deployment;
    const auto run = std::make_shared<DeploymentRun>(environment_, *record);
    const std::lock_guard lock(mutex_);
    newest_ = run;
    if (!run->events().ended())
        watch(run, &DeploymentRun::resume);
}

Admission Deployments::consider(const protocol::SignedDocument& document, Time session_clock) const {
    const auto operators = this->operators();
    auto admission = admit(document, environment_.self,
                           {.operators = operators,
                            .condition = environment_.state.condition(),
                            .state_problem = environment_.state.problem(),
                            .last_admitted = environment_.state.get().last_admitted,
                            .running = holder(newest_),
                            .own_clock = environment_.clock(),
                            .session_clock = session_clock});
    if (admission.kind == Admission::Kind::attach && (!newest_ || newest_->id() != document.id())) {
        admission.kind = Admission::Kind::refused; // its record is gone, only its id is known
        admission.refusal = {"replayed", fmt::format("deployment {} has already been admitted", document.id().brief())};
    }
    if (admission.kind == Admission::Kind::refused)
        spdlog::warn("a deployment was refused: {}", admission.refusal.message);
    return admission;
}

Deployments::Answer Deployments::deploy(const protocol::SignedDocument& document, Time session_clock) {
    await_remaining_output();
    std::unique_ptr<NodeStore> store;
    std::unique_lock lock(mutex_);
    auto admission = consider(document, session_clock);
    if (admission.kind == Admission::Kind::granted) {
        lock.unlock(); // a slow nix daemon must not block other sessions
        try {
            store = environment_.open_store(environment_.store_timeout);
        } catch (const std::exception& error) {
            return protocol::Refused{"nix-daemon-away",
                                     fmt::format("the nix daemon does not answer: {}", error.what())};
        }
        lock.lock();
        admission = consider(document, session_clock); // another session may have been first
    }
    if (admission.kind == Admission::Kind::refused)
        return admission.refusal;
    if (admission.kind == Admission::Kind::attach)
        return Started{.run = newest_, .attached = true, .store = nullptr};
    const auto& deployment = admission.require_deployment();
    const auto signer = admission.require_operator_key().fingerprint();
    const LastAdmitted admitted{
        .id = document.id(), .sequence = deployment.sequence, .created = admission.created, .operator_key = signer};
    auto run = std::make_shared<DeploymentRun>(environment_, deployment, admitted);
    // The thread that followed the previous deployment may not have done this yet, and its record is replaced here.
    remember_end(environment_);
    try {
        if (environment_.state.condition() == StateKeeper::Condition::corrupt) { // a reset was requested
            spdlog::warn("resetting the state at the request of {}; the old state file becomes {}.corrupt", signer,
                         StateKeeper::file_in(environment_.state_dir).string());
            environment_.state.reset();
        }
        run->begin();
    } catch (const std::exception& error) {
        remember_end(environment_); // if it was written after all
        return protocol::Refused{"state-not-written", error.what()};
    }
    environment_.archive.keep_document(document.id(), document);
    newest_ = run;
    return Started{.run = std::move(run), .attached = false, .store = std::move(store)};
}

void Deployments::carry_out(Started started, Feed& feed) {
    const bool staged = started.run->prepare(std::move(started.store), feed);
    if (!staged) {
        ended();
        return;
    }
    const std::lock_guard lock(mutex_);
    watch(std::move(started.run), &DeploymentRun::activate);
}

TargetBuilds::Answer Deployments::begin_build(const protocol::SignedDocument& document,
                                              const protocol::Exporter& exporter) {
    const auto operators = this->operators();
    return builds_.begin(document, {.operators = operators, .exporter = exporter, .running = running()});
}

void Deployments::watch(std::shared_ptr<DeploymentRun> run, void (DeploymentRun::*part)(const Interrupt&)) {
    if (activation_.joinable())
        activation_.join(); // the previous one has ended, otherwise this one would not have been admitted
    activation_ = std::thread([this, run = std::move(run), part] {
        try {
            ((*run).*part)(stop_);
            ended();
        } catch (const Interrupted&) {
            spdlog::info("deployment {} continues without this agent", run->id().brief());
        } catch (const std::exception& error) {
            spdlog::error("deployment {}: {}", run->id().brief(), error.what());
        }
    });
}

void Deployments::await_remaining_output() const {
    if (const auto run = newest(); run && run->has_ended())
        run->events().await_end(deadline_in(last_words_timeout));
}

void Deployments::ended() noexcept {
    clean_up_after_deployment(environment_);
    try {
        on_end_();
    } catch (const std::exception& error) {
        spdlog::error("{}", error.what());
    }
}

std::optional<protocol::Refused> Deployments::confirm(const protocol::DeploymentId& id) {
    const std::lock_guard lock(mutex_);
    if (!newest_ || newest_->id() != id || !newest_->awaits_confirmation())
        return protocol::Refused{"not-awaited",
                                 fmt::format("this agent awaits no confirmation of deployment {}", id.brief())};
    try {
        newest_->confirm();
    } catch (const std::exception& error) {
        return protocol::Refused{"commit-not-started", error.what()};
    }
    return std::nullopt;
}

std::optional<protocol::Running> Deployments::unless_running(const std::function<void()>& action) {
    const std::lock_guard lock(mutex_);
    if (auto under_way = unended(newest_))
        return under_way;
    action();
    return std::nullopt;
}

std::shared_ptr<DeploymentRun> Deployments::newest() const {
    const std::lock_guard lock(mutex_);
    return newest_;
}

std::shared_ptr<DeploymentRun> Deployments::find(const protocol::DeploymentId& id) const {
    auto run = newest();
    return run && run->id() == id ? run : nullptr;
}

std::optional<protocol::Running> Deployments::running() const {
    return unended(newest());
}

std::optional<protocol::DeploymentId> Deployments::awaits_confirmation() const {
    const auto run = newest();
    return run && run->awaits_confirmation() ? std::optional(run->id()) : std::nullopt;
}

bool Deployments::busy() const {
    return holder(newest()).has_value();
}

std::vector<ssh::PublicKey> Deployments::operators() const {
    return operators_of(environment_.state.get(), environment_.configured).current;
}

} // namespace waggle::agent
