#include "trigger/hive/git_revision.hpp"

#include <fmt/format.h>
#include <git2.h>

#include <array>
#include <memory>

namespace waggle::trigger {

namespace {

struct Library {
    Library() { git_libgit2_init(); }
    Library(const Library&) = delete;
    Library& operator=(const Library&) = delete;
    ~Library() { git_libgit2_shutdown(); }
};

struct FreeRepository {
    void operator()(git_repository* repository) const { git_repository_free(repository); }
};
struct FreeStatus {
    void operator()(git_status_list* list) const { git_status_list_free(list); }
};

std::string last_error() {
    const git_error* error = git_error_last();
    return error && error->message ? error->message : "unknown error";
}

bool is_ours(const char* path) {
    const std::string_view text = path ? path : "";
    return text.starts_with(".gcroots/") || text.find("/.gcroots/") != std::string_view::npos;
}

// Returns nullopt if the status cannot be determined.
std::optional<bool> is_dirty(git_repository* repository) {
    git_status_options options;
    if (git_status_options_init(&options, GIT_STATUS_OPTIONS_VERSION) != 0)
        return std::nullopt;
    options.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
    options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
    git_status_list* raw = nullptr;
    if (git_status_list_new(&raw, repository, &options) != 0)
        return std::nullopt;
    const std::unique_ptr<git_status_list, FreeStatus> list(raw);
    for (size_t i = 0; i < git_status_list_entrycount(list.get()); ++i) {
        const git_status_entry* entry = git_status_byindex(list.get(), i);
        const git_diff_delta* delta = entry->index_to_workdir ? entry->index_to_workdir : entry->head_to_index;
        if (!delta || !is_ours(delta->new_file.path))
            return true;
    }
    return false;
}

} // namespace

std::optional<protocol::GitRevision> git_revision(const std::filesystem::path& folder,
                                                  const std::function<void(std::string_view)>& note) {
    const Library library;
    git_repository* raw = nullptr;
    const int opened = git_repository_open_ext(&raw, folder.c_str(), 0, nullptr);
    if (opened == GIT_ENOTFOUND)
        return std::nullopt;
    const auto give_up = [&] {
        note(fmt::format("the git repository of {} cannot be read, so the deployment names no revision: {}",
                         folder.string(), last_error()));
        return std::nullopt;
    };
    if (opened != 0)
        return give_up();
    const std::unique_ptr<git_repository, FreeRepository> repository(raw);

    git_oid head;
    const int found = git_reference_name_to_id(&head, repository.get(), "HEAD");
    if (found == GIT_ENOTFOUND) // no commit yet
        return std::nullopt;
    if (found != 0)
        return give_up();
    const std::optional<bool> dirty = is_dirty(repository.get());
    if (!dirty)
        return give_up();
    std::array<char, GIT_OID_HEXSZ + 1> hex{};
    git_oid_tostr(hex.data(), hex.size(), &head);
    return protocol::GitRevision{.rev = hex.data(), .dirty = *dirty};
}

} // namespace waggle::trigger
