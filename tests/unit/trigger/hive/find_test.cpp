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
    const HivePlace place = find_hive(std::nullopt, folder());
    EXPECT_EQ(place.file, folder() / "hive.nix");
    EXPECT_EQ(place.folder, folder());
    EXPECT_FALSE(place.is_flake());
}

TEST_F(FindHive, FindsItInAParentFolder) {
    write("hive.nix");
    fs::create_directories(folder() / "a/b");
    EXPECT_EQ(find_hive(std::nullopt, folder() / "a/b").file, folder() / "hive.nix");
}

TEST_F(FindHive, TheNearestOneWins) {
    write("flake.nix");
    write("a/hive.nix");
    fs::create_directories(folder() / "a/b");
    EXPECT_EQ(find_hive(std::nullopt, folder() / "a/b").file, folder() / "a/hive.nix");
}

TEST_F(FindHive, AFlakeWinsInTheSameFolder) {
    write("hive.nix");
    write("flake.nix");
    for (const auto& named :
         {std::optional<fs::path>(), std::optional<fs::path>("."), std::optional<fs::path>("flake.nix")}) {
        const HivePlace place = find_hive(named, folder());
        EXPECT_EQ(place.flake, folder().string());
        EXPECT_EQ(place.folder, folder());
        EXPECT_FALSE(place.output);
        EXPECT_TRUE(place.is_local);
    }
    EXPECT_EQ(find_hive("hive.nix", folder()).file, folder() / "hive.nix");
}

TEST_F(FindHive, UsesTheNamedFile) {
    write("a/other.nix");
    EXPECT_EQ(find_hive("a/other.nix", folder()).file, folder() / "a/other.nix");
}

TEST_F(FindHive, UsesTheNamedFolder) {
    write("a/hive.nix");
    for (const char* named : {"a", "a/", "./a"})
        EXPECT_EQ(find_hive(named, folder()).file, folder() / "a/hive.nix") << named;
}

TEST_F(FindHive, TakesAFlakeReference) {
    write("hive.nix");
    for (const char* named : {"github:bees/hive", "git+https://example.org/hive?ref=main", "git+file:///srv/hive"}) {
        const HivePlace place = find_hive(named, folder());
        EXPECT_EQ(place.flake, named);
        EXPECT_FALSE(place.is_local);
        EXPECT_EQ(place.folder, folder());
    }
}

TEST_F(FindHive, TakesAnOutputOfAFlake) {
    write("flake.nix");
    write("a/hive.nix");
    write("c#d/hive.nix");
    fs::create_directories(folder() / "b");
    EXPECT_EQ(find_hive("github:bees/hive#colmena", folder()).flake, "github:bees/hive");
    EXPECT_EQ(find_hive("github:bees/hive#colmena", folder()).output, "colmena");
    EXPECT_EQ(find_hive(".#colmena", folder()).flake, folder().string());
    EXPECT_EQ(find_hive(".#colmena", folder()).output, "colmena");
    EXPECT_EQ(find_hive("#colmena", folder() / "b").flake, folder().string());
    EXPECT_EQ(find_hive("#colmena", folder() / "b").to_string(), folder().string() + "#colmena");
    EXPECT_FALSE(find_hive(".#", folder()).output);
    EXPECT_EQ(find_hive("c#d", folder()).file, folder() / "c#d/hive.nix");
    EXPECT_THAT([&] { find_hive("a#colmena", folder()); }, ThrowsMessage<Error>(HasSubstr("no output “colmena”")));
}

TEST_F(FindHive, NamesWhereItSearched) {
    EXPECT_THAT([&] { find_hive(std::nullopt, folder()); }, ThrowsMessage<Error>(HasSubstr(folder().string())));
    EXPECT_THAT([&] { find_hive("gone.nix", folder()); },
                ThrowsMessage<Error>(HasSubstr((folder() / "gone.nix").string())));
    EXPECT_THAT([&] { find_hive(".", folder()); }, ThrowsMessage<Error>(HasSubstr("has no flake.nix and no hive.nix")));
}

} // namespace
} // namespace waggle::trigger
