#pragma once

#include "shared/base/error.hpp"
#include "shared/base/file.hpp"
#include "shared/base/process.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace waggle::test {

// The mirror cannot provide the root of a suite today.
class RootUnavailable : public Error {
public:
    using Error::Error;
};

// A Nix of some version with an empty store of its own: each command runs in a mount namespace in which a temporary
// folder is /nix, so the machine's own store is neither seen nor touched and nothing stays mounted. Needs root.
class PrivateNix {
public:
    // "host" is the machine's own Nix; "trixie" and "sid" are those of Debian roots, from tests/system/roots.sh, or the
    // folder that $WAGGLE_NIX_ROOT_TRIXIE or $WAGGLE_NIX_ROOT_SID names. Throws Error that says what is missing,
    // RootUnavailable if the cause lies outside this machine.
    explicit PrivateNix(const std::string& which);

    // The command that runs these words there.
    Command command(std::vector<std::string> argv) const;
    // Runs them to their end; what they print. Throws Error with their standard error when they fail.
    std::string run(std::vector<std::string> argv) const;

    // Where a path below /nix is for this process.
    std::filesystem::path outside(const std::filesystem::path& inside) const;

private:
    TemporaryFolder folder_{"waggle-store-"};
    std::string root_; // empty: the host's
};

// A test with the Nix that its parameter names; skipped where there is none today.
class WithPrivateNix : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        try {
            nix.emplace(GetParam());
        } catch (const RootUnavailable& error) {
            GTEST_SKIP() << error.what();
        }
    }

    std::optional<PrivateNix> nix;
};

} // namespace waggle::test
