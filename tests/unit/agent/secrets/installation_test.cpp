// Uses real files in the test's own folder.

#include "agent/secrets/installation.hpp"
#include "agent/secrets/node_secrets.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

namespace waggle::agent {
namespace {

using protocol::Secret;
using protocol::SecretStatus;
using protocol::UploadAt;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
namespace fs = std::filesystem;

// The user who runs the test stands for "root". Other known accounts have the same IDs, because only root can chown.
class TestAccounts : public Accounts {
public:
    std::set<std::string> known{"root"};
    std::map<std::string, uid_t> others; // users other than the one who runs the test
    std::map<std::string, Home> homes;
    std::optional<uid_t> user(const std::string& name) const override {
        if (const auto other = others.find(name); other != others.end())
            return other->second;
        return known.contains(name) ? std::optional(::geteuid()) : std::nullopt;
    }
    std::optional<gid_t> group(const std::string& name) const override {
        return known.contains(name) ? std::optional(::getegid()) : std::nullopt;
    }
    std::optional<Home> home(const std::string& user) const override {
        const auto found = homes.find(user);
        return found == homes.end() ? std::nullopt : std::optional(found->second);
    }
    std::string name_of_user(uid_t) const override { return "me"; }
    std::string name_of_group(gid_t) const override { return "us"; }
};

Secret secret(const std::string& name, const fs::path& folder, const std::string& content) {
    Secret made;
    made.file.name = name;
    made.file.path = (folder / name).string();
    made.file.restart_units = {name + ".service"};
    made.content.assign(content.begin(), content.end());
    return made;
}

class InstallSecrets : public testing::Test {
protected:
    InstallSecrets() { fs::create_directories(state); }

    InstallOutcome install(std::vector<Secret> secrets, SecretStage stage = SecretStage::after_activation) {
        bundle.secrets = std::move(secrets);
        return again(stage);
    }
    InstallOutcome again(SecretStage stage = SecretStage::after_activation) {
        ++bundle.sequence;
        return same_bundle(stage);
    }
    InstallOutcome same_bundle(SecretStage stage) {
        clock += std::chrono::seconds(1);
        return install_secrets(bundle, scope(stage), environment());
    }
    StageScope scope(SecretStage stage) const {
        return {.stage = stage, .mount = mount, .name = name, .absent_mounts = absent};
    }
    InstallWorld environment() const {
        return {.state_dir = state,
                .accounts = accounts,
                .clock = [this] { return clock; },
                .monotonic = [] { return std::chrono::microseconds(77); }};
    }
    static std::string read(const fs::path& file) { return read_file(file, 1000); }
    static mode_t mode(const fs::path& file) { return static_cast<mode_t>(fs::status(file).permissions()) & 07777U; }
    std::vector<std::string> names() const {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator(keys))
            found.push_back(entry.path().filename());
        std::ranges::sort(found);
        return found;
    }
    ino_t inode(const fs::path& file) const {
        struct stat about{};
        EXPECT_EQ(::stat(file.c_str(), &about), 0);
        return about.st_ino;
    }

    TemporaryFolder folder;
    fs::path root = fs::canonical(folder.path());
    fs::path state = root / "state";
    fs::path keys = root / "keys";
    protocol::SecretBundle bundle;
    TestAccounts accounts;
    Time clock = test_time;
    std::string mount;
    std::string name;
    std::vector<std::string> absent;
};

TEST_F(InstallSecrets, CreatesFoldersAndWritesFilesWithTheirModes) {
    auto one = secret("one", keys, "first");
    one.file.permissions = 0440;
    const auto outcome = install({one, secret("two", keys / "deeper", "")});
    EXPECT_EQ(read(keys / "one"), "first");
    EXPECT_EQ(mode(keys / "one"), 0440U);
    EXPECT_EQ(read(keys / "deeper" / "two"), "");
    EXPECT_EQ(mode(keys / "deeper"), 0700U); // this node has no group keys
    EXPECT_THAT(outcome.written, ElementsAre("one", "two"));
    EXPECT_THAT(outcome.units, Contains(UnitChange{"one.service", false, std::chrono::microseconds(77)}));
    EXPECT_THAT(names(), ElementsAre("deeper", "one"));
}

TEST_F(InstallSecrets, MakesTheFolderAccessibleToTheGroupKeysIfItExists) {
    accounts.known.insert("keys");
    install({secret("one", keys, "first")});
    EXPECT_EQ(mode(keys), 0750U);
}

TEST_F(InstallSecrets, LeavesUnchangedSecretsAlone) {
    install({secret("one", keys, "first"), secret("two", keys, "second")});
    const auto before = inode(keys / "one");
    const auto outcome = install({secret("one", keys, "first"), secret("two", keys, "other")});
    EXPECT_EQ(inode(keys / "one"), before);
    EXPECT_THAT(outcome.written, ElementsAre("two"));
    EXPECT_THAT(outcome.units, ElementsAre(UnitChange{"two.service", false, std::chrono::microseconds(77)}));
    EXPECT_FALSE(again().changed());
}

TEST_F(InstallSecrets, RepairsTheModeWithoutRestartingUnits) {
    install({secret("one", keys, "first")});
    fs::permissions(keys / "one", fs::perms::all);
    const auto outcome = same_bundle(SecretStage::boot);
    EXPECT_EQ(mode(keys / "one"), 0600U);
    EXPECT_THAT(outcome.written, ElementsAre("one"));
    EXPECT_THAT(outcome.units, IsEmpty());
}

TEST_F(InstallSecrets, RestoresAMissingSecretAsUnchanged) {
    install({secret("one", keys, "first")});
    const auto changed = InstalledList::load(state).find((keys / "one").string())->changed;
    fs::remove_all(keys);
    const auto outcome = same_bundle(SecretStage::boot);
    EXPECT_EQ(read(keys / "one"), "first");
    EXPECT_THAT(outcome.units, IsEmpty());
    EXPECT_EQ(InstalledList::load(state).find((keys / "one").string())->changed, changed);
}

TEST_F(InstallSecrets, RestoresAModifiedSecretAndRestartsItsUnits) {
    install({secret("one", keys, "first")});
    std::ofstream(keys / "one") << "tampered";
    const auto outcome = same_bundle(SecretStage::after_activation);
    EXPECT_EQ(read(keys / "one"), "first");
    EXPECT_THAT(outcome.units, SizeIs(1));
}

TEST_F(InstallSecrets, RemovesSecretsThatTheBundleNoLongerContains) {
    install({secret("one", keys, "first"), secret("two", keys, "second")});
    const auto outcome = install({secret("two", keys, "second")});
    EXPECT_THAT(names(), ElementsAre("two"));
    EXPECT_THAT(outcome.removed, ElementsAre((keys / "one").string()));
    install({});
    EXPECT_THAT(names(), IsEmpty());
    EXPECT_THAT(InstalledList::load(state).secrets(), IsEmpty());
}

TEST_F(InstallSecrets, BeforeActivationRemovesNothingAndWritesOnlyEarlySecrets) {
    install({secret("old", keys, "x")});
    auto late = secret("late", keys, "later");
    late.file.upload_at = UploadAt::post_activation;
    install({secret("one", keys, "first"), late}, SecretStage::before_activation);
    EXPECT_THAT(names(), ElementsAre("old", "one"));
    again();
    EXPECT_THAT(names(), ElementsAre("late", "one"));
}

TEST_F(InstallSecrets, AnUnknownUserIsNamedAndNothingIsWritten) {
    auto two = secret("two", keys, "second");
    two.file.user = "nginx";
    try {
        install({secret("one", keys, "first"), two});
        FAIL();
    } catch (const SecretsNotInstalled& error) {
        EXPECT_THAT(error.what(), HasSubstr("secret two: this node has no user nginx"));
    }
    EXPECT_THAT(names(), IsEmpty());
    two.file.user = "root";
    two.file.group = "web";
    EXPECT_THROW(install({two}), SecretsNotInstalled);
}

TEST_F(InstallSecrets, AUserCreatedByTheActivationGetsTheSecretAfterwards) {
    fs::create_directories(keys);
    auto one = secret("one", keys, "first");
    one.file.user = "nginx";
    one.file.permissions = 0644;
    const auto before = install({one}, SecretStage::before_activation);
    EXPECT_EQ(mode(keys / "one"), 0400U);
    EXPECT_THAT(before.waiting, ElementsAre(HasSubstr("no user nginx")));
    accounts.known.insert("nginx");
    const auto after = same_bundle(SecretStage::owners);
    EXPECT_EQ(mode(keys / "one"), 0644U);
    EXPECT_THAT(after.units, IsEmpty());
}

TEST_F(InstallSecrets, WritesNothingIfOneSecretCannotBeWritten) {
    fs::create_directories(keys / "two"); // a folder is in the way
    EXPECT_THROW(install({secret("one", keys, "first"), secret("two", keys, "second")}), SecretsNotInstalled);
    EXPECT_THAT(names(), ElementsAre("two"));
}

TEST_F(InstallSecrets, AtBootSecretsAreInstalledIndependently) {
    fs::create_directories(keys / "two");
    const auto outcome = install({secret("one", keys, "first"), secret("two", keys, "second")}, SecretStage::boot);
    EXPECT_EQ(read(keys / "one"), "first");
    EXPECT_THAT(outcome.problems, ElementsAre(HasSubstr("secret two")));
}

TEST_F(InstallSecrets, LinksAreNotFollowed) {
    fs::create_directories(root / "elsewhere");
    fs::create_directory_symlink(root / "elsewhere", keys);
    EXPECT_THROW(install({secret("one", keys, "first")}), SecretsNotInstalled);
    EXPECT_THROW(install({secret("one", keys / "deeper", "first")}), SecretsNotInstalled);
    EXPECT_TRUE(fs::is_empty(root / "elsewhere"));
}

TEST_F(InstallSecrets, ALinkInPlaceOfTheFileIsRefusedAndKept) {
    fs::create_directories(keys);
    std::ofstream(root / "shadow") << "untouched";
    fs::create_symlink(root / "shadow", keys / "one");
    EXPECT_THROW(install({secret("one", keys, "first")}), SecretsNotInstalled);
    EXPECT_EQ(read(root / "shadow"), "untouched");
    EXPECT_TRUE(fs::is_symlink(keys / "one"));
}

TEST_F(InstallSecrets, RefusesAWorldWritableFolder) {
    fs::create_directories(keys);
    fs::permissions(keys, fs::perms::all);
    EXPECT_THROW(install({secret("one", keys, "first")}), SecretsNotInstalled);
    EXPECT_THAT(names(), IsEmpty());
}

TEST_F(InstallSecrets, RefusesAFolderThatAnotherUserCanChange) {
    struct Case {
        const char* name;
        fs::path changed; // by chown or chmod
        uid_t owner;
        gid_t group;
        mode_t mode;
        std::string reason; // empty if accepted
    };
    constexpr uid_t web = 12345;
    constexpr uid_t other = 23456;
    const auto deep = keys / "a" / "b";
    const std::vector<Case> cases{
        {"another user's folder", deep, other, 0, 0700, "could replace the secret"},
        {"another user's folder on the way", keys / "a", other, 0, 0755, "could replace the secret"},
        {"the secret's owner's", deep, web, other, 0750, ""},
        {"the secret's owner's, on the way", keys / "a", web, web, 0755, ""},
        {"root's", deep, 0, 0, 0700, ""},
        {"a group can write to it", deep, 0, other, 0775, "chmod go-w " + deep.string()},
        {"the owner's own group can write to it", deep, web, web, 0770, "chmod go-w"},
        {"root's group can write to it", deep, 0, 0, 0775, ""},
        {"all can", keys / "a", 0, 0, 0777, "chmod go-w"},
        {"all can, but rename only what is theirs", keys / "a", 0, 0, 01777, ""},
        {"another user's, in which they may rename all", keys / "a", other, 0, 01777, "could replace the secret"},
        {"the owner's, in which the owner may rename all", keys / "a", web, 0, 01777, "chmod go-w"},
    };
    if (::geteuid() != 0)
        GTEST_SKIP() << "folders of other users are made by root";
    accounts.others["web"] = web;
    for (const auto& one : cases) {
        SCOPED_TRACE(one.name);
        fs::remove_all(keys);
        fs::create_directories(deep);
        ASSERT_EQ(::chown(one.changed.c_str(), one.owner, one.group), 0);
        ASSERT_EQ(::chmod(one.changed.c_str(), one.mode), 0);
        auto file = secret("one", deep, "first");
        file.file.user = "web";
        try {
            install({file});
            EXPECT_EQ(one.reason, "");
            EXPECT_EQ(read(deep / "one"), "first");
        } catch (const SecretsNotInstalled& error) {
            EXPECT_NE(one.reason, "");
            EXPECT_THAT(error.what(), HasSubstr(one.reason));
            EXPECT_FALSE(fs::exists(deep / "one"));
        }
    }
}

TEST_F(InstallSecrets, FoldersCreatedInAHomeBelongToItsOwner) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "folders of other users are made by root";
    constexpr uid_t web = 12345;
    constexpr gid_t staff = 23456;
    accounts.known.insert("keys");
    accounts.others["web"] = web;
    accounts.homes["web"] = {.folder = (root / "home" / "web").string(), .group = staff};
    auto file = secret("id", root / "home" / "web" / ".ssh" / "deeper", "first");
    file.file.user = "web";
    for (const bool there : {false, true}) { // the home itself
        SCOPED_TRACE(there);
        fs::remove_all(root / "home");
        if (there) {
            fs::create_directories(root / "home" / "web");
            ASSERT_EQ(::chown((root / "home" / "web").c_str(), web, staff), 0);
        }
        install({file});
        EXPECT_EQ(mode(root / "home"), 0755U);
        for (const char* made : {"web/.ssh", "web/.ssh/deeper"}) {
            struct stat about{};
            ASSERT_EQ(::stat((root / "home" / made).c_str(), &about), 0);
            EXPECT_EQ(about.st_uid, web);
            EXPECT_EQ(about.st_gid, staff);
            EXPECT_EQ(about.st_mode & 07777U, 0700U);
        }
    }
}

// The owner of a folder is unknown until the user exists.
TEST_F(InstallSecrets, CreatesTheFolderOfAFutureUserOnceTheAccountExists) {
    auto file = secret("id", keys / ".ssh", "first");
    file.file.user = "web";
    const auto before = install({file}, SecretStage::before_activation);
    EXPECT_FALSE(fs::exists(keys));
    EXPECT_THAT(before.waiting,
                ElementsAre(HasSubstr("no user web; the secret and its folder are created once the account exists")));
    accounts.known.insert("web");
    same_bundle(SecretStage::owners);
    EXPECT_EQ(read(keys / ".ssh" / "id"), "first");
}

TEST_F(InstallSecrets, DoesNotFollowALinkToRemoveASecret) {
    install({secret("one", keys, "first")});
    fs::rename(keys, root / "moved");
    fs::create_directory_symlink(root / "moved", keys);
    const auto outcome = install({});
    EXPECT_TRUE(fs::exists(root / "moved" / "one"));
    EXPECT_THAT(outcome.problems, SizeIs(1));
    EXPECT_THAT(InstalledList::load(state).secrets(), SizeIs(1)); // tried again next time
}

TEST_F(InstallSecrets, RemovesThePartialFileOfAnInterruptedWrite) {
    install({secret("one", keys, "first")});
    std::ofstream(keys / ".one.waggle-new") << "half";
    again();
    EXPECT_THAT(names(), ElementsAre("one"));
    std::ofstream(keys / ".one.waggle-new") << "half";
    install({});
    EXPECT_THAT(names(), IsEmpty());
}

TEST_F(InstallSecrets, WritesNothingBelowAnAbsentMount) {
    absent = {keys.string()};
    const auto outcome = install({secret("one", keys, "first")});
    EXPECT_FALSE(fs::exists(keys));
    EXPECT_THAT(outcome.waiting, ElementsAre(HasSubstr("mounted")));
    EXPECT_THAT(InstalledList::load(state).secrets(), SizeIs(1)); // there is something to remove
    absent.clear();
    mount = keys.string();
    same_bundle(SecretStage::mount);
    EXPECT_EQ(read(keys / "one"), "first");
}

TEST_F(InstallSecrets, StageMountWritesOnlyBelowItsMount) {
    mount = (keys / "disk").string();
    install({secret("one", keys, "first"), secret("two", keys / "disk", "second")}, SecretStage::mount);
    EXPECT_FALSE(fs::exists(keys / "one"));
    EXPECT_EQ(read(keys / "disk" / "two"), "second");
}

TEST_F(InstallSecrets, StageForUsersWritesOnlySecretsNeededForUsers) {
    auto password = secret("password", keys, "hash");
    password.file.needed_for_users = true;
    install({secret("one", keys, "first"), password}, SecretStage::for_users);
    EXPECT_THAT(names(), ElementsAre("password"));
}

TEST_F(InstallSecrets, InstallsSecretsEvenIfTheListIsUnreadable) {
    install({secret("one", keys, "first")});
    std::ofstream(InstalledList::file_in(state)) << "garbage";
    const auto outcome = install({secret("one", keys, "second")});
    EXPECT_EQ(read(keys / "one"), "second");
    EXPECT_THAT(outcome.problems, ElementsAre(HasSubstr("starting a new list")));
    EXPECT_THAT(InstalledList::load(state).secrets(), SizeIs(1));
}

// The list determines which files are deleted.
TEST_F(InstallSecrets, IgnoresAListThatNamesAForbiddenPath) {
    install({secret("one", keys, "first")});
    auto text = read(InstalledList::file_in(state));
    text.replace(text.find((keys / "one").string()), (keys / "one").string().size(), "/nix/store/one");
    EXPECT_THROW(InstalledList::parse(text, "a list"), protocol::BadDocument);
    std::ofstream(InstalledList::file_in(state)) << text;
    EXPECT_THAT(install({}).problems, ElementsAre(HasSubstr("starting a new list")));
}

TEST_F(InstallSecrets, TheListContainsNoSecretContent) {
    install({secret("one", keys, "unmistakable")});
    EXPECT_THAT(read(InstalledList::file_in(state)), testing::Not(HasSubstr("unmistakable")));
}

TEST_F(InstallSecrets, ReportsTheStatusOfEachSecret) {
    accounts.known.insert("nginx");
    auto waits = secret("waits", keys, "w");
    waits.file.user = "later";
    install({secret("differs", keys, "x"), secret("link", keys, "x"), secret("missing", keys, "x"),
             secret("mode", keys, "x"), secret("right", keys, "x"), waits},
            SecretStage::boot);
    std::ofstream(keys / "differs") << "y";
    fs::remove(keys / "link");
    fs::create_symlink("right", keys / "link");
    fs::remove(keys / "missing");
    fs::permissions(keys / "mode", fs::perms::all);
    std::map<std::string, SecretStatus::State> states;
    for (const auto& status : look_at_secrets(bundle, scope(SecretStage::boot), environment()))
        states[status.name] = status.state;
    EXPECT_EQ(states, (std::map<std::string, SecretStatus::State>{{"differs", SecretStatus::State::differs},
                                                                  {"link", SecretStatus::State::unreadable},
                                                                  {"missing", SecretStatus::State::missing},
                                                                  {"mode", SecretStatus::State::differs},
                                                                  {"right", SecretStatus::State::in_place},
                                                                  {"waits", SecretStatus::State::waits}}));
    const auto right = look_at_secrets(bundle, scope(SecretStage::boot), environment()).at(4);
    EXPECT_EQ(right.owner, "me:us");
    EXPECT_EQ(right.mode, "0600");
    EXPECT_EQ(right.changed, clock);
}

TEST_F(InstallSecrets, ReportsWriteTimesAfter2038) {
    install({secret("one", keys, "x")}, SecretStage::boot);
    const auto time = parse_rfc3339("2100-01-01T00:00:00.250Z");
    const timespec modified{.tv_sec = static_cast<std::time_t>(unix_ms(time) / 1000), .tv_nsec = 250'000'000};
    const std::array times{modified, modified};
    ASSERT_EQ(::utimensat(AT_FDCWD, (keys / "one").c_str(), times.data(), 0), 0);
    EXPECT_EQ(look_at_secrets(bundle, scope(SecretStage::boot), environment()).at(0).written, time);
}

TEST_F(InstallSecrets, ReportsFilesThatShouldHaveBeenRemoved) {
    install({secret("link", keys, "x"), secret("one", keys, "x"), secret("two", keys / "disk", "x"),
             secret("three", keys, "x")});
    fs::remove(keys / "link");
    fs::create_symlink("one", keys / "link");
    bundle.secrets = {secret("three", keys, "x")};
    absent = {(keys / "disk").string()};
    std::map<std::string, SecretStatus::State> states;
    for (const auto& status : look_at_secrets(bundle, scope(SecretStage::boot), environment()))
        states[status.name] = status.state;
    EXPECT_EQ(states, (std::map<std::string, SecretStatus::State>{{"link", SecretStatus::State::unreadable},
                                                                  {"one", SecretStatus::State::differs},
                                                                  {"three", SecretStatus::State::in_place},
                                                                  {"two", SecretStatus::State::waits}}));
    fs::remove(keys / "link");
    same_bundle(SecretStage::boot);
    absent.clear();
    same_bundle(SecretStage::boot);
    EXPECT_THAT(look_at_secrets(bundle, scope(SecretStage::boot), environment()), SizeIs(1));
}

// Even if the write is interrupted, no other user can read the file at any time.
TEST_F(InstallSecrets, SetsTheModeBeforeWritingTheContent) {
    const auto made = SecretFolder::make(keys, "root", accounts);
    const std::string content(100'000, 'x');
    rlimit old{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
    const auto signals = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit low{.rlim_cur = 5000, .rlim_max = old.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &low), 0);
    EXPECT_THROW(made.write_new("one", ::geteuid(), ::getegid(), 0440, {content.begin(), content.end()}), SystemError);
    ::setrlimit(RLIMIT_FSIZE, &old);
    std::signal(SIGXFSZ, signals);
    EXPECT_EQ(fs::file_size(keys / ".one.waggle-new"), 5000U);
    EXPECT_EQ(mode(keys / ".one.waggle-new"), 0440U);
}

TEST(MountPoints, AreTheFifthColumn) {
    EXPECT_THAT(
        parse_mount_points("22 27 0:20 / /sys rw - sysfs sysfs rw\n30 27 0:26 / /mnt/a rw,x shared:1 - nfs s:/ rw\n"),
        ElementsAre("/sys", "/mnt/a"));
}

} // namespace
} // namespace waggle::agent
