#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

// One error that nix-store printed: the line with "error:" and the indented lines after it.
struct BuildError {
    std::string text;
    std::set<std::string> derivations; // absolute paths in its text
    bool is_consequence = false;       // "1 dependencies of derivation … failed to build"
};

std::vector<BuildError> build_errors(std::string_view standard_error);

struct Explanation {
    std::string text;
    std::set<std::string> failed; // derivations whose builders failed, for their logs
    bool is_its_own = false;      // an error names a derivation that the node needs
};

// Finds the errors that explain a node's failure: those that name a derivation its system needs, otherwise their
// consequences for it, otherwise all errors.
Explanation explain_failure(const std::vector<BuildError>& errors, const std::set<std::string>& needed_derivations);

} // namespace waggle::trigger
