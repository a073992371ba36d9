#pragma once

#include "shared/base/interrupt.hpp"
#include "trigger/hive/chunk.hpp"
#include "trigger/hive/hive.hpp"
#include "trigger/hive/nix_options.hpp"
#include "trigger/secrets/read_secrets.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waggle::trigger {

template <class T>
struct Evaluated {
    std::vector<T> nodes;                        // in the order of the names
    std::map<std::string, std::string> failures; // node, message
};

// Evaluates a hive with child nix-instantiate processes, by way of nixos-module/hive.nix.
class Evaluator {
public:
    struct Options {
        std::filesystem::path hive_file;
        NixOptions nix;
        size_t chunk_limit = 0; // nodes in one process, 0: all
    };
    // Warnings and traces that Nix prints, each once.
    using OnLine = std::function<void(std::string_view)>;

    Evaluator(Options options, const Interrupt& interrupt, OnLine on_line);

    // Throws EvaluationError, as when the hive has a syntax error.
    HiveInfo info();
    // Of all nodes at once, which is cheap.
    std::map<std::string, DeploymentOptions> deployments(std::span<const std::string> names);
    // Who to ask for and where; no toplevel is evaluated.
    Evaluated<NodeAddress> addresses(std::span<const std::string> names);
    // Their deployment.keys as well, checked.
    Evaluated<DeployedNode> keys(std::span<const std::string> names);
    // The secrets that are written in the hive.
    EvaluatedKeyTexts key_texts(std::span<const std::string> names);
    struct Progress {
        std::function<void(std::span<const std::string>)> chunk_begins;
        std::function<void(const Evaluated<EvaluatedNode>&)> chunk_ended;
    };
    // To their derivations, chunk by chunk.
    Evaluated<EvaluatedNode> nodes(std::span<const std::string> names, const Progress& progress);

private:
    protocol::Json evaluate(const std::string& expression);
    std::string hive_expression() const;

    Options options_;
    const Interrupt& interrupt_;
    OnLine on_line_;
    std::optional<std::string> machines_file_;
    std::set<std::string> lines_seen_;
};

// The folder with hive.nix: $WAGGLE_NIXOS_MODULE, else the one this program was built with.
std::filesystem::path nixos_module_folder();

// What a person needs of an evaluator's standard error: the error itself, its traces only with `show_trace`.
std::string nix_error(std::string_view standard_error, bool show_trace);

// From the JSON of hive.nix. Throw protocol::BadDocument.
HiveInfo hive_info_from_json(const protocol::Json& json);
DeploymentOptions deployment_options_from_json(const protocol::Json& json);
NodeAddress node_address_from_json(const std::string& name, const protocol::Json& json);
DeployedNode deployed_node_from_json(const std::string& name, const protocol::Json& json);
KeyTexts key_texts_from_json(const protocol::Json& json);
EvaluatedNode evaluated_node_from_json(const std::string& name, const protocol::Json& json);

} // namespace waggle::trigger
