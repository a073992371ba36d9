#include "shared/base/error.hpp"
#include "trigger/build/build_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using testing::Contains;
using testing::HasSubstr;

const nix::StorePath path = nix::StorePath::parse("/nix/store/00000000000000000000000000000000-system");

TEST(BuildStore, AcceptsStoresThatNixCanBuildIn) {
    for (const char* url : {"ssh-ng://builder", "ssh-ng://bee@builder.example.org:2222?compress=true",
                            "unix:///run/nix", "local?root=/srv/store", "/srv/store"})
        EXPECT_EQ(BuildStore::parse(url).url(), url);
    EXPECT_TRUE(BuildStore::parse("ssh-ng://builder").is_by_ssh());
    EXPECT_FALSE(BuildStore::parse("/srv/store").is_by_ssh());
}

TEST(BuildStore, RefusesCachesAndMalformedUrls) {
    for (const char* url :
         {"", "builder", "https://cache.example.org", "s3://bucket", "file:///srv/cache", "ssh://builder", "ssh-ng://",
          "ssh-ng://-oProxyCommand=x", "ssh-ng://a b", "daemon", "ssh-ng://?compress=true"})
        EXPECT_THROW(BuildStore::parse(url), Error) << url;
}

TEST(BuildStore, CreatesRootsWithTheSameSshOptions) {
    const auto words = BuildStore::parse("ssh-ng://bee@builder:2222?compress=true&ssh-key=/keys/bee")
                           .add_root("home", "attic", path)
                           .argv;
    EXPECT_THAT(words, testing::IsSupersetOf({"-p", "2222", "-i", "/keys/bee", "--", "bee@builder"}));
    EXPECT_THAT(words.back(),
                HasSubstr("--add-root 'waggle-gcroots/home/node-attic' --indirect --realise " + path.absolute()));
}

TEST(BuildStore, HandlesIpv6AddressesWithAndWithoutAPort) {
    EXPECT_THAT(BuildStore::parse("ssh-ng://[fd00::7]").add_root("h", "n", path).argv, Contains("fd00::7"));
    const auto words = BuildStore::parse("ssh-ng://bee@[fd00::7]:2222").add_root("h", "n", path).argv;
    EXPECT_THAT(words, testing::IsSupersetOf({"-p", "2222", "bee@fd00::7"}));
}

TEST(BuildStore, QuotesNamesForTheShell) {
    EXPECT_THAT(BuildStore::parse("ssh-ng://builder").add_root("home", "a'; reboot; '", path).argv.back(),
                HasSubstr("'waggle-gcroots/home/node-a'\\''; reboot; '\\'''"));
}

TEST(BuildStore, ExplainsErrorsThatTheUserCanFix) {
    const BuildStore store = BuildStore::parse("ssh-ng://builder");
    EXPECT_THAT(explain_store_failure(store, "cannot add path 'x' because it lacks a signature by a trusted key"),
                HasSubstr("trusted-users"));
    EXPECT_THAT(explain_store_failure(store, "user 'bee' is not allowed to connect to the Nix daemon"),
                HasSubstr("allowed-users"));
    EXPECT_THAT(explain_store_failure(store, "bash: line 1: nix-daemon: command not found"),
                HasSubstr("must be installed"));
    EXPECT_EQ(explain_store_failure(store, "no space left on device"),
              "the build store ssh-ng://builder: no space left on device");
}

} // namespace
} // namespace waggle::trigger
