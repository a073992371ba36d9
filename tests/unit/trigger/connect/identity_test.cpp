#include "tests/unit/ssh/running_agent.hpp"
#include "tests/unit/ssh/ssh_keygen.hpp"
#include "trigger/connect/identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

class LoadIdentity : public testing::Test {
protected:
    LoadIdentity() { fs::create_directories(places_.home / ".ssh"); }

    // A key pair in FOLDER/NAME.
    fs::path make(const std::string& name, const std::string& type = "ed25519",
                  const std::string& passphrase = "") const {
        const fs::path file = folder_.path() / name;
        std::vector<std::string> arguments{"-q", "-t", type, "-N", passphrase, "-C", name, "-f", file};
        if (type == "rsa")
            arguments.insert(arguments.end(), {"-b", "1024"});
        ssh::ssh_keygen(std::move(arguments));
        return file;
    }
    static ssh::PublicKey public_key(const fs::path& file) {
        return ssh::PublicKey::parse(read_file(file.string() + ".pub", 4096));
    }
    ssh::RunningAgent& agent() {
        if (!agent_)
            places_.agent_socket = agent_.emplace(folder_).socket();
        return *agent_;
    }
    auto loading(std::optional<fs::path> named) {
        return [this, named] { load_identity(named, places_); };
    }

    TemporaryFolder folder_;
    IdentityPlaces places_{.home = folder_.path() / "home", .agent_socket = {}, .came_by_ssh = false};
    std::optional<ssh::RunningAgent> agent_;
};

TEST_F(LoadIdentity, UsesTheNamedFile) {
    const fs::path file = make("mine");
    const Identity identity = load_identity(file, places_);
    EXPECT_EQ(identity.signer->public_key(), public_key(file));
    EXPECT_EQ(identity.origin, "the file " + file.string());
}

TEST_F(LoadIdentity, RefusesAFileThatOthersCanAccess) {
    const fs::path file = make("mine");
    for (const auto mode : {fs::perms::group_read, fs::perms::others_read, fs::perms::others_write}) {
        fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write | mode);
        EXPECT_THAT(loading(file), ThrowsMessage<Error>(AllOf(HasSubstr("other users"), HasSubstr("chmod 600"))));
    }
    fs::permissions(file, fs::perms::owner_read);
    EXPECT_NO_THROW(load_identity(file, places_));
}

TEST_F(LoadIdentity, PrefersTheDefaultFileToAnAgent) {
    agent().add({make("other")});
    fs::copy(make("mine"), places_.home / ".ssh/id_ed25519");
    EXPECT_EQ(load_identity({}, places_).signer->public_key(), public_key(folder_.path() / "mine"));
}

TEST_F(LoadIdentity, UsesTheOnlyEd25519KeyOfAnAgent) {
    agent().add({make("mine")});
    agent().add({make("old", "rsa")});
    const Identity identity = load_identity({}, places_);
    EXPECT_EQ(identity.signer->public_key(), public_key(folder_.path() / "mine"));
    EXPECT_EQ(identity.origin, "ssh-agent (mine)");
    EXPECT_FALSE(identity.warning);
}

TEST_F(LoadIdentity, ChoosesAmongAgentKeysByPublicKey) {
    agent().add({make("mine")});
    agent().add({make("other")});
    EXPECT_THAT(loading({}),
                ThrowsMessage<Error>(AllOf(HasSubstr("2 Ed25519 keys"), HasSubstr("--identity"), HasSubstr("other"),
                                           HasSubstr(public_key(folder_.path() / "mine").fingerprint()))));
    const fs::path file = folder_.path() / "other";
    EXPECT_EQ(load_identity(file.string() + ".pub", places_).signer->public_key(), public_key(file));
    fs::remove(file); // its private part is elsewhere
    EXPECT_EQ(load_identity(file, places_).signer->public_key(), public_key(file));
}

TEST_F(LoadIdentity, UsesAKeyWithAPassphraseThroughTheAgent) {
    const fs::path file = make("mine", "ed25519", "secret");
    EXPECT_THAT(loading(file),
                ThrowsMessage<Error>(
                    AllOf(HasSubstr("passphrase"), HasSubstr("ssh-add " + file.string()), HasSubstr("SSH_AUTH_SOCK"))));
    agent();
    EXPECT_THAT(loading(file), ThrowsMessage<Error>(HasSubstr("does not hold it")));
    ssh::ssh_keygen({"-q", "-p", "-P", "secret", "-N", "", "-f", file});
    agent().add({file});
    ssh::ssh_keygen({"-q", "-p", "-P", "", "-N", "secret", "-f", file});
    EXPECT_EQ(load_identity(file, places_).signer->public_key(), public_key(file));
}

TEST_F(LoadIdentity, ExplainsWhatToDoWithoutAKey) {
    EXPECT_THAT(loading({}),
                ThrowsMessage<Error>(AllOf(HasSubstr("no ssh-agent runs"), HasSubstr("ssh-keygen -t ed25519"))));
    EXPECT_THAT(loading(folder_.path() / "none"), ThrowsMessage<Error>(HasSubstr("there is no operator key")));
    agent();
    EXPECT_THAT(loading({}), ThrowsMessage<Error>(HasSubstr("holds no key")));
    agent().add({make("old", "rsa")});
    EXPECT_THAT(loading({}),
                ThrowsMessage<Error>(AllOf(HasSubstr("only an RSA key"), HasSubstr("ssh-keygen -t ed25519"))));
    const fs::path public_file = make("mine").string() + ".pub";
    EXPECT_THAT(loading(public_file),
                ThrowsMessage<Error>(AllOf(HasSubstr("is a public key"), HasSubstr("does not hold it"))));
}

TEST_F(LoadIdentity, NamesAnUnsupportedKeyType) {
    for (const auto& [type, word] : {std::pair("rsa", "an RSA key"), std::pair("ecdsa", "an ECDSA key")}) {
        const fs::path file = make(type, type);
        EXPECT_THAT(loading(file), ThrowsMessage<Error>(HasSubstr(word)));
        EXPECT_THAT(loading(file.string() + ".pub"), ThrowsMessage<Error>(HasSubstr(word)));
    }
    const fs::path file = folder_.path() / "other.pub";
    for (const auto& [line, word] : {std::pair("sk-ssh-ed25519@openssh.com AAAA", "a hardware key"),
                                     std::pair("ssh-ed25519-cert-v01@openssh.com AAAA", "an SSH certificate")}) {
        write_file_atomically(file, line, 0600);
        EXPECT_THAT(loading(file), ThrowsMessage<Error>(HasSubstr(word)));
    }
}

TEST_F(LoadIdentity, RefusesAKeyWithARestriction) {
    agent().add({"-c", make("mine")});
    EXPECT_THAT(loading({}), ThrowsMessage<Error>(HasSubstr("restriction")));
}

TEST_F(LoadIdentity, WarnsOfAnAgentThatLooksForwarded) {
    places_.came_by_ssh = true;
    EXPECT_FALSE(load_identity(make("file"), places_).warning); // no agent takes part
    agent().add({make("mine")});
    EXPECT_THAT(load_identity({}, places_).warning.value_or(""),
                AllOf(HasSubstr("forwarded"), HasSubstr("--identity")));
}

} // namespace
} // namespace waggle::trigger
