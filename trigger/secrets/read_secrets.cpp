#include "trigger/secrets/read_secrets.hpp"

#include "shared/base/process.hpp"
#include "shared/protocol/json.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

namespace waggle::trigger {

namespace {

using age::SecretBytes;

constexpr size_t max_bytes = protocol::max_secret_bytes;
constexpr auto place_interval = std::chrono::milliseconds(100);
constexpr size_t shown_error_bytes = 2000; // of a command's standard error; its end has the reason

Error too_long() {
    return Error(fmt::format("it is longer than {} bytes", max_bytes));
}

SecretBytes read_key_file(const std::string& path) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd)
        throw Error(fmt::format("keyFile {}: {}", path, std::strerror(errno)));
    SecretBytes content(max_bytes + 1);
    size_t size = 0;
    for (;;) {
        const ssize_t count = ::read(fd.get(), content.data() + size, content.size() - size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            throw Error(fmt::format("keyFile {}: {}", path, std::strerror(errno)));
        if (count == 0)
            break;
        size += static_cast<size_t>(count);
        if (size > max_bytes)
            throw Error(fmt::format("keyFile {}: {}", path, too_long().what()));
    }
    content.resize(size);
    content.shrink_to_fit();
    return content;
}

std::string last_words(std::string_view standard_error) {
    const auto end = standard_error.find_last_not_of(" \t\r\n");
    if (end == standard_error.npos)
        return " and printed no error message";
    auto words = standard_error.substr(0, end + 1);
    if (words.size() > shown_error_bytes)
        words.remove_prefix(words.size() - shown_error_bytes);
    return fmt::format(":\n{}", words);
}

// A place among the running commands. Ctrl-C ends the wait for it.
class CommandPlace {
public:
    CommandPlace(CommandPlaces& places, const Interrupt& interrupt) : places_(places) {
        while (!places_.try_acquire_for(place_interval))
            interrupt.check();
    }
    ~CommandPlace() { places_.release(); }
    CommandPlace(const CommandPlace&) = delete;
    CommandPlace& operator=(const CommandPlace&) = delete;

private:
    CommandPlaces& places_;
};

SecretBytes run_key_command(const std::vector<std::string>& argv, const Interrupt& interrupt, CommandPlaces& places,
                            std::chrono::milliseconds time) {
    const CommandPlace place(places, interrupt);
    const Command command{.argv = argv, .extra_environment = {}};
    SecretBytes content;
    const auto collect = [&](std::string_view piece) {
        if (content.size() + piece.size() > max_bytes)
            throw too_long();
        content.insert(content.end(), piece.begin(), piece.end());
    };
    try {
        // A helper that the command leaves running (gpg-agent, an ssh master) may keep its output open.
        const RunResult result = run(command, {.deadline = deadline_in(time),
                                               .on_stdout = collect,
                                               .on_stderr_line = {},
                                               .interrupt = &interrupt,
                                               .until_exit = true});
        interrupt.check(); // Ctrl-C reaches the child as well
        if (!result.status.success())
            throw Error(fmt::format("it ended with {}{}", result.status.to_string(), last_words(result.err_tail)));
        return content;
    } catch (const Interrupted&) {
        throw;
    } catch (const TimedOut&) {
        throw Error(fmt::format("keyCommand `{}` did not end within {} s, and was stopped", command.to_string(),
                                std::chrono::duration<double>(time).count()));
    } catch (const Error& error) {
        throw Error(fmt::format("keyCommand `{}`: {}", command.to_string(), error.what()));
    }
}

// A failure in the middle of a pipe leaves nothing, or white space alone, which would replace a good secret.
bool is_empty(const SecretBytes& content) {
    return as_text(content).find_first_not_of(" \t\r\n") == std::string_view::npos;
}

SecretBytes not_empty(SecretBytes content, const KeySource& source, const std::string& where) {
    if (!source.allow_empty && is_empty(content))
        throw Error(fmt::format("{} is empty; if that is meant, set allowEmpty", where));
    return content;
}

SecretBytes read_secret(const KeySource& source, const KeyTexts& texts, const Interrupt& interrupt,
                        CommandPlaces& places, std::chrono::milliseconds command_time) {
    const int sources = (source.key_file ? 1 : 0) + (source.key_command.empty() ? 0 : 1) + (source.has_text ? 1 : 0);
    if (sources != 1)
        throw Error("exactly one of text, keyFile and keyCommand must be set");
    if (source.key_file)
        return not_empty(read_key_file(*source.key_file), source, fmt::format("keyFile {}", *source.key_file));
    if (!source.key_command.empty())
        return not_empty(run_key_command(source.key_command, interrupt, places, command_time), source,
                         fmt::format("the output of keyCommand `{}`", Command{source.key_command, {}}.to_string()));
    const auto text = texts.find(source.file.name);
    if (text == texts.end())
        throw Error("its text was not evaluated");
    if (text->second.size() > max_bytes)
        throw too_long();
    return text->second;
}

} // namespace

KeyTexts key_texts_from_json(const protocol::Json& json) {
    KeyTexts texts;
    for (const auto& [key, text] : json.items()) {
        if (!text.is_string())
            throw protocol::BadDocument(fmt::format("deployment.keys.{}: its text is not a string", key));
        const auto& content = text.get_ref<const std::string&>();
        texts[key] = {content.begin(), content.end()};
    }
    return texts;
}

protocol::SecretBundle read_secrets(std::span<const KeySource> sources, const KeyTexts& texts,
                                    const Interrupt& interrupt, CommandPlaces& places,
                                    std::chrono::milliseconds command_time) {
    protocol::SecretBundle bundle;
    bundle.secrets.resize(sources.size());
    std::vector<std::exception_ptr> failures(sources.size());
    const auto read = [&](size_t i) {
        try {
            bundle.secrets[i] = {sources[i].file, read_secret(sources[i], texts, interrupt, places, command_time)};
        } catch (...) {
            failures[i] = std::current_exception();
        }
    };
    {
        std::atomic<size_t> next = 0;
        const auto read_commands = [&] {
            for (size_t i = next++; i < sources.size(); i = next++)
                if (!sources[i].key_command.empty())
                    read(i);
        };
        const auto commands = std::ranges::count_if(sources, [](const auto& key) { return !key.key_command.empty(); });
        std::vector<std::jthread> threads;
        for (std::ptrdiff_t i = 1; i < std::min<std::ptrdiff_t>(commands, max_key_commands); ++i)
            threads.emplace_back(read_commands);
        for (size_t i = 0; i < sources.size(); ++i)
            if (sources[i].key_command.empty())
                read(i);
        read_commands();
    }
    std::vector<std::string> problems;
    for (size_t i = 0; i < sources.size(); ++i) {
        if (!failures[i])
            continue;
        try {
            std::rethrow_exception(failures[i]);
        } catch (const Interrupted&) {
            throw;
        } catch (const Error& error) {
            problems.push_back(fmt::format("deployment.keys.{}: {}", sources[i].file.name, error.what()));
        }
    }
    if (!problems.empty())
        throw SecretNotRead(fmt::format("{}", fmt::join(problems, "\n")));
    std::ranges::sort(bundle.secrets, {}, [](const protocol::Secret& secret) { return secret.file.name; });
    try {
        protocol::require_valid(bundle);
    } catch (const protocol::BadDocument& error) {
        throw SecretNotRead(fmt::format("deployment.keys: {}", error.what()));
    }
    return bundle;
}

void disable_core_dumps() {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    if (::setrlimit(RLIMIT_CORE, &none) != 0)
        throw SystemError("disabling core dumps");
}

} // namespace waggle::trigger
