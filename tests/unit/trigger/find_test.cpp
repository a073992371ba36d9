#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "trigger/hive/find.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::ThrowsMessage;

class FindHive : public testing::Test {
protected:
    void write(const fs::path& file) const {
        fs::create_directories(folder() / file.parent_path());
        write_file_atomically(folder() / file, "{ }", 0644);
    }
    const fs::path& folder() const { return temporary_.path(); }

    TemporaryFolder temporary_;
};

TEST_F(FindHive, FindsItInTheFolder) {
    write("hive.nix");
    EXPECT_EQ(find_hive(std::nullopt, folder()), folder() / "hive.nix");
}

TEST_F(FindHive, FindsItUpward) {
    write("hive.nix");
    fs::create_directories(folder() / "a/b");
    EXPECT_EQ(find_hive(std::nullopt, folder() / "a/b"), folder() / "hive.nix");
}

TEST_F(FindHive, TheNearestOneWins) {
    write("hive.nix");
    write("a/hive.nix");
    fs::create_directories(folder() / "a/b");
    EXPECT_EQ(find_hive(std::nullopt, folder() / "a/b"), folder() / "a/hive.nix");
}

TEST_F(FindHive, TakesTheFileThatIsNamed) {
    write("a/other.nix");
    EXPECT_EQ(find_hive("a/other.nix", folder()), folder() / "a/other.nix");
}

TEST_F(FindHive, TakesTheFolderThatIsNamed) {
    write("a/hive.nix");
    EXPECT_EQ(find_hive("a", folder()), folder() / "a/hive.nix");
}

TEST_F(FindHive, SaysWhereItLooked) {
    EXPECT_THAT([&] { find_hive(std::nullopt, folder()); }, ThrowsMessage<Error>(HasSubstr(folder().string())));
    EXPECT_THAT([&] { find_hive("gone.nix", folder()); },
                ThrowsMessage<Error>(HasSubstr((folder() / "gone.nix").string())));
    EXPECT_THAT([&] { find_hive(".", folder()); }, ThrowsMessage<Error>(HasSubstr("has no hive.nix")));
}

} // namespace
} // namespace waggle::trigger
