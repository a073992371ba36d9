// Builds over the worker protocol, by real daemons.

#include "shared/nix/daemon.hpp"
#include "tests/integration/private_nix.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace waggle::nix {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

class RealBuild : public test::WithPrivateNix {
protected:
    StorePath instantiate(const std::string& script) const {
        const std::string drv = nix->run(
            {"nix-instantiate", "-E",
             "derivation { name = \"it\"; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" \"" +
                 script + "\" ]; }"});
        return StorePath::parse_absolute(drv.substr(0, drv.find('\n')));
    }
    // Instantiates two derivations, of which the first needs the second.
    std::pair<StorePath, StorePath> instantiate_two() const {
        const std::string drvs = nix->run({"nix-instantiate", "-E",
                                           "let make = name: script: derivation { inherit name; system = "
                                           "builtins.currentSystem; builder = \"/bin/sh\"; "
                                           "args = [ \"-c\" script ]; }; part = make \"part\" \"echo part > $out\"; "
                                           "in [ (make \"whole\" \"echo ${part} > $out\") part ]"});
        const size_t end = drvs.find('\n');
        return {StorePath::parse_absolute(drvs.substr(0, end)),
                StorePath::parse_absolute(drvs.substr(end + 1, drvs.find('\n', end + 1) - end - 1))};
    }
    void build(const StorePath& drv) {
        daemon().build(drv, {.deadline = deadline_in(seconds(60)), .interrupt = interrupt, .on_line = [&](auto line) {
                                 lines.emplace_back(line);
                                 if (line.ends_with("waiting"))
                                     interrupt.request();
                             }});
    }

    Daemon& daemon() {
        if (!daemon_)
            daemon_ = Daemon::spawn(nix->command({"nix-daemon", "--stdio"}), seconds(20));
        return *daemon_;
    }

    Interrupt interrupt;
    std::vector<std::string> lines;

private:
    std::optional<Daemon> daemon_;
};

INSTANTIATE_TEST_SUITE_P(Nix, RealBuild, testing::Values("host", "trixie", "sid"),
                         [](const auto& instance) { return instance.param; });

TEST_P(RealBuild, ReportsTheBuildLogAndKeepsTheConnectionUsable) {
    const StorePath drv = instantiate("echo at work; echo hello > $out");
    build(drv);
    EXPECT_THAT(lines, Contains("it> at work"));
    EXPECT_EQ(daemon().query_valid_paths(std::array{drv}), std::set{drv});
}

TEST_P(RealBuild, ReportsWhyTheBuildFailed) {
    const StorePath drv = instantiate("echo oh no; exit 3");
    try {
        build(drv);
        FAIL() << "it succeeded";
    } catch (const BuildFailed& failure) {
        EXPECT_THAT(failure.what(), AllOf(HasSubstr(drv.absolute()), HasSubstr("exit code 3")));
    }
    EXPECT_THAT(lines, Contains("it> oh no"));
}

TEST_P(RealBuild, PredictsAllDerivationsThatMustBeBuilt) {
    const auto [whole, part] = instantiate_two();
    EXPECT_EQ(daemon().query_will_build(std::array{whole}), (std::set{whole, part}));
    build(part);
    EXPECT_EQ(daemon().query_will_build(std::array{whole}), std::set{whole});
    build(whole);
    EXPECT_EQ(daemon().query_will_build(std::array{whole, part}), std::set<StorePath>{});
}

TEST_P(RealBuild, CanBeInterrupted) {
    EXPECT_THROW(build(instantiate("echo waiting; while :; do :; done")), Interrupted);
}

} // namespace
} // namespace waggle::nix
