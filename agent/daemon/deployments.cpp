#include "agent/daemon/deployments.hpp"

#include "agent/node/gc_roots.hpp"
#include "agent/node/operators.hpp"
#include "agent/secrets/installed.hpp"
#include "shared/base/error.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace waggle::agent {

namespace {

constexpr std::chrono::seconds version_timeout{5};    // for the nix daemon's handshake
constexpr std::chrono::seconds last_words_timeout{5}; // the last line takes up to 2 s to reach the journal

// If the list is unreadable, assumes that secrets exist, so that a hive without secrets still removes them.
bool holds_secrets(const std::filesystem::path& state_dir) {
    try {
        return !InstalledList::load(state_dir).secrets().empty();
    } catch (const std::exception& error) {
        spdlog::warn("{}", error.what());
        return true;
    }
}

} // namespace

Deployments::Deployments(Environment& environment, std::function<void()> on_end)
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
    environment_.archive.note(*record);
    remove_left_boot_watch();
    // The node has rebooted since the one-time boot was prepared, so the deployment resumes.
    if (record->state == protocol::DeploymentState::awaiting_reboot && record->outcome &&
        environment_.host.boot_id() != record->boot_id)
        record = environment_.state.change([](State& all) { all.deployment->outcome.reset(); }).deployment;
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
                            .running = holder(),
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
    const LastAdmitted admitted{.id = document.id(),
                                .sequence = admission.deployment->sequence,
                                .created = admission.created,
                                .operator_key = admission.operator_key->fingerprint()};
    auto run = std::make_shared<DeploymentRun>(environment_, *admission.deployment, admitted);
    remember_end();
    try {
        if (environment_.state.condition() == StateKeeper::Condition::corrupt) { // a reset was requested
            spdlog::warn("resetting the state at the request of {}; the old state file becomes {}.corrupt",
                         admission.operator_key->fingerprint(), StateKeeper::file_in(environment_.state_dir).string());
            environment_.state.reset();
        }
        run->begin();
    } catch (const std::exception& error) {
        if (const auto record = environment_.state.get().deployment)
            environment_.archive.note(*record); // if it was written after all
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
    std::optional<protocol::Running> under_way;
    {
        const std::lock_guard lock(mutex_);
        under_way = running();
    }
    return builds_.begin(document, {.operators = operators, .exporter = exporter, .running = under_way});
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
    std::shared_ptr<DeploymentRun> run;
    {
        const std::lock_guard lock(mutex_);
        run = newest_;
    }
    if (run && run->has_ended())
        run->events().await_end(deadline_in(last_words_timeout));
}

void Deployments::ended() noexcept {
#ifdef __GLIBC__
    ::malloc_trim(0); // a closure list and its store queries took some MiB, which an idle agent does not need
#endif
    remember_end();
    remove_left_boot_watch();
    try {
        on_end_();
    } catch (const std::exception& error) {
        spdlog::error("{}", error.what());
    }
}

// Adds the newest ended deployment to the history. This also happens before the next deployment replaces the record,
// because the thread that followed the old one may not have got here yet.
void Deployments::remember_end() noexcept {
    try {
        if (const auto record = environment_.state.get().deployment)
            environment_.archive.note(*record);
    } catch (const std::exception& error) {
        spdlog::error("could not write the end of a deployment to the history: {}", error.what());
    }
}

// Removes a boot watchdog that is left because the process that should have removed it was killed or could not write.
void Deployments::remove_left_boot_watch() noexcept {
    try {
        const auto record = environment_.state.get().deployment;
        if (record && record->outcome && record->state != protocol::DeploymentState::awaiting_reboot &&
            environment_.host.has_boot_watch())
            environment_.units.start_recovery(*record, RecoveryCause::boot_watch);
    } catch (const std::exception& error) {
        spdlog::warn("could not remove the stale boot watchdog: {}", error.what());
    }
}

std::shared_ptr<DeploymentRun> Deployments::find(const protocol::DeploymentId& id) const {
    const std::lock_guard lock(mutex_);
    return newest_ && newest_->id() == id ? newest_ : nullptr;
}

std::optional<protocol::Running> Deployments::holder() const {
    if (!newest_ || newest_->events().ended())
        return std::nullopt;
    return newest_->running();
}

std::optional<protocol::Running> Deployments::running() const {
    return newest_ && newest_->has_ended() ? std::nullopt : holder();
}

bool Deployments::busy() const {
    const std::lock_guard lock(mutex_);
    return holder().has_value();
}

void Deployments::tidy() const {
    const auto record = environment_.state.get().deployment;
    if (record && !busy())
        GcRoots(environment_.state_dir).tidy(*record, environment_.host, environment_.clock());
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

protocol::Message Deployments::check_health() const {
    try {
        return environment_.check_health();
    } catch (const std::exception& error) {
        return protocol::Refused{"health-checks-not-run", error.what()};
    }
}

protocol::Message Deployments::secrets() const {
    try {
        return environment_.report_secrets();
    } catch (const std::exception& error) {
        return protocol::Refused{"secrets-not-looked-at", error.what()};
    }
}

protocol::Message Deployments::reboot() {
    const std::lock_guard lock(mutex_);
    if (const auto under_way = running())
        return protocol::Refused{"busy", fmt::format("deployment {} of {} has been {} since {}", under_way->id.brief(),
                                                     under_way->operator_key, to_string(under_way->state),
                                                     to_rfc3339(under_way->since))};
    try {
        auto boot_id = environment_.host.boot_id();
        environment_.reboot();
        return protocol::Rebooting{std::move(boot_id)};
    } catch (const std::exception& error) {
        return protocol::Refused{"reboot-failed", error.what()};
    }
}

protocol::Message Deployments::history(std::uint64_t limit) {
    remember_end(); // a rollback at the console may have changed the newest record
    const auto most = static_cast<size_t>(std::min<std::uint64_t>(limit, protocol::max_history_entries));
    return protocol::History{environment_.archive.history(most)};
}

std::variant<protocol::Refused, Archive::Kept> Deployments::recall(std::optional<std::uint64_t> generation) const {
    if (!generation)
        generation = environment_.archive.previous(environment_.host.profile());
    if (!generation)
        return protocol::Refused{"unknown-generation", "this node knows no deployment before the running one"};
    if (auto kept = environment_.archive.find(*generation))
        return std::move(*kept);
    return protocol::Refused{
        "unknown-generation",
        fmt::format("generation {0} was not made by a deployment that this node still knows; if `nix-env --profile "
                    "/nix/var/nix/profiles/system --list-generations` lists it, run on the node: nix-env --profile "
                    "/nix/var/nix/profiles/system --switch-generation {0}, then "
                    "/nix/var/nix/profiles/system/bin/switch-to-configuration switch",
                    *generation)};
}

std::vector<ssh::PublicKey> Deployments::operators() const {
    return operators_of(environment_.state.get(), environment_.configured).current;
}

protocol::Facts Deployments::facts(int session_version) const {
    protocol::Facts facts;
    facts.version = session_version;
    facts.agent_version = WAGGLE_VERSION;
    facts.system = environment_.self.system;
    try {
        facts.nix_version = environment_.open_store(version_timeout)->nix_version();
    } catch (const std::exception& error) {
        spdlog::warn("the nix daemon does not answer: {}", error.what());
    }
    std::vector<std::string> failed_units;
    try {
        failed_units = environment_.host.failed_units();
    } catch (const std::exception& error) {
        spdlog::warn("which units have failed is unknown: {}", error.what());
    }
    const auto absolute = [](const std::optional<nix::StorePath>& path) {
        return path ? std::optional(path->absolute()) : std::nullopt;
    };
    facts.current_system = absolute(environment_.host.current_system());
    facts.booted_system = absolute(environment_.host.booted_system());
    facts.profile = absolute(environment_.host.profile());
    if (const auto last = environment_.state.get().last_admitted) {
        facts.last_sequence = last->sequence;
        facts.last_admitted = last->id;
    }
    facts.time = environment_.clock();
    const std::lock_guard lock(mutex_);
    facts.running = running();
    if (newest_ && newest_->awaits_confirmation())
        facts.awaits_confirmation = newest_->id();
    facts.boot_id = environment_.host.boot_id();
    facts.holds_secrets = holds_secrets(environment_.state_dir);
    facts.failed_units = std::move(failed_units);
    return facts;
}

} // namespace waggle::agent
