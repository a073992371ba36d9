#include "shared/base/file.hpp"
#include "shared/protocol/json.hpp"
#include "trigger/secrets/node_secrets.hpp"
#include "trigger/secrets/read_secrets.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

namespace waggle::trigger {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

KeySource source(const std::string& name) {
    KeySource source;
    source.file.name = name;
    source.file.path = "/run/keys/" + name;
    return source;
}

KeySource file_source(const std::string& name, const std::string& path) {
    auto made = source(name);
    made.key_file = path;
    return made;
}

KeySource command_source(const std::string& name, std::vector<std::string> argv) {
    auto made = source(name);
    made.key_command = std::move(argv);
    return made;
}

class ReadSecrets : public testing::Test {
protected:
    protocol::SecretBundle read(std::vector<KeySource> sources, const KeyTexts& texts = {},
                                std::chrono::milliseconds time = 30s) {
        return read_secrets(sources, texts, interrupt_, places_, time);
    }
    std::string content(const KeySource& source) {
        const auto bundle = read({source});
        return std::string(as_text(bundle.secrets.at(0).content));
    }
    std::string refusal(const KeySource& source, std::chrono::milliseconds time = 30s) {
        try {
            read({source}, {}, time);
            return "";
        } catch (const SecretNotRead& error) {
            return error.what();
        }
    }

    Interrupt interrupt_;
    CommandPlaces places_{max_key_commands};
    TemporaryFolder folder_;
};

TEST_F(ReadSecrets, NamesAllUnreadableSecrets) {
    EXPECT_THAT(
        [&] { read({file_source("a", "/no/such/file"), command_source("b", {"false"})}); },
        testing::ThrowsMessage<SecretNotRead>(AllOf(HasSubstr("deployment.keys.a:"), HasSubstr("deployment.keys.b:"))));
}

TEST_F(ReadSecrets, ReadsTextsFilesAndCommandsByteForByte) {
    const std::string odd("line\n\0more\xff\n\n", 13);
    write_file_atomically(folder_.path() / "key", odd, 0600);
    auto text = source("text");
    text.has_text = true;
    KeyTexts texts;
    texts["text"] = {'h', 'i', '\n'};
    const auto bundle = read({text, file_source("file", (folder_.path() / "key").string()),
                              command_source("command", {"printf", "%s\\n", "a b"})},
                             texts);
    ASSERT_EQ(bundle.secrets.size(), 3u);
    EXPECT_EQ(bundle.secrets[0].file.name, "command"); // in the order of names
    EXPECT_EQ(as_text(bundle.secrets[0].content), "a b\n");
    EXPECT_EQ(as_text(bundle.secrets[1].content), odd);
    EXPECT_EQ(as_text(bundle.secrets[2].content), "hi\n");
}

TEST_F(ReadSecrets, CommandsGoThroughNoShell) {
    EXPECT_EQ(content(command_source("a", {"echo", "$HOME;", "`id`", "a|b"})), "$HOME; `id` a|b\n");
}

TEST_F(ReadSecrets, ReportsTheErrorOfAFailedCommandButNotItsOutput) {
    const auto said =
        refusal(command_source("db", {"sh", "-c", "echo hunter; echo 2 >&2; echo no such entry >&2; exit 3"}));
    EXPECT_THAT(said, AllOf(HasSubstr("deployment.keys.db"), HasSubstr("exit code 3"), HasSubstr("no such entry")));
    const auto silent = refusal(command_source("db", {"sh", "-c", "printf 'hun''ter'; exit 1"}));
    EXPECT_THAT(silent, AllOf(HasSubstr("printed no error message"), Not(HasSubstr("hunter"))));
    EXPECT_THAT(refusal(command_source("db", {"no-such-program-here"})),
                AllOf(HasSubstr("deployment.keys.db"), HasSubstr("no-such-program-here")));
}

TEST_F(ReadSecrets, ACommandHasATimeout) {
    EXPECT_THAT(refusal(command_source("db", {"sleep", "1000"}), 100ms), HasSubstr("did not end within 0.1 s"));
}

TEST_F(ReadSecrets, ExplainsWhyASecretCannotBeRead) {
    EXPECT_THAT(refusal(file_source("a", "/nonexistent/key")),
                AllOf(HasSubstr("deployment.keys.a: keyFile /nonexistent/key"), HasSubstr("No such file")));
    EXPECT_THAT(refusal(file_source("a", "/")), HasSubstr("directory"));
    EXPECT_THAT(refusal(file_source("a", "/dev/zero")), HasSubstr("longer than"));
    EXPECT_THAT(refusal(command_source("a", {"cat", "/dev/zero"})), HasSubstr("longer than"));
    EXPECT_THAT(refusal(source("a")), HasSubstr("exactly one"));
    auto both = file_source("a", "/dev/null");
    both.has_text = true;
    EXPECT_THAT(refusal(both), HasSubstr("exactly one"));
    auto bad = file_source("a", "/dev/null");
    bad.allow_empty = true;
    bad.file.user = "1000";
    EXPECT_THAT(refusal(bad), HasSubstr("not a user's name"));
}

TEST_F(ReadSecrets, RefusesAnEmptySecretUnlessAllowed) {
    write_file_atomically(folder_.path() / "empty", "", 0600);
    const auto pipe = command_source("token", {"sh", "-c", "false | tr -d x"});
    EXPECT_THAT(refusal(pipe), AllOf(HasSubstr("deployment.keys.token: the output of keyCommand `sh -c "),
                                     HasSubstr("is empty"), HasSubstr("allowEmpty")));
    EXPECT_THAT(refusal(command_source("token", {"echo"})), HasSubstr("is empty"));
    EXPECT_THAT(refusal(file_source("token", (folder_.path() / "empty").string())), HasSubstr("/empty is empty"));
    auto meant = pipe;
    meant.allow_empty = true;
    EXPECT_EQ(content(meant), "");
    auto text = source("text"); // the hive contains the empty text explicitly
    text.has_text = true;
    EXPECT_EQ(read({text}, {{"text", {}}}).secrets.at(0).content.size(), 0u);
}

TEST_F(ReadSecrets, NamesOnlyUnreadableSecrets) {
    try {
        read({command_source("a", {"false"}), command_source("b", {"echo", "fine"}), file_source("c", "/nonexistent")});
        FAIL();
    } catch (const SecretNotRead& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr("deployment.keys.a: "), HasSubstr("\ndeployment.keys.c: "),
                                        Not(HasSubstr("deployment.keys.b"))));
    }
}

// Each command waits for the other's file, so they can only end if they run in parallel.
TEST_F(ReadSecrets, RunsCommandsInParallel) {
    const auto a = (folder_.path() / "a").string();
    const auto b = (folder_.path() / "b").string();
    const auto meet = [](const std::string& mine, const std::string& other) {
        return std::vector<std::string>{"sh", "-c", "touch \"$1\"; until [ -e \"$2\" ]; do sleep 0.02; done; echo met",
                                        "sh", mine, other};
    };
    const auto bundle = read({command_source("a", meet(a, b)), command_source("b", meet(b, a))});
    EXPECT_EQ(as_text(bundle.secrets.at(0).content), "met\n");
    EXPECT_EQ(as_text(bundle.secrets.at(1).content), "met\n");
}

TEST_F(ReadSecrets, RunsNoMoreCommandsThanThereArePlaces) {
    std::vector<KeySource> sources;
    const auto count = (folder_.path() / "running").string();
    for (char name = 'a'; name < 'a' + 3 * max_key_commands; ++name)
        sources.push_back(command_source(
            std::string(1, name), {"sh", "-c", "mkdir \"$1\" && echo alone; sleep 0.01; rmdir \"$1\"", "sh", count}));
    CommandPlaces one(1);
    const auto bundle = read_secrets(sources, {}, interrupt_, one, 30s);
    for (const auto& secret : bundle.secrets)
        EXPECT_EQ(as_text(secret.content), "alone\n");
}

TEST_F(ReadSecrets, AHelperThatKeepsTheOutputOpenDoesNotDelayTheResult) {
    const auto pid = folder_.path() / "pid";
    EXPECT_EQ(
        content(command_source("a", {"sh", "-c", "sleep 1000 & echo $! > \"$1\"; echo secret", "sh", pid.string()})),
        "secret\n");
    const auto helper = read_file_if_exists(pid, 100);
    ASSERT_TRUE(helper);
    EXPECT_EQ(::kill(std::stoi(*helper), SIGKILL), 0) << "the helper had ended";
}

TEST_F(ReadSecrets, NamesTheLargestIfAllTogetherAreTooLong) {
    const auto large = (folder_.path() / "large").string();
    const auto small = (folder_.path() / "small").string();
    write_file_atomically(large, std::string(protocol::max_secret_bytes, 'x'), 0600);
    write_file_atomically(small, std::string(protocol::max_secret_bytes - 1, 'x'), 0600);
    std::vector<KeySource> sources{file_source("large", large)};
    for (size_t i = 0; i <= protocol::max_secret_content_bytes / protocol::max_secret_bytes; ++i)
        sources.push_back(file_source("small" + std::to_string(i), small));
    try {
        read(sources);
        FAIL();
    } catch (const SecretNotRead& error) {
        EXPECT_THAT(error.what(),
                    HasSubstr("the largest is \"large\" with " + std::to_string(protocol::max_secret_bytes)));
    }
}

TEST_F(ReadSecrets, CanBeInterrupted) {
    interrupt_.request();
    EXPECT_THROW(read({command_source("a", {"sleep", "1000"})}), Interrupted);
}

TEST(CoreDumps, CanBeDisabled) {
    disable_core_dumps();
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_CORE, &limit), 0);
    EXPECT_EQ(limit.rlim_cur, 0u);
    EXPECT_EQ(limit.rlim_max, 0u);
}

TEST(NodeSecrets, AreSealedForTheNodeAndForRecovery) {
    const auto node = ssh::PrivateKey::generate();
    std::vector<age::Identity> recovery;
    recovery.push_back(age::Identity::generate());
    NodeSecrets secrets{.bundle = {.hive = "bees", .node = "alpha", .sequence = 0, .secrets = {}},
                        .recovery_recipients = parse_recovery_recipients({recovery[0].recipient().to_string()})};
    const auto sealed = seal_bundle(secrets, 42, node.public_key());
    std::vector<age::Identity> identities;
    identities.emplace_back(node);
    for (const auto& who : {std::span(identities), std::span(recovery)}) {
        const auto opened = age::open(as_text(sealed), who);
        EXPECT_NO_THROW(
            protocol::require_same_target(protocol::parse_secret_bundle(as_text(opened)), "bees", "alpha", 42));
    }
    std::vector<age::Identity> stranger;
    stranger.push_back(age::Identity::generate());
    EXPECT_THROW(age::open(as_text(sealed), stranger), age::CannotOpen);
}

TEST(NodeSecrets, RecoveryRecipientsArePublicKeys) {
    try {
        parse_recovery_recipients({"alice"});
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), AllOf(HasSubstr("meta.recoveryRecipients"), HasSubstr("alice")));
    }
    EXPECT_THROW(parse_recovery_recipients(
                     std::vector<std::string>(age::max_recipients, age::Identity::generate().recipient().to_string())),
                 Error);
}

} // namespace
} // namespace waggle::trigger
