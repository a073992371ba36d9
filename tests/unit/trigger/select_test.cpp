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

struct Case {
    const char* rule;
    Names selected;
};

TEST(Selector, SelectsByNamesGlobsAndTags) {
    const Case cases[] = {
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
    };
    for (const Case& c : cases)
        EXPECT_EQ(Selector::parse(c.rule).select(nodes, deployments()), c.selected) << c.rule;
}

TEST(Selector, NeedsTagsOnlyForTagRules) {
    EXPECT_FALSE(Selector::parse("alpha,web-*").needs_tags());
    EXPECT_TRUE(Selector::parse("alpha,@web").needs_tags());
}

TEST(Selector, RefusesEmptyRules) {
    for (const char* text : {"", " ", "alpha,,beta", "alpha,", ",alpha", "@", "alpha, @"})
        EXPECT_THAT([&] { Selector::parse(text); }, ThrowsMessage<Error>(HasSubstr("empty rule"))) << text;
}

TEST(Selector, NamesAnUnknownNodeAndTheNearOne) {
    EXPECT_THAT([] { Selector::parse("alpah").select(nodes, {}); },
                ThrowsMessage<Error>(AllOf(HasSubstr("“alpah”"), HasSubstr("“alpha”"))));
    EXPECT_THAT([] { Selector::parse("beta,nobody").select(nodes, {}); }, ThrowsMessage<Error>(HasSubstr("“nobody”")));
}

TEST(Selector, RefusesToSelectNothing) {
    for (const char* text : {"x*", "@nowhere"})
        EXPECT_THAT([&] { Selector::parse(text).select(nodes, deployments()); },
                    ThrowsMessage<Error>(HasSubstr("matches none")))
            << text;
}

} // namespace
} // namespace waggle::trigger
