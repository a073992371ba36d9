#include "trigger/cli.hpp"
#include "trigger/command/apply.hpp"
#include "trigger/command/build.hpp"
#include "trigger/command/check_health.hpp"
#include "trigger/command/confirm.hpp"
#include "trigger/command/eval.hpp"
#include "trigger/command/history.hpp"
#include "trigger/command/keys.hpp"
#include "trigger/command/nodes.hpp"
#include "trigger/command/reboot.hpp"
#include "trigger/command/repl.hpp"
#include "trigger/command/rollback.hpp"
#include "trigger/command/status.hpp"
#include "trigger/command/upload_keys.hpp"
#include "trigger/command/whoami.hpp"
#include "trigger/report/escape.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace waggle::trigger {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::variant<CommandLine, Usage> parse(std::vector<const char*> words) {
    words.insert(words.begin(), "waggle");
    return parse_command_line(static_cast<int>(words.size()), words.data());
}

template <class Options>
Options parsed(std::vector<const char*> words, GlobalOptions* global = nullptr) {
    auto result = parse(std::move(words));
    if (const auto* usage = std::get_if<Usage>(&result))
        throw std::runtime_error(usage->text);
    if (global)
        *global = std::get<CommandLine>(result).global;
    return *std::any_cast<std::shared_ptr<Options>>(std::get<CommandLine>(result).options);
}

Usage usage(std::vector<const char*> words) {
    auto result = parse(std::move(words));
    return std::holds_alternative<Usage>(result) ? std::get<Usage>(result)
                                                 : Usage{.exit_code = -1, .text = "was accepted"};
}

TEST(CommandLineOf, ApplyHasDefaults) {
    const auto apply = parsed<ApplyOptions>({"apply"});
    EXPECT_EQ(apply.goal, protocol::Goal::switch_);
    EXPECT_EQ(apply.connect.parallel, 10u);
    EXPECT_EQ(apply.build.select.eval_node_limit, "auto");
    EXPECT_FALSE(apply.build.select.on);
    EXPECT_FALSE(apply.force);
}

TEST(CommandLineOf, InstallBootloaderRequiresAGoalThatBoots) {
    EXPECT_TRUE(parsed<ApplyOptions>({"apply", "boot", "--install-bootloader"}).install_boot_loader);
    EXPECT_THAT(usage({"apply", "test", "--install-bootloader"}).text, HasSubstr("not with test"));
}

TEST(CommandLineOf, CommandsThatSendStorePathsAcceptAnUploadLimit) {
    EXPECT_EQ(parsed<ApplyOptions>({"apply", "--upload-limit", "500K"}).connect.upload_limit, 500u << 10);
    EXPECT_EQ(parsed<RollbackOptions>({"rollback", "--upload-limit", "2M"}).connect.upload_limit, 2u << 20);
    EXPECT_EQ(parsed<BuildCommandOptions>({"build", "--upload-limit", "2M"}).connect.upload_limit, 2u << 20);
    EXPECT_FALSE(parsed<ApplyOptions>({"apply"}).connect.upload_limit);
    EXPECT_THAT(usage({"apply", "--upload-limit", "fast"}).text, AllOf(HasSubstr("--upload-limit"), HasSubstr("500K")));
    EXPECT_EQ(usage({"status", "--upload-limit", "2M"}).exit_code, usage({"status", "--no-such-option"}).exit_code);
}

TEST(CommandLineOf, FormerNamesAreAcceptedByCommandsThatConnect) {
    EXPECT_EQ(parsed<ApplyOptions>({"apply", "--on", "a", "--rename", "b"}).connect.reach.former_node, "b");
    EXPECT_EQ(parsed<StatusOptions>({"status", "--rename-hive", "old"}).connect.reach.former_hive, "old");
}

TEST(CommandLineOf, ApplyAcceptsColmenasOptions) {
    const auto apply = parsed<ApplyOptions>(
        {"apply", "dry-activate", "--on", "a,@b", "-p", "3", "--eval-node-limit", "5", "--keep-result"});
    EXPECT_EQ(apply.goal, protocol::Goal::dry_activate);
    EXPECT_EQ(apply.build.select.on, "a,@b");
    EXPECT_EQ(apply.connect.parallel, 3u);
    EXPECT_EQ(apply.build.select.eval_node_limit, "5");
    EXPECT_TRUE(apply.build.keep_result);
}

TEST(CommandLineOf, RepeatedSelectionsAreCombined) {
    EXPECT_EQ(parsed<ApplyOptions>({"apply", "--on", "a,@b", "boot", "--on", "c"}).build.select.on, "a,@b,c");
    EXPECT_EQ(parsed<ApplyOptions>({"apply", "--on", "a,,b"}).build.select.on, "a,,b"); // refused as a whole, later
    EXPECT_EQ(parsed<ApplyOptions>({"apply"}).build.select.on, std::nullopt);
}

TEST(CommandLineOf, SuggestsTheOptionOnForAPossibleNodeName) {
    EXPECT_THAT(usage({"apply", "alpha"}).text, HasSubstr("`waggle apply --on alpha`"));
    EXPECT_THAT(usage({"apply", "switch", "alpha"}).text, HasSubstr("`waggle apply --on alpha`"));
    EXPECT_THAT(usage({"status", "alpha"}).text, HasSubstr("`waggle status --on alpha`"));
    EXPECT_THAT(usage({"apply", "swich"}).text, Not(HasSubstr("--on")));
    EXPECT_THAT(usage({"repl", "alpha"}).text, Not(HasSubstr("--on")));
}

TEST(CommandLineOf, HistoryAcceptsALimitOf500) {
    EXPECT_EQ(parsed<HistoryOptions>({"history", "--limit", "500"}).limit, 500u);
}

TEST(CommandLineOf, TheHiveDecidesWhereToBuildUnlessOverridden) {
    EXPECT_EQ(parsed<ApplyOptions>({"apply"}).build.on_target, std::nullopt);
    EXPECT_EQ(parsed<ApplyOptions>({"apply", "--build-on-target"}).build.on_target, true);
    EXPECT_EQ(parsed<ApplyOptions>({"apply", "--no-build-on-target"}).build.on_target, false);
    const auto build = parsed<BuildCommandOptions>({"build", "--build-on-target", "--identity", "key"});
    EXPECT_EQ(build.build.on_target, true);
    EXPECT_EQ(build.connect.identity, "key");
    EXPECT_EQ(usage({"apply", "--build-on-target", "--no-build-on-target"}).exit_code, 2);
}

TEST(CommandLineOf, SecretsCanBeUploadedAloneOrSkipped) {
    EXPECT_TRUE(parsed<ApplyOptions>({"apply", "--no-keys"}).no_keys);
    EXPECT_EQ(parsed<ApplyOptions>({"apply", "upload-keys"}).goal, protocol::Goal::upload_keys);
    EXPECT_THAT(usage({"apply", "upload-keys", "--no-keys"}).text, HasSubstr("--no-keys"));
    const auto upload = parsed<UploadKeysOptions>({"upload-keys", "--on", "@web"});
    EXPECT_EQ(upload.select.on, "@web");
    EXPECT_EQ(upload.connect.parallel, 0u); // all nodes at once
    EXPECT_GE(parsed<StatusOptions>({"status"}).connect.parallel, 100u);
    EXPECT_EQ(parsed<KeysOptions>({"keys", "--on", "a"}).select.on, "a");
}

TEST(CommandLineOf, RepeatableFilesDoNotSwallowTheGoal) {
    const auto apply = parsed<ApplyOptions>({"apply", "--known-hosts", "a", "--known-hosts", "b", "push"});
    EXPECT_EQ(apply.connect.known_hosts.size(), 2u);
    EXPECT_EQ(apply.goal, protocol::Goal::push);
}

TEST(CommandLineOf, GlobalOptionsStandBeforeOrAfterTheCommand) {
    for (const auto& words : {std::vector<const char*>{"-f", "x.nix", "--show-trace", "build"},
                              std::vector<const char*>{"build", "-f", "x.nix", "--show-trace"}}) {
        GlobalOptions global;
        parsed<BuildCommandOptions>(words, &global);
        EXPECT_EQ(global.config, "x.nix");
        EXPECT_TRUE(global.nix.show_trace);
    }
}

TEST(CommandLineOf, NixOptionsKeepTheirOrderAndEmptyValues) {
    GlobalOptions global;
    const auto apply =
        parsed<ApplyOptions>({"apply", "--option", "cores", "2", "--nix-option", "substituters", "", "push"}, &global);
    EXPECT_EQ(apply.goal, protocol::Goal::push);
    EXPECT_EQ(global.nix.options,
              (std::vector<std::pair<std::string, std::string>>{{"cores", "2"}, {"substituters", ""}}));
}

TEST(CommandLineOf, ATypoIsNamedWithTheNearestWord) {
    EXPECT_THAT(usage({"aply"}).text, AllOf(HasSubstr("“aply”"), HasSubstr("“apply”")));
    EXPECT_THAT(usage({"apply", "swich"}).text, AllOf(HasSubstr("“swich”"), HasSubstr("“switch”")));
    EXPECT_THAT(usage({"apply", "--parrallel", "3"}).text, AllOf(HasSubstr("--parrallel"), HasSubstr("“--parallel”")));
    EXPECT_THAT(usage({"apply", "--show-trase"}).text, HasSubstr("“--show-trace”"));
    EXPECT_THAT(usage({"--colr", "never", "apply"}).text, HasSubstr("“--color”"));
    EXPECT_THAT(usage({"build", "--color", "sometimes"}).text, HasSubstr("sometimes"));
}

TEST(CommandLineOf, UsageErrorsExitWith2AndHelpWith0) {
    for (const auto& words : {std::vector<const char*>{"aply"},
                              {"apply", "swich"},
                              {"apply", "switch", "boot"},
                              {"apply", "--on"},
                              {"apply", "-p", "x"},
                              {"apply", "-p", "-1"}})
        EXPECT_EQ(usage(words).exit_code, 2) << (words.empty() ? "nothing" : words.back());
    for (const auto& words : {std::vector<const char*>{}, {"--help"}, {"apply", "--help"}, {"--version"}})
        EXPECT_EQ(usage(words).exit_code, 0);
}

const std::vector<const char*> commands = {"apply",       "build",  "confirm", "rollback",     "reboot",
                                           "upload-keys", "status", "history", "check-health", "keys",
                                           "whoami",      "nodes",  "eval",    "repl"};

TEST(Help, WithoutACommandListsAllOfThem) {
    const std::string overview = usage({}).text;
    EXPECT_EQ(overview, usage({"--help"}).text);
    for (const char* command : commands)
        EXPECT_THAT(overview, HasSubstr(fmt::format("\n  {} ", command)));
    EXPECT_THAT(overview, AllOf(HasSubstr("Example:"), HasSubstr("docs/README.md")));
}

TEST(Help, ShowsNoParserInternalsAndFitsIn100Columns) {
    for (const char* command : commands) {
        const std::string help = usage({command, "--help"}).text;
        EXPECT_THAT(help, AllOf(Not(HasSubstr("{false}")), Not(HasSubstr(":{")), Not(HasSubstr("INT")),
                                Not(HasSubstr("Excludes"))))
            << command;
        std::istringstream lines(help);
        for (std::string line; std::getline(lines, line);)
            EXPECT_LE(columns(line), 100u) << line;
    }
}

TEST(Help, OfACommandDoesNotRepeatTheOverview) {
    for (const char* command : commands)
        EXPECT_THAT(usage({command, "--help"}).text, Not(HasSubstr("Example:"))) << command;
}

TEST(Help, ListsACommandsOwnOptionsFirst) {
    const std::string help = usage({"apply", "--help"}).text;
    const auto goal = help.find("\n  dry-activate ");
    const auto own = help.find("\n  -p, --parallel N ");
    const auto global = help.find("\n  -f, --config HIVE ");
    EXPECT_NE(global, help.npos);
    EXPECT_LT(goal, own);
    EXPECT_LT(own, global);
}

} // namespace
} // namespace waggle::trigger
