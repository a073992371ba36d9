#include "trigger/cli.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace waggle::trigger {

namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

struct Result {
    std::vector<std::string> words;
    bool files = false;
    std::optional<std::string> hive_read; // the hive that was read, "" for the one that Waggle finds
};

Result complete_words(const std::vector<std::string>& words) {
    Result result;
    const auto read_hive_names = [&result](const std::optional<std::filesystem::path>& hive, NameKind kind) {
        result.hive_read = hive.value_or("").string();
        return kind == NameKind::tag ? std::vector<std::string>{"web", "eu"}
                                     : std::vector<std::string>{"alpha", "beta"};
    };
    const Completions completions = complete_command_line(words, read_hive_names);
    result.files = completions.files;
    for (const Completions::Word& word : completions.words)
        result.words.push_back(word.text);
    return result;
}

TEST(Complete, OffersCommandsFirst) {
    EXPECT_THAT(complete_words({""}).words, AllOf(Contains("apply"), Contains("upload-keys"), Not(Contains("--json"))));
    EXPECT_THAT(complete_words({"--json", "a"}).words, Contains("apply"));
    EXPECT_THAT(complete_words({"-f", "x.nix", ""}).words, Contains("apply"));
    EXPECT_THAT(complete_words({}).words, Contains("apply"));
}

TEST(Complete, OffersTheOptionsOfTheCommandAndOfAllCommands) {
    const std::vector<std::string> words = complete_words({"apply", "-"}).words;
    EXPECT_THAT(words, AllOf(Contains("--on"), Contains("--reboot"), Contains("--json")));
    EXPECT_THAT(complete_words({"status", "--"}).words, AllOf(Contains("--on"), Not(Contains("--reboot"))));
    EXPECT_THAT(complete_words({"--"}).words, AllOf(Contains("--json"), Not(Contains("--on"))));
}

TEST(Complete, OffersGoalsAndFixedValues) {
    EXPECT_THAT(complete_words({"apply", ""}).words, AllOf(Contains("switch"), Contains("dry-activate")));
    EXPECT_THAT(complete_words({"apply", "--via", ""}).words, ElementsAre("direct", "ssh"));
    EXPECT_THAT(complete_words({"apply", "--color=a"}).words, Contains("--color=always"));
}

TEST(Complete, OffersNodesAndTagsOfTheHive) {
    EXPECT_THAT(complete_words({"apply", "--on", ""}).words, ElementsAre("alpha", "beta"));
    EXPECT_THAT(complete_words({"apply", "--on", "@"}).words, ElementsAre("@web", "@eu"));
    EXPECT_THAT(complete_words({"apply", "--on=a"}).words, Contains("--on=alpha"));
}

TEST(Complete, ContinuesARuleAfterItsLastTerm) {
    EXPECT_THAT(complete_words({"apply", "--on", "alpha,"}).words, Contains("alpha,beta"));
    EXPECT_THAT(complete_words({"apply", "--on", "@web&!@e"}).words, Contains("@web&!@eu"));
    EXPECT_THAT(complete_words({"apply", "--on", "!"}).words, Contains("!beta"));
}

TEST(Complete, ReadsTheHiveThatTheCommandLineNames) {
    EXPECT_EQ(complete_words({"-f", "there.nix", "apply", "--on", ""}).hive_read, "there.nix");
    EXPECT_EQ(complete_words({"apply", "--on", ""}).hive_read, "");
    EXPECT_EQ(complete_words({"apply", ""}).hive_read, std::nullopt) << "evaluating a hive takes seconds";
}

TEST(Complete, LeavesFilesToTheShell) {
    EXPECT_TRUE(complete_words({"apply", "--identity", ""}).files);
    EXPECT_TRUE(complete_words({"-f", ""}).files);
    EXPECT_TRUE(complete_words({"eval", "x"}).files);
    EXPECT_FALSE(complete_words({"apply", ""}).files);
}

TEST(Complete, SkipsTheValuesOfOptions) {
    EXPECT_THAT(complete_words({"--option", "a", ""}).words, IsEmpty()) << "the second value";
    EXPECT_THAT(complete_words({"--option", "apply", "b", ""}).words, Contains("apply"));
    EXPECT_THAT(complete_words({"status", "-p", "3", "--o"}).words, Contains("--on"));
}

TEST(Complete, OffersNothingForWhatItDoesNotKnow) {
    EXPECT_THAT(complete_words({"aply", ""}).words, IsEmpty());
    EXPECT_THAT(complete_words({"status", "--eval-workers", ""}).words, IsEmpty());
    EXPECT_THAT(complete_words({"status", "--nope=a"}).words, IsEmpty());
}

TEST(Complete, DescribesCommandsAndOptions) {
    const auto no_hive = [](const std::optional<std::filesystem::path>&, NameKind) {
        return std::vector<std::string>();
    };
    const std::vector<std::string> words = {"a"};
    const Completions completions = complete_command_line(words, no_hive);
    const auto apply = std::ranges::find(completions.words, "apply", &Completions::Word::text);
    ASSERT_NE(apply, completions.words.end());
    EXPECT_THAT(apply->description, StartsWith("Evaluate, build and deploy"));
}

} // namespace

} // namespace waggle::trigger
