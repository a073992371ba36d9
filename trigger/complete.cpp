#include "trigger/complete.hpp"

#include "shared/cli/help.hpp"
#include "trigger/command/apply.hpp"
#include "trigger/command/opened_hive.hpp"
#include "trigger/report/escape.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <set>
#include <stop_token>
#include <string_view>
#include <thread>

namespace waggle::trigger {

namespace {

// An operator who presses the tab key does not wait longer for the hive.
constexpr auto hive_time = std::chrono::seconds(10);

// Finds "--on" or "-f" among the options of the command and of all commands; nullptr if there is no such option.
const CLI::Option* find_option(std::span<const CLI::App* const> apps, std::string_view name) {
    for (const CLI::App* app : apps) {
        for (const CLI::Option* option : app->get_options()) {
            if (option->nonpositional() && option->check_name(std::string(name)))
                return option;
        }
    }
    return nullptr;
}

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
    for (const CLI::App* command : app.get_subcommands({})) {
        if (command->check_name(name))
            return command;
    }
    return nullptr;
}

// The last term of a rule for --on: "a,!@w" offers the tags that begin with w, each with "a,!@" before it.
Completions complete_nodes(std::string_view rule, const std::function<std::vector<std::string>(NameKind)>& read_names) {
    const size_t joint = rule.find_last_of(",&");
    size_t begin = joint == rule.npos ? 0 : joint + 1;
    if (begin < rule.size() && rule[begin] == '!')
        ++begin;
    const bool is_tag = begin < rule.size() && rule[begin] == '@';
    const std::string before(rule.substr(0, is_tag ? begin + 1 : begin));
    Completions completions;
    for (const std::string& name : read_names(is_tag ? NameKind::tag : NameKind::node))
        completions.words.push_back({.text = before + name});
    return completions;
}

Completions complete_value(const CLI::Option& option, std::string_view typed,
                           const std::function<std::vector<std::string>(NameKind)>& read_names) {
    const std::string type = value_name(option);
    std::vector<std::string> choices;
    if (type == "NODES")
        return complete_nodes(typed, read_names);
    if (type == "FILE" || type == "HIVE")
        return {.words = {}, .files = true};
    if (type == "GOAL")
        choices = goal_words();
    if (type == "WAY")
        choices = way_words();
    if (type == "WHEN")
        choices = color_words();
    Completions completions;
    for (const std::string& choice : choices)
        completions.words.push_back({.text = choice});
    return completions;
}

Completions complete_option_name(std::span<const CLI::App* const> apps) {
    Completions completions;
    for (const CLI::App* app : apps) {
        for (const CLI::Option* option : app->get_options()) {
            if (!is_listed(*option))
                continue;
            for (const std::string& name : option->get_lnames())
                completions.words.push_back({.text = "--" + name, .description = option->get_description()});
        }
    }
    return completions;
}

Completions complete_command(const CLI::App& app) {
    Completions completions;
    for (const CLI::App* command : app.get_subcommands({}))
        completions.words.push_back({.text = command->get_name(), .description = command->get_description()});
    return completions;
}

class SilentReporter : public Reporter {
public:
    void step(const std::string& /*node*/, Step /*step*/) override {}
    void line(const std::string& /*node*/, std::string_view /*text*/) override {}
    void transfer(const std::string& /*node*/, std::uint64_t /*done*/, std::uint64_t /*total*/) override {}
    void ended(const std::string& /*node*/, protocol::Outcome /*outcome*/, std::string_view /*message*/) override {}
    void activity(std::string_view /*text*/) override {}
    void note(std::string_view /*text*/) override {}
};

std::vector<std::string> evaluate_names(const std::optional<std::filesystem::path>& place, NameKind kind) {
    Interrupt interrupt;
    const std::jthread timer([&interrupt](const std::stop_token& stop) {
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any waiting;
        waiting.wait_for(lock, stop, hive_time, [] { return false; });
        if (!stop.stop_requested())
            interrupt.request();
    });
    GlobalOptions global;
    global.config = place;
    SilentReporter silence;
    OpenedHive hive(global, SelectOptions(), interrupt, silence);
    if (kind == NameKind::node)
        return hive.info().nodes;
    std::set<std::string> tags;
    for (const auto& [node, deployment] : hive.evaluator().deployments(hive.info().nodes).nodes)
        tags.insert(deployment.tags.begin(), deployment.tags.end());
    return {tags.begin(), tags.end()};
}

} // namespace

Completions complete(const CLI::App& app, std::span<const std::string> words, const ReadHiveNames& read_hive_names) {
    if (words.empty())
        return complete_command(app);
    const CLI::App* command = nullptr;
    std::optional<std::filesystem::path> hive;
    const CLI::Option* pending = nullptr; // the option that takes the next word
    int values = 0;                       // that it still takes
    std::vector<const CLI::App*> apps = {&app};
    for (const std::string& word : words.first(words.size() - 1)) {
        if (pending) {
            if (value_name(*pending) == "HIVE")
                hive = word;
            if (--values == 0)
                pending = nullptr;
        } else if (word.starts_with('-')) {
            pending = word.find('=') == word.npos ? find_option(apps, word) : nullptr;
            if (pending && value_name(*pending).empty()) // a flag
                pending = nullptr;
            values = pending ? pending->get_type_size() : 0;
        } else if (!command) {
            command = find_command(app, word);
            if (!command)
                return {};
            apps = {command, &app};
        }
    }

    const auto read_names = [&](NameKind kind) { return read_hive_names(hive, kind); };
    const std::string& typed = words.back();
    if (pending)
        return complete_value(*pending, typed, read_names);
    if (const size_t equals = typed.find('='); typed.starts_with("--") && equals != typed.npos) {
        const CLI::Option* option = find_option(apps, typed.substr(0, equals));
        Completions completions;
        if (option)
            completions = complete_value(*option, std::string_view(typed).substr(equals + 1), read_names);
        for (Completions::Word& word : completions.words)
            word.text.insert(0, typed, 0, equals + 1);
        return completions;
    }
    if (typed.starts_with('-'))
        return complete_option_name(apps);
    if (!command)
        return complete_command(app);
    for (const CLI::Option* option : command->get_options()) {
        if (!option->nonpositional())
            return complete_value(*option, typed, read_names);
    }
    return {};
}

int print_completions(const CLI::App& app, std::span<const std::string> words) {
    try {
        const Completions completions = complete(app, words, evaluate_names);
        if (completions.files)
            fmt::print(":files\n");
        for (const Completions::Word& word : completions.words) {
            if (words.empty() || word.text.starts_with(words.back()))
                fmt::print("{}\t{}\n", printable(word.text), printable(word.description));
        }
        return 0;
    } catch (const std::exception&) {
        return 1;
    }
}

} // namespace waggle::trigger
