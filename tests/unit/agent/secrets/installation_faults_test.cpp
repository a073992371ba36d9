// Installations on a failing disk, and what a power cut after each of them could undo.

#include "agent/secrets/installation.hpp"
#include "shared/base/file.hpp"
#include "tests/unit/agent/fakes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace waggle::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

class OneUser : public Accounts {
public:
    std::optional<uid_t> user(const std::string&) const override { return ::geteuid(); }
    std::optional<gid_t> group(const std::string&) const override { return ::getegid(); }
    std::optional<Home> home(const std::string&) const override { return std::nullopt; }
    std::string name_of_user(uid_t) const override { return "me"; }
    std::string name_of_group(gid_t) const override { return "us"; }
};

class InstallOnABrokenDisk : public testing::Test {
public:
    InstallOnABrokenDisk() {
        fs::create_directories(state);
        fs::create_directories(faults);
        ::setenv("WAGGLE_FAULT_FOLDER", faults.c_str(), 1);
    }
    ~InstallOnABrokenDisk() override { ::unsetenv("WAGGLE_FAULT_FOLDER"); }

protected:
    void goes_wrong(const std::string& path, const std::string& moment) {
        std::ofstream(faults / "plan") << "* " << path << " * " << moment << " fail";
    }
    InstallOutcome install(const std::map<std::string, std::string>& contents, SecretStage stage) {
        protocol::SecretBundle bundle{.hive = "h", .node = "n", .sequence = ++sequence, .secrets = {}};
        for (const auto& [name, content] : contents) {
            protocol::Secret secret;
            secret.file.name = name;
            secret.file.path = (keys / name).string();
            secret.content.assign(content.begin(), content.end());
            bundle.secrets.push_back(std::move(secret));
        }
        StageScope scope;
        scope.stage = stage;
        return install_secrets(bundle, scope,
                               {.state_dir = state,
                                .accounts = accounts,
                                .clock = [] { return test_time; },
                                .monotonic = [] { return std::chrono::microseconds(7); }});
    }
    std::map<std::string, std::string> files() const {
        std::map<std::string, std::string> found;
        for (const auto& entry : fs::directory_iterator(keys))
            found[entry.path().filename()] = read_file(entry.path(), 100);
        return found;
    }
    // Entries and contents that are not on the disk yet.
    std::set<std::string> unsynced() const {
        std::istringstream lines(read_file(faults / "journal", 1 << 20));
        std::set<std::string> open;
        for (std::string line; std::getline(lines, line);) {
            std::istringstream fields(line);
            std::string what;
            std::string first;
            std::string second;
            std::getline(fields, what, '\t');
            std::getline(fields, first, '\t');
            std::getline(fields, second, '\t');
            if (what == "change")
                open.insert(second);
            else if (what == "content")
                open.insert("content of " + first);
            else if (what == "synced")
                open.erase("content of " + first);
            else if (what == "folder")
                std::erase_if(open, [&](const std::string& entry) { return fs::path(entry).parent_path() == first; });
        }
        return open;
    }

    TemporaryFolder folder;
    fs::path root = fs::canonical(folder.path());
    fs::path state = root / "state";
    fs::path faults = root / "faults";
    fs::path keys = root / "new" / "keys";
    OneUser accounts;
    std::int64_t sequence = 0;
};

TEST_F(InstallOnABrokenDisk, SyncsInstalledSecretsToTheDisk) {
    install({{"one", "1"}, {"two", "2"}}, SecretStage::after_activation);
    EXPECT_THAT(unsynced(), IsEmpty());
    install({{"one", "other"}}, SecretStage::after_activation);
    EXPECT_THAT(unsynced(), IsEmpty());
    EXPECT_EQ(files(), (std::map<std::string, std::string>{{"one", "other"}}));
}

TEST_F(InstallOnABrokenDisk, ADeploymentChangesNothingIfOneSecretCannotBeWritten) {
    install({{"one", "1"}, {"two", "2"}}, SecretStage::after_activation);
    const auto before = files();
    for (const std::string moment : {"before", "written"}) {
        goes_wrong("*/two", moment);
        try {
            install({{"one", "other"}, {"two", "other"}}, SecretStage::after_activation);
            ADD_FAILURE() << moment;
        } catch (const SecretsNotInstalled& error) {
            EXPECT_THAT(error.what(), HasSubstr("secret two: "));
        }
        EXPECT_EQ(files(), before) << moment;
    }
}

TEST_F(InstallOnABrokenDisk, ADeploymentStopsAtTheFirstSecretThatFails) {
    install({{"one", "1"}, {"two", "2"}}, SecretStage::after_activation);
    goes_wrong("*/one", "changed");
    EXPECT_THROW(install({{"one", "other"}, {"two", "other"}}, SecretStage::after_activation), SecretsNotInstalled);
    EXPECT_EQ(files(), (std::map<std::string, std::string>{{"one", "other"}, {"two", "2"}}));
}

TEST_F(InstallOnABrokenDisk, AtBootTheOtherSecretsAreStillInstalled) {
    for (const std::string moment : {"before", "written", "changed"}) {
        goes_wrong("*/one", moment);
        const auto outcome = install({{"one", moment}, {"two", moment}}, SecretStage::boot);
        EXPECT_THAT(outcome.problems, ElementsAre(HasSubstr("secret one: ")));
        EXPECT_EQ(files().at("two"), moment);
    }
}

TEST_F(InstallOnABrokenDisk, ASecretThatCannotBeRemovedIsReportedAndRetried) {
    install({{"one", "1"}, {"two", "2"}}, SecretStage::after_activation);
    goes_wrong("*/two", "before");
    EXPECT_THAT(install({{"one", "1"}}, SecretStage::after_activation).problems,
                ElementsAre(HasSubstr("secret two was not removed")));
    EXPECT_TRUE(files().contains("two"));
    EXPECT_THAT(install({{"one", "1"}}, SecretStage::after_activation).problems, IsEmpty());
    EXPECT_FALSE(files().contains("two"));
}

TEST_F(InstallOnABrokenDisk, RemovesThePartialFileOfAnInterruptedListWrite) {
    fs::create_directories(state / "secrets");
    std::ofstream(state / "secrets" / "installed.json.0123456789ab.tmp") << "half";
    std::ofstream(state / "secrets" / "another.age.0123456789ab.tmp") << "the daemon writes it just now";
    install({{"one", "1"}}, SecretStage::boot);
    EXPECT_FALSE(fs::exists(state / "secrets" / "installed.json.0123456789ab.tmp"));
    EXPECT_TRUE(fs::exists(state / "secrets" / "another.age.0123456789ab.tmp"));
}

TEST_F(InstallOnABrokenDisk, AnUnwritableListStopsADeploymentButNotTheBoot) {
    goes_wrong("*/installed.json", "before");
    const auto outcome = install({{"one", "1"}}, SecretStage::boot);
    EXPECT_THAT(outcome.problems, ElementsAre(HasSubstr("the list of installed secrets was not written")));
    EXPECT_EQ(files().at("one"), "1");
    goes_wrong("*/installed.json", "before");
    EXPECT_ANY_THROW(install({{"two", "2"}}, SecretStage::after_activation));
    EXPECT_FALSE(files().contains("two"));
}

} // namespace
} // namespace waggle::agent
