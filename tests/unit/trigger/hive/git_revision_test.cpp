#include "shared/base/file.hpp"
#include "shared/base/process.hpp"
#include "trigger/hive/git_revision.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

namespace fs = std::filesystem;

class GitRevisionTest : public testing::Test {
protected:
    std::string git(std::vector<std::string> words) const {
        words.insert(words.begin(),
                     {"git", "-C", folder().string(), "-c", "user.name=t", "-c", "user.email=t@example.org"});
        const RunResult result =
            run({.argv = std::move(words),
                 .extra_environment = {{"GIT_CONFIG_NOSYSTEM", "1"}, {"GIT_CONFIG_GLOBAL", "/dev/null"}}},
                {.deadline = deadline_in(std::chrono::seconds(20)), .on_stderr_line = {}});
        EXPECT_TRUE(result.status.success()) << result.err_tail;
        return result.out.substr(0, result.out.find('\n'));
    }
    void commit() const {
        git({"init", "-q"});
        write_file_atomically(folder() / "hive.nix", "{ }", 0644);
        git({"add", "."});
        git({"commit", "-q", "-m", "first"});
    }
    std::optional<protocol::GitRevision> revision(const fs::path& below = {}) const {
        return git_revision(folder() / below, [](std::string_view text) { ADD_FAILURE() << text; });
    }
    const fs::path& folder() const { return temporary_.path(); }

    TemporaryFolder temporary_;
};

TEST_F(GitRevisionTest, NoneOutsideGitAndBeforeTheFirstCommit) {
    EXPECT_FALSE(revision());
    git({"init", "-q"});
    EXPECT_FALSE(revision());
}

TEST_F(GitRevisionTest, FindsTheCommitOfACleanTree) {
    commit();
    fs::create_directories(folder() / "a/b");
    const auto found = revision("a/b");
    ASSERT_TRUE(found);
    EXPECT_EQ(found->rev, git({"rev-parse", "HEAD"}));
    EXPECT_FALSE(found->dirty);
}

TEST_F(GitRevisionTest, AChangedOrUntrackedFileMakesItDirty) {
    commit();
    write_file_atomically(folder() / "new.nix", "", 0644);
    EXPECT_TRUE(revision()->dirty);
    git({"add", "."});
    EXPECT_TRUE(revision()->dirty);
    git({"commit", "-q", "-m", "second"});
    EXPECT_FALSE(revision()->dirty);
    write_file_atomically(folder() / "hive.nix", "{ a = 1; }", 0644);
    EXPECT_TRUE(revision()->dirty);
}

TEST_F(GitRevisionTest, IgnoredFilesAndOurRootsDoNotMakeItDirty) {
    commit();
    fs::create_directories(folder() / ".git/info"); // part of git's templates, which may be elsewhere
    write_file_atomically(folder() / ".git/info/exclude", "*.log\n", 0644);
    write_file_atomically(folder() / "x.log", "", 0644);
    fs::create_directories(folder() / ".gcroots");
    write_file_atomically(folder() / ".gcroots/node-a", "", 0644);
    EXPECT_FALSE(revision()->dirty);
}

TEST_F(GitRevisionTest, ABrokenRepositoryHasNoRevision) {
    commit();
    write_file_atomically(folder() / ".git/HEAD", "nonsense\n", 0644);
    int notes = 0;
    EXPECT_FALSE(git_revision(folder(), [&](std::string_view) { ++notes; }));
    EXPECT_LE(notes, 1);
}

} // namespace
} // namespace waggle::trigger
