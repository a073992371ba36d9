#include "agent/secrets/installation.hpp"

#include "shared/base/file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace waggle::agent {

using protocol::Secret;

namespace {

std::string folder_of(std::string_view path) {
    return std::filesystem::path(path).parent_path().string();
}

std::string file_name_of(std::string_view path) {
    return std::filesystem::path(path).filename().string();
}

bool is_as_wanted(const struct stat& about, const Ownership& owner) {
    constexpr mode_t mode_bits = 07777;
    return about.st_uid == owner.user && about.st_gid == owner.group && (about.st_mode & mode_bits) == owner.mode;
}

bool has(const protocol::SecretBundle& bundle, std::string_view path) {
    return std::ranges::any_of(bundle.secrets, [&](const Secret& secret) { return secret.file.path == path; });
}

class Installation {
public:
    Installation(const protocol::SecretBundle& bundle, const StageScope& scope, const InstallWorld& environment)
        : bundle_(bundle), scope_(scope), environment_(environment), rules_(rules_of(scope.stage)), list_(load_list()),
          saved_(list_) {}

    InstallOutcome run() {
        remove_cut_off_lists();
        for (const auto& secret : bundle_.secrets)
            if (is_of_stage(secret.file, scope_))
                each_for_itself(secret, [&] { plan(secret); });
        refuse_problems();
        announce();
        write_all_new();
        refuse_problems();
        for (auto& job : jobs_) {
            each_for_itself(*job.secret, [&] { put_in_place(job); });
            refuse_problems();
        }
        if (rules_.removes)
            remove_unwanted();
        save();
        if (!list_problem_.empty())
            outcome_.problems.push_back(list_problem_);
        return std::move(outcome_);
    }

private:
    struct Job {
        const Secret* secret;
        Ownership owner;
        SecretFolder* folder;
        bool content_differs; // from the present file, or there is none
        bool was_there;
        bool written = false;
    };

    // An unreadable list does not prevent an installation. Files that only it named, and that the bundle does not have,
    // stay where they are.
    InstalledList load_list() {
        try {
            return InstalledList::load(environment_.state_dir);
        } catch (const Error& error) {
            list_problem_ =
                fmt::format("{}; starting a new list, so files of removed secrets may be left", error.what());
            return {};
        }
    }

    // Removes what a process left that was killed while it wrote the list. Only one installation runs at a time.
    void remove_cut_off_lists() const {
        try {
            const auto file = InstalledList::file_in(environment_.state_dir);
            remove_leftovers(file.parent_path(), file.filename().string());
        } catch (const std::exception& error) {
            spdlog::debug("the next installation tries again: {}", error.what());
        }
    }

    template <class Part>
    void each_for_itself(const Secret& secret, const Part& part) {
        try {
            part();
        } catch (const Error& error) {
            outcome_.problems.push_back(fmt::format("secret {}: {}", secret.file.name, error.what()));
        }
    }

    // In an all-or-nothing stage, one problem ends the installation, and the temporary files are removed. (After the
    // first rename, where only a broken disk causes a problem, the caller restores the previous secrets.)
    void refuse_problems() {
        if (outcome_.problems.empty() || !rules_.all_or_nothing)
            return;
        for (const auto& job : jobs_)
            job.folder->remove_new(file_name_of(job.secret->file.path));
        throw SecretsNotInstalled(fmt::format("{}", fmt::join(outcome_.problems, "; ")));
    }

    void plan(const Secret& secret) {
        const auto& file = secret.file;
        if (const auto mount = waits_for_mount(file.path, scope_.absent_mounts)) {
            outcome_.waiting.push_back(fmt::format("secret {} waits for {} to be mounted", file.name, *mount));
            announce(file, list_); // otherwise a hive without secrets would assume that there are none to remove
            return;
        }
        const auto owner = ownership_of(file, environment_.accounts);
        if (!owner.missing.empty()) {
            const auto sentence = fmt::format("secret {}: this node has no {}", file.name, owner.missing);
            if (!rules_.unknown_owner_waits)
                throw Error(fmt::format("this node has no {}", owner.missing));
            if (!environment_.accounts.user(file.user) && !SecretFolder::open(folder_of(file.path))) {
                // The folder's owner is unknown as well.
                outcome_.waiting.push_back(sentence +
                                           "; the secret and its folder are created once the account exists");
                announce(file, list_);
                return;
            }
            outcome_.waiting.push_back(sentence + "; only root can read the secret until the account exists");
        }
        auto& folder = folder_at(folder_of(file.path), file.user);
        const auto name = file_name_of(file.path);
        const auto about = folder.look(name);
        const bool differs = !about || !folder.has_content(name, secret.content);
        if (!differs && is_as_wanted(*about, owner)) {
            folder.remove_new(name);
            note_unchanged(secret);
            return;
        }
        jobs_.push_back({.secret = &secret,
                         .owner = owner,
                         .folder = &folder,
                         .content_differs = differs,
                         .was_there = about.has_value()});
    }

    // The file is correct already. Only its entry in the list may be missing.
    void note_unchanged(const Secret& secret) {
        const auto* known = list_.find(secret.file.path);
        list_.put({.name = secret.file.name,
                   .path = secret.file.path,
                   .sequence = bundle_.sequence,
                   .changed = known != nullptr ? known->changed : environment_.clock()});
    }

    // Which folders the path may lead through depends on the secret's owner, so the key includes the owner.
    SecretFolder& folder_at(const std::string& path, const std::string& user) {
        const auto key = std::pair(path, user);
        const auto known = folders_.find(key);
        if (known != folders_.end())
            return known->second;
        return folders_.emplace(key, SecretFolder::make(path, user, environment_.accounts)).first->second;
    }

    // Lists every file before it is written, so that a power cut leaves no unlisted file.
    void announce() {
        auto announced = list_;
        for (const auto& job : jobs_)
            announce(job.secret->file, announced);
        save(announced);
    }
    void announce(const protocol::SecretFile& file, InstalledList& list) {
        if (list.find(file.path) == nullptr)
            list.put({.name = file.name, .path = file.path, .sequence = 0, .changed = environment_.clock()});
    }

    void write_all_new() {
        for (auto& job : jobs_)
            each_for_itself(*job.secret, [&] {
                job.folder->write_new(file_name_of(job.secret->file.path), job.owner.user, job.owner.group,
                                      job.owner.mode, job.secret->content);
                job.written = true;
            });
    }

    void put_in_place(Job& job) {
        if (!job.written)
            return;
        const auto& file = job.secret->file;
        const auto name = file_name_of(file.path);
        const auto* known = list_.find(file.path);
        // A missing file is restored with its previous content.
        const bool same_content =
            !job.content_differs || (!job.was_there && known != nullptr && known->sequence == bundle_.sequence);
        job.folder->put_in_place(name);
        outcome_.written.push_back(file.name);
        if (!same_content) {
            const auto at = environment_.monotonic();
            for (const auto& unit : file.restart_units)
                outcome_.units.push_back({.unit = unit, .reload = false, .at = at});
            for (const auto& unit : file.reload_units)
                outcome_.units.push_back({.unit = unit, .reload = true, .at = at});
        }
        list_.put({.name = file.name,
                   .path = file.path,
                   .sequence = bundle_.sequence,
                   .changed = same_content && known != nullptr ? known->changed : environment_.clock()});
    }

    void remove_unwanted() {
        const auto listed = list_.secrets();
        for (const auto& old : listed) {
            if (has(bundle_, old.path) || waits_for_mount(old.path, scope_.absent_mounts) ||
                (scope_.stage == SecretStage::mount && !is_below(old.path, scope_.mount)))
                continue;
            try {
                if (const auto folder = SecretFolder::open(folder_of(old.path))) {
                    const auto name = file_name_of(old.path);
                    folder->remove_new(name);
                    if (folder->remove(name))
                        outcome_.removed.push_back(old.path);
                }
                list_.drop(old.path);
            } catch (const Error& error) {
                // The secret stays on the list, so the next installation tries again.
                outcome_.problems.push_back(fmt::format("secret {} was not removed: {}", old.name, error.what()));
            }
        }
    }

    void save() { save(list_); }
    void save(const InstalledList& list) {
        if (list == saved_)
            return;
        try {
            list.save(environment_.state_dir);
            saved_ = list;
        } catch (const std::exception& error) {
            // At boot, secrets are restored even if the list cannot be written.
            if (rules_.all_or_nothing)
                throw;
            outcome_.problems.push_back(fmt::format("the list of installed secrets was not written: {}", error.what()));
        }
    }

    const protocol::SecretBundle& bundle_;
    const StageScope& scope_;
    const InstallWorld& environment_;
    const StageRules rules_;
    std::string list_problem_;
    InstalledList list_;
    InstalledList saved_;
    std::map<std::pair<std::string, std::string>, SecretFolder> folders_;
    std::vector<Job> jobs_;
    InstallOutcome outcome_;
};

protocol::SecretStatus look_at(const Secret& secret, const StageScope& scope, const InstallWorld& environment,
                               const InstalledList& list) {
    using State = protocol::SecretStatus::State;
    const auto& file = secret.file;
    protocol::SecretStatus status;
    status.name = file.name;
    status.path = file.path;
    if (const auto* known = list.find(file.path); known != nullptr && known->sequence != 0)
        status.changed = known->changed;
    const auto set = [&](State state, std::string note) {
        status.state = state;
        status.note = std::move(note);
        return status;
    };
    if (const auto mount = waits_for_mount(file.path, scope.absent_mounts))
        return set(State::waits, fmt::format("{} is not mounted", *mount));
    const auto folder = SecretFolder::open(folder_of(file.path));
    const auto name = file_name_of(file.path);
    const auto about = folder ? folder->look(name) : std::nullopt;
    if (!about)
        return set(State::missing, "there is no such file");
    status.owner = fmt::format("{}:{}", environment.accounts.name_of_user(about->st_uid),
                               environment.accounts.name_of_group(about->st_gid));
    status.mode = protocol::permissions_text(about->st_mode & 07777);
    status.written = Time(std::chrono::seconds(about->st_mtim.tv_sec) +
                          std::chrono::milliseconds(about->st_mtim.tv_nsec / 1'000'000));
    const auto owner = ownership_of(file, environment.accounts);
    if (!folder->has_content(name, secret.content))
        return set(State::differs, "its content is not what was deployed");
    if (!owner.missing.empty())
        return set(State::waits, fmt::format("this node has no {}", owner.missing));
    if (!is_as_wanted(*about, owner))
        return set(State::differs, fmt::format("it should be {}:{} {}", file.user, file.group,
                                               protocol::permissions_text(file.permissions)));
    return status;
}

// The status of a file that the bundle no longer has, or nullopt if it is gone.
std::optional<protocol::SecretStatus> look_at_unwanted(const InstalledSecret& old, const StageScope& scope) {
    protocol::SecretStatus status;
    status.name = old.name;
    status.path = old.path;
    status.state = protocol::SecretStatus::State::differs;
    status.note = "it is no longer one of this node's secrets, but its file is still there";
    if (const auto mount = waits_for_mount(old.path, scope.absent_mounts)) {
        status.state = protocol::SecretStatus::State::waits;
        status.note =
            fmt::format("it is no longer one of this node's secrets; it is removed when {} is mounted", *mount);
        return status;
    }
    const auto folder = SecretFolder::open(folder_of(old.path));
    return folder && folder->look(file_name_of(old.path)) ? std::optional(status) : std::nullopt;
}

} // namespace

InstallOutcome install_secrets(const protocol::SecretBundle& bundle, const StageScope& scope,
                               const InstallWorld& environment) {
    return Installation(bundle, scope, environment).run();
}

std::vector<protocol::SecretStatus> look_at_secrets(const protocol::SecretBundle& bundle, const StageScope& scope,
                                                    const InstallWorld& environment) {
    std::vector<protocol::SecretStatus> report;
    const auto list = InstalledList::load(environment.state_dir);
    const auto unreadable = [&](const std::string& name, const std::string& path, const Error& error) {
        protocol::SecretStatus status;
        status.name = name;
        status.path = path;
        status.state = protocol::SecretStatus::State::unreadable;
        status.note = error.what();
        report.push_back(std::move(status));
    };
    for (const auto& secret : bundle.secrets) {
        try {
            report.push_back(look_at(secret, scope, environment, list));
        } catch (const Error& error) {
            unreadable(secret.file.name, secret.file.path, error);
        }
    }
    for (const auto& old : list.secrets()) {
        if (has(bundle, old.path))
            continue;
        try {
            if (auto status = look_at_unwanted(old, scope))
                report.push_back(std::move(*status));
        } catch (const Error& error) {
            unreadable(old.name, old.path, error);
        }
    }
    return report;
}

} // namespace waggle::agent
