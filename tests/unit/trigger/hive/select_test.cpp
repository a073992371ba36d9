#include "shared/base/error.hpp"
#include "trigger/hive/select.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::trigger {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;
using Names = std::vector<std::string>;

const Names nodes = {"alpha", "beta", "db.example", "web-1", "web-2"};

std::map<std::string, DeploymentOptions> deployments() {
    std::map<std::string, DeploymentOptions> all;
    all["alpha"].tags = {"eu", "web"};
    all["beta"].tags = {"us"};
    all["db.example"].tags = {"eu"};
    return all;
}

struct SelectCase {
    const char* rule;
    Names selected;
};

TEST(Selector, SelectsByNamesGlobsAndTags) {
    const SelectCase cases[] = {
        {"alpha", {"alpha"}},
        {"beta,alpha", {"alpha", "beta"}},
        {" alpha , beta ", {"alpha", "beta"}},
        {"web-*", {"web-1", "web-2"}},
        {"web-[12]", {"web-1", "web-2"}},
        {"?eta", {"beta"}},
        {"*", nodes},
        {"*.example", {"db.example"}},
        {"@eu", {"alpha", "db.example"}},
        {"@[eu][us]", {"alpha", "beta", "db.example"}},
        {"@web,beta", {"alpha", "beta"}},
        {"alpha,alpha,@web", {"alpha"}},
        {"@eu&@web", {"alpha"}},
        {"@eu & @web , beta", {"alpha", "beta"}},
        {"@eu&!@web", {"db.example"}},
        {"!@web&@eu", {"db.example"}},
        {"web-*&!*-2", {"web-1"}},
        {"*&!alpha", {"beta", "db.example", "web-1", "web-2"}},
        {"!alpha", {"beta", "db.example", "web-1", "web-2"}},
        {"!@eu,!web-*", {"beta"}},
        {"@eu,!@web", {"db.example"}},
        {"!@web,@eu", {"db.example"}},
        {"! @eu , beta , alpha", {"beta"}},
        {"@nowhere,beta", {"beta"}},
        {"[!w]*", {"alpha", "beta", "db.example"}},
    };
    for (const SelectCase& c : cases)
        EXPECT_EQ(Selector::parse(c.rule).select(nodes, deployments()), c.selected) << c.rule;
}

TEST(Selector, KnowsWhichNodesItNamesExplicitly) {
    EXPECT_TRUE(Selector::parse("b,@web,a").names("a"));
    EXPECT_FALSE(Selector::parse("*").names("a"));
    EXPECT_FALSE(Selector::parse("@a").names("a"));
    EXPECT_FALSE(Selector::parse("!a").names("a"));
    EXPECT_FALSE(Selector::parse("a&@web").names("a"));
}

TEST(Selector, NeedsTagsOnlyForTagRules) {
    EXPECT_FALSE(Selector::parse("alpha,web-*").needs_tags());
    EXPECT_TRUE(Selector::parse("alpha,@web").needs_tags());
    EXPECT_TRUE(Selector::parse("alpha&!@web").needs_tags());
    EXPECT_TRUE(Selector::parse("!@web").needs_tags());
    EXPECT_FALSE(Selector::parse("!alpha").needs_tags());
}

TEST(Selector, RefusesMalformedRulesAndExplainsWhy) {
    const std::pair<const char*, const char*> cases[] = {
        {"", "empty rule"},
        {" ", "empty rule"},
        {"alpha,,beta", "empty rule"},
        {"alpha,", "empty rule"},
        {",alpha", "empty rule"},
        {"alpha&", "empty rule"},
        {"&", "empty rule"},
        {"@", "“@” without a tag"},
        {"alpha, @", "“@” without a tag"},
        {"!@", "“@” without a tag"},
        {"!", "“!” without a name"},
        {"alpha,! ", "“!” without a name"},
        {"!!alpha", "“!!”"},
        {"!alpha&!beta", "only excludes nodes"},
        {"web-[12", "“[” without “]”"},
        {"[]", "“[” without “]”"},
        {"alpha!beta", "“!” inside"},
        {"@eu@web", "“@” inside"},
        {"@!eu", "“!” inside"},
    };
    for (const auto& [text, problem] : cases)
        EXPECT_THAT([input = text] { Selector::parse(input); }, ThrowsMessage<Error>(HasSubstr(problem))) << text;
}

TEST(Selector, RefusesToExcludeAnUnknownTagOrNode) {
    EXPECT_THAT([] { Selector::parse("*,!@wbe").select(nodes, deployments()); },
                ThrowsMessage<Error>(AllOf(HasSubstr("“wbe”"), HasSubstr("“web”"))));
    EXPECT_THAT([] { Selector::parse("@eu&!@wbe").select(nodes, deployments()); },
                ThrowsMessage<Error>(HasSubstr("“wbe”")));
    EXPECT_THAT([] { Selector::parse("!nobody").select(nodes, deployments()); },
                ThrowsMessage<Error>(HasSubstr("“nobody”")));
}

TEST(Selector, NamesAnUnknownNodeAndTheNearestOne) {
    EXPECT_THAT([] { Selector::parse("alpah").select(nodes, {}); },
                ThrowsMessage<Error>(AllOf(HasSubstr("“alpah”"), HasSubstr("“alpha”"))));
    EXPECT_THAT([] { Selector::parse("beta,nobody").select(nodes, {}); }, ThrowsMessage<Error>(HasSubstr("“nobody”")));
}

TEST(Selector, RefusesToSelectNothing) {
    for (const char* text : {"x*", "@nowhere", "@eu&@us", "!*", "alpha,!alpha"})
        EXPECT_THAT([&] { Selector::parse(text).select(nodes, deployments()); },
                    ThrowsMessage<Error>(HasSubstr("matches none")))
            << text;
    EXPECT_THAT([] { Selector::parse("@wbe").select(nodes, deployments()); },
                ThrowsMessage<Error>(HasSubstr("did you mean “web”?")));
}

} // namespace
} // namespace waggle::trigger
