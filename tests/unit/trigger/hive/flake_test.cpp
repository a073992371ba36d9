#include "shared/base/file.hpp"
#include "trigger/hive/source.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace waggle::trigger {
namespace {

using protocol::Json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* path = "/nix/store/00000000000000000000000000000000-source";

std::string no_hash(const std::filesystem::path& folder) {
    ADD_FAILURE() << "hashes " << folder;
    return {};
}

// As Nix 2.8 prints them.
Json metadata(const std::string& locked) {
    Json json =
        Json::parse(R"({"description": "d", "lastModified": 7, "locks": {}, "url": "git+file:///srv/hive?rev=0123"})");
    json["path"] = path;
    json["locked"] = Json::parse(locked);
    return json;
}

TEST(LockedFlakeOf, ACleanTreeIsLockedToItsRevision) {
    const LockedFlake flake = locked_flake_from_json(
        metadata(
            R"({"type": "git", "url": "file:///srv/hive", "rev": "0123", "narHash": "sha256-x", "lastModified": 7})"),
        no_hash);
    EXPECT_EQ(flake.url, "git+file:///srv/hive?rev=0123");
    EXPECT_EQ(flake.nix, R"(flake = builtins.getFlake "git+file:///srv/hive?rev=0123";)");
    EXPECT_EQ(flake.source.absolute(), path);
    ASSERT_TRUE(flake.git);
    EXPECT_EQ(flake.git->rev, "0123");
    EXPECT_FALSE(flake.git->dirty);
}

// Nix 2.8 does not write the submodules into the URL.
TEST(LockedFlakeOf, SubmodulesArePartOfTheUrl) {
    Json json = metadata(R"({"type": "git", "url": "file:///srv/hive", "rev": "0123", "submodules": true})");
    EXPECT_EQ(locked_flake_from_json(json, no_hash).url, "git+file:///srv/hive?rev=0123&submodules=1");
    json["url"] = "git+file:///srv/hive?rev=0123&submodules=1";
    EXPECT_EQ(locked_flake_from_json(json, no_hash).url, "git+file:///srv/hive?rev=0123&submodules=1");
    json["locked"]["submodules"] = false;
    json["url"] = "git+file:///srv/hive?rev=0123";
    EXPECT_EQ(locked_flake_from_json(json, no_hash).url, "git+file:///srv/hive?rev=0123");
}

TEST(LockedFlakeOf, ADirtyTreeIsLockedToItsStoreCopy) {
    const LockedFlake flake = locked_flake_from_json(
        metadata(R"({"type": "git", "url": "file:///srv/hive", "narHash": "sha256-a+b/c=", "lastModified": 7,
                     "dirtyRev": "0123-dirty"})"),
        no_hash);
    EXPECT_EQ(flake.url, std::string("path:") + path + "?narHash=sha256-a%2Bb/c%3D&lastModified=7");
    EXPECT_EQ(flake.nix, "flake = builtins.getFlake \"" + flake.url + "\";");
    ASSERT_TRUE(flake.git);
    EXPECT_EQ(flake.git->rev, "0123");
    EXPECT_TRUE(flake.git->dirty);
}

TEST(LockedFlakeOf, ASubfolderOfADirtyTreeIsFetchedFromItsStoreCopy) {
    const LockedFlake flake = locked_flake_from_json(
        metadata(
            R"({"type": "git", "url": "file:///srv/hive", "narHash": "sha256-a", "lastModified": 7, "dir": "x y"})"),
        no_hash);
    EXPECT_EQ(flake.url, std::string("path:") + path + "?narHash=sha256-a&lastModified=7&dir=x%20y");
    EXPECT_EQ(flake.nix, std::string("tree = builtins.fetchTree { type = \"path\"; path = \"") + path +
                             "\"; narHash = \"sha256-a\"; lastModified = 7; }; dir = \"x y\";");
}

TEST(LockedFlakeOf, ATreeWithoutHashIsHashed) {
    const auto hash = [](const std::filesystem::path& folder) { return folder == path ? "sha256-0" : "wrong"; };
    const LockedFlake flake = locked_flake_from_json(metadata(R"({"type": "path", "path": "/srv/hive"})"), hash);
    EXPECT_EQ(flake.url, std::string("path:") + path + "?narHash=sha256-0");
    EXPECT_FALSE(flake.git);
}

TEST(LocksOfAFlake, MatchTheLockFileOrMustBeWritten) {
    const TemporaryFolder tree;
    Json json = Json::parse(R"({"locked": {}, "locks": {"root": "root", "nodes": {"root": {}}}})");
    json["path"] = tree.path().string();
    EXPECT_TRUE(has_its_locks(json)) << "no inputs, no file";
    json["locks"]["nodes"]["nixpkgs"] = Json::object();
    EXPECT_FALSE(has_its_locks(json)) << "no file";
    write_file_atomically(tree.path() / "flake.lock", R"({"root": "root", "nodes": {"root": {}}})", 0644);
    EXPECT_FALSE(has_its_locks(json)) << "an old file";
    write_file_atomically(tree.path() / "flake.lock", json["locks"].dump(2), 0644);
    EXPECT_TRUE(has_its_locks(json));
    json["locked"]["dir"] = "below";
    EXPECT_FALSE(has_its_locks(json)) << "that of another flake";
}

TEST(LockedFlakeOf, MalformedMetadataIsRefused) {
    EXPECT_THROW(locked_flake_from_json(Json::parse("{}"), no_hash), protocol::BadDocument);
    Json json = metadata(R"({"rev": 1})");
    EXPECT_THROW(locked_flake_from_json(json, no_hash), protocol::BadDocument);
}

const LockedFlake locked{.url = "git+file:///srv/hive?rev=0123",
                         .nix = "flake = builtins.getFlake \"git+file:///srv/hive?rev=0123\";",
                         .source = nix::StorePath::parse_absolute(path),
                         .git = protocol::GitRevision{.rev = "0123", .dirty = false}};

TEST(SourceOfAFlake, IsEvaluatedPurely) {
    const HiveSource source =
        flake_source({.folder = "/srv/hive", .file = {}, .flake = "/srv/hive", .output = "colmena"}, locked,
                     "/usr/share/waggle", "sha256-m", false);
    EXPECT_THAT(source.expression, HasSubstr(R"(builtins.getFlake "git+file:///srv/hive?rev=0123")"));
    EXPECT_THAT(source.expression, HasSubstr(R"(path = "/usr/share/waggle"; narHash = "sha256-m")"));
    EXPECT_THAT(source.expression, HasSubstr(R"(output = "colmena")"));
    EXPECT_THAT(source.arguments,
                ElementsAre("--extra-experimental-features", "nix-command flakes", "--option", "pure-eval", "true"));
    EXPECT_THAT(source.lock.value_or(""), HasSubstr("rev=0123"));
    EXPECT_THAT(source.lock.value_or(""), HasSubstr("colmena"));
    EXPECT_THAT(source.lock.value_or(""), HasSubstr("sha256-m"));
    EXPECT_THAT(source.keep, ElementsAre(locked.source));
    EXPECT_FALSE(source.git) << "which the folder itself tells";
}

TEST(SourceOfAFlake, HasNoLockWhenItIsImpure) {
    const HiveSource source = flake_source({.folder = "/srv/hive", .file = {}, .flake = "/srv/hive", .output = {}},
                                           locked, "/usr/share/waggle", "sha256-m", true);
    EXPECT_THAT(source.arguments, ElementsAre("--extra-experimental-features", "nix-command flakes"));
    EXPECT_FALSE(source.lock);
    EXPECT_THAT(source.expression, HasSubstr("output = null"));
}

TEST(SourceOfAFlake, ARemoteOneHasTheRevisionThatNixReports) {
    const HiveSource source =
        flake_source({.folder = "/tmp", .file = {}, .flake = "github:bees/hive", .output = {}, .is_local = false},
                     locked, "/m", "sha256-m", false);
    ASSERT_TRUE(source.git);
    EXPECT_EQ(source.git->rev, "0123");
}

TEST(SourceOfAFile, ImportsItsPath) {
    const HiveSource source =
        file_source({.folder = "/srv", .file = "/srv/a \"${b}\".nix", .flake = {}, .output = {}}, "/m");
    EXPECT_EQ(source.expression, R"((import "/m/source.nix" { path = "/srv/a \"\${b}\".nix"; }))");
    EXPECT_TRUE(source.arguments.empty());
    EXPECT_FALSE(source.lock);
    EXPECT_EQ(source.folder, "/srv");
}

} // namespace
} // namespace waggle::trigger
