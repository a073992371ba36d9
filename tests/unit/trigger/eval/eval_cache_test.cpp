#include "shared/base/file.hpp"
#include "trigger/eval/eval_cache.hpp"
#include "trigger/eval/eval_key.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace waggle::trigger {
namespace {

namespace fs = std::filesystem;
using protocol::Json;

class EvalCacheTest : public testing::Test {
protected:
    fs::path folder() const { return temporary_.path() / "cache"; }
    std::vector<fs::path> files() const {
        std::vector<fs::path> found;
        if (fs::exists(folder())) {
            for (const fs::directory_entry& entry : fs::directory_iterator(folder()))
                found.push_back(entry.path());
        }
        return found;
    }
    TemporaryFolder temporary_;
};

TEST_F(EvalCacheTest, FindsEntriesOnlyUnderTheSameKey) {
    EvalCache cache(folder(), "a");
    EXPECT_FALSE(cache.find("info"));
    cache.add("info", {{"nodes", {"alpha"}}});
    cache.save();
    const EvalCache same(folder(), "a");
    ASSERT_TRUE(same.find("info"));
    EXPECT_EQ(*same.find("info"), Json({{"nodes", {"alpha"}}}));
    EXPECT_FALSE(EvalCache(folder(), "b").find("info"));
}

TEST_F(EvalCacheTest, KeepsEntriesThatAnotherRunSavedMeanwhile) {
    EvalCache one(folder(), "a"), other(folder(), "a");
    one.add("node alpha", 1);
    other.add("node beta", 2);
    one.save();
    other.save();
    const EvalCache both(folder(), "a");
    EXPECT_TRUE(both.find("node alpha"));
    EXPECT_TRUE(both.find("node beta"));
}

TEST_F(EvalCacheTest, DoesNotUseAFolderThatIsALink) {
    fs::create_directory(temporary_.path() / "elsewhere");
    EvalCache(temporary_.path() / "elsewhere", "a").save();
    fs::create_directory_symlink(temporary_.path() / "elsewhere", folder());
    EvalCache cache(folder(), "a");
    cache.add("info", 1);
    cache.save();
    EXPECT_TRUE(files().empty());
}

TEST_F(EvalCacheTest, DoesNotUseAFolderThatOthersCanWriteTo) {
    EvalCache first(folder(), "a");
    first.add("info", 1);
    first.save();
    ASSERT_TRUE(EvalCache(folder(), "a").find("info"));
    for (const mode_t mode : {0777U, 0770U, 01777U}) {
        ASSERT_EQ(::chmod(folder().c_str(), mode), 0);
        EXPECT_FALSE(EvalCache(folder(), "a").find("info"));
    }
    ASSERT_EQ(::chmod(folder().c_str(), 0755), 0); // others could only read
    EXPECT_TRUE(EvalCache(folder(), "a").find("info"));
    EXPECT_EQ(fs::status(folder()).permissions(), fs::perms::owner_all);
}

TEST_F(EvalCacheTest, DoesNotUseFilesOrFoldersOfAnotherUser) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "only root can give files away";
    EvalCache first(folder(), "a");
    first.add("info", 1);
    first.save();
    constexpr uid_t other = 65534;
    ASSERT_EQ(::chown(files().front().c_str(), other, other), 0);
    EXPECT_FALSE(EvalCache(folder(), "a").find("info"));
    ASSERT_EQ(::chown(files().front().c_str(), 0, 0), 0);
    ASSERT_EQ(::chown(folder().c_str(), other, other), 0);
    EXPECT_FALSE(EvalCache(folder(), "a").find("info"));
}

TEST_F(EvalCacheTest, DoesNotFollowALinkToAFile) {
    EvalCache first(folder(), "a");
    first.add("info", 1);
    first.save();
    const fs::path file = files().front(), moved = temporary_.path() / "moved";
    fs::rename(file, moved);
    fs::create_symlink(moved, file);
    EXPECT_FALSE(EvalCache(folder(), "a").find("info"));
}

TEST(EvalCacheFolder, IsBelowTheHomeThatThePasswordDatabaseNames) {
    const std::optional<std::string> home = std::getenv("HOME") ? std::optional(std::getenv("HOME")) : std::nullopt;
    const std::optional<std::string> cache =
        std::getenv("XDG_CACHE_HOME") ? std::optional(std::getenv("XDG_CACHE_HOME")) : std::nullopt;
    ::unsetenv("XDG_CACHE_HOME");
    for (const char* not_one : {"", "relative"}) {
        ::setenv("HOME", not_one, 1);
        const std::optional<fs::path> folder = eval_cache_folder();
        const passwd* entry = ::getpwuid(::geteuid());
        if (entry && *entry->pw_dir == '/')
            EXPECT_EQ(folder, fs::path(entry->pw_dir) / ".cache/waggle/eval");
        else
            EXPECT_EQ(folder, std::nullopt);
    }
    home ? ::setenv("HOME", home->c_str(), 1) : ::unsetenv("HOME");
    if (cache)
        ::setenv("XDG_CACHE_HOME", cache->c_str(), 1);
}

TEST_F(EvalCacheTest, IsReadableOnlyByItsOwner) {
    EvalCache cache(folder(), "a");
    cache.add("info", 1);
    cache.save();
    ASSERT_EQ(files().size(), 1u);
    EXPECT_EQ(fs::status(files().front()).permissions() & fs::perms::mask,
              fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(EvalCacheTest, NeverHoldsTheTextOfASecret) {
    const auto with_text = [](const Json& text) {
        return Json{{"deployment", {{"keys", {{"token", {{"text", text}, {"user", "root"}}}}}}}, {"drvPath", "x"}};
    };
    EXPECT_TRUE(holds_secret(with_text("hunter2")));
    EXPECT_FALSE(holds_secret(with_text(nullptr)));
    EXPECT_FALSE(holds_secret({{"deployment", {{"tags", {"text"}}}}}));
    EXPECT_TRUE(holds_secret({{"keys", {{"token", {{"text", "hunter2"}}}}}})); // deployment options alone
    EXPECT_FALSE(holds_secret(7));

    EvalCache cache(folder(), "a");
    cache.add("node alpha", with_text("hunter2"));
    cache.add("node beta", with_text(nullptr));
    cache.save();
    const EvalCache read(folder(), "a");
    EXPECT_FALSE(read.find("node alpha"));
    EXPECT_TRUE(read.find("node beta"));
    EXPECT_EQ(read_file(files().front(), 1 << 20).find("hunter2"), std::string::npos);
}

TEST_F(EvalCacheTest, ADamagedFileIsIgnoredAndReplaced) {
    EvalCache cache(folder(), "a");
    cache.add("info", 1);
    cache.save();
    std::ofstream(files().front()) << R"({"v": 1, "key": "a", "answ)";
    EvalCache damaged(folder(), "a");
    EXPECT_FALSE(damaged.find("info"));
    damaged.add("info", 2);
    damaged.save();
    EXPECT_EQ(*EvalCache(folder(), "a").find("info"), 2);
}

TEST_F(EvalCacheTest, WithoutAKeyItKeepsNothing) {
    EvalCache cache;
    cache.add("info", 1);
    cache.save();
    EXPECT_FALSE(cache.find("info"));
}

TEST_F(EvalCacheTest, AFolderThatCannotBeCreatedIsNotAnError) {
    std::ofstream(temporary_.path() / "cache") << "a file";
    EvalCache cache(folder(), "a");
    cache.add("info", 1);
    cache.save();
}

TEST_F(EvalCacheTest, KeepsALimitedNumberOfFiles) {
    for (int i = 0; i < 40; ++i) {
        EvalCache cache(folder(), std::to_string(i));
        cache.add("info", i);
        cache.save();
    }
    EXPECT_EQ(files().size(), 32u);
    EXPECT_TRUE(EvalCache(folder(), "39").find("info"));
}

TEST_F(EvalCacheTest, TheHashOfFilesCoversNamesAndContents) {
    const auto write = [&](const char* name, const char* text) { std::ofstream(temporary_.path() / name) << text; };
    fs::create_directory(temporary_.path() / "below");
    write("a.nix", "1");
    write("below/b.nix", "2");
    const std::string before = hash_of_files(temporary_.path());
    EXPECT_EQ(hash_of_files(temporary_.path()), before);
    write("below/b.nix", "3");
    const std::string changed = hash_of_files(temporary_.path());
    EXPECT_NE(changed, before);
    fs::rename(temporary_.path() / "a.nix", temporary_.path() / "c.nix");
    EXPECT_NE(hash_of_files(temporary_.path()), changed);
}

} // namespace
} // namespace waggle::trigger
