#include "tests/hostile/messages.hpp"

#include "shared/protocol/hello.hpp"
#include "shared/protocol/message_fields.hpp"
#include "shared/protocol/messages.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

namespace waggle::hostile {

using protocol::DeploymentState;
using protocol::Message;

namespace {

// Placeholders in a message for a word and for a text. They are replaced after encode(), which would cut and escape
// these.
constexpr std::string_view word_mark = "@word@";
constexpr std::string_view text_mark = "@text@";

// A cleared screen, a title, a color, invisible text, a cursor elsewhere, another screen; C0 and C1 controls; bidi
// overrides and isolates, a zero width blank, a line separator, a tag.
constexpr std::string_view treacherous = "\x1b[2J\x1b]0;title\a\x1b[41m\x1b[8m\x1b[5;5H\x1b[?1049h \a\b\r\x7f"
                                         "\xc2\x9b"
                                         "2J \xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b\xe2\x80\xa8\xf3\xa0\x81\x81 ";
constexpr std::string_view not_utf8 = "\xff\xfe\xc0\xaf\xed\xa0\x80\x80 ";

constexpr size_t word_bytes = 190;    // the limit that holds for every word (a secret's mode)
constexpr size_t huge_bytes = 80'000; // for about ten in a message, which may have a megabyte

struct Words {
    std::string word;
    std::string text;
};

std::string repeated(std::string_view text, size_t bytes) {
    std::string all;
    while (all.size() + text.size() <= bytes)
        all += text;
    return all;
}

// Returns the text as it appears between the quotes of a JSON string.
std::string escaped(const std::string& text) {
    const std::string json = protocol::dump_json(text);
    return json.substr(1, json.size() - 2);
}

Words words_of(const Way& way) {
    const std::string sign = "owned-by-" + way.name + " ";
    const std::string both = sign + std::string(treacherous);
    switch (way.poison) {
    case Payload::escapes: return {escaped(both), escaped(both + "\n" + both)};
    case Payload::wide:
        return {escaped(sign + repeated(treacherous, word_bytes - sign.size())),
                escaped(sign + repeated(treacherous, protocol::max_text_bytes - sign.size()))};
    case Payload::raw: return {both + std::string(not_utf8), both + std::string(not_utf8)};
    case Payload::huge: return {sign + std::string(huge_bytes, 'x'), sign + std::string(huge_bytes, 'x')};
    }
    return {};
}

void replace_all(std::string& text, std::string_view mark, std::string_view by) {
    for (size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + by.size()))
        text.replace(at, mark.size(), by);
}

class Speaker {
public:
    Speaker(net::HostileNode::Guest& guest, const Way& way) : guest_(guest), words_(words_of(way)) {}

    void say(const Message& message) { say_poisoned(protocol::encode(message)); }
    void say_poisoned(std::string bytes) {
        replace_all(bytes, word_mark, words_.word);
        replace_all(bytes, text_mark, words_.text);
        guest_.say(bytes);
    }
    const Words& words() const { return words_; }

private:
    net::HostileNode::Guest& guest_;
    const Words words_;
};

const std::string word(word_mark);
const std::string text(text_mark);

protocol::Facts facts_of(Place place) {
    const bool poisoned = place == Place::facts;
    protocol::Facts facts;
    facts.version = 1;
    facts.agent_version = poisoned ? word : "0.1.0";
    facts.system = poisoned ? word : "x86_64-linux";
    facts.time = now();
    if (!poisoned)
        return facts;
    facts.nix_version = facts.boot_id = word;
    facts.current_system = facts.booted_system = facts.profile = word;
    facts.running = protocol::Running{{}, DeploymentState::fetching, now(), word};
    return facts;
}

protocol::Refused refusal() {
    return {word, text};
}

protocol::Event event(std::uint64_t number, protocol::Event::Kind kind) {
    protocol::Event event;
    event.number = number;
    event.time = now();
    event.kind = kind;
    event.state = DeploymentState::activating;
    event.text = text;
    return event;
}

// A deployment with hostile text in every step.
void deploy(Speaker& speaker, const protocol::Deploy& deploy) {
    const protocol::DeploymentId id = deploy.document.id();
    speaker.say(protocol::Admitted{id, false});
    using Kind = protocol::Event::Kind;
    std::uint64_t number = 0;
    for (const Kind kind : {Kind::state, Kind::log, Kind::note, Kind::log})
        speaker.say(event(++number, kind));
    protocol::Result result;
    result.id = id;
    result.outcome = protocol::Outcome::rolled_back;
    result.code = word;
    result.message = text;
    speaker.say(result);
}

void answer(Speaker& speaker, const Message& question) {
    if (const auto* document = std::get_if<protocol::Deploy>(&question)) {
        deploy(speaker, *document);
    } else if (std::holds_alternative<protocol::GetHistory>(question)) {
        protocol::HistoryEntry entry;
        entry.toplevel = entry.operator_key = entry.code = entry.message = word;
        entry.outcome = protocol::Outcome::rolled_back;
        entry.ended = now();
        speaker.say(protocol::History{{entry, entry}});
    } else if (std::holds_alternative<protocol::GetSecrets>(question)) {
        protocol::SecretStatus secret;
        secret.name = secret.path = secret.owner = secret.mode = secret.note = word;
        secret.state = protocol::SecretStatus::State::differs;
        speaker.say(protocol::SecretsReport{1, text, {secret, secret}});
    } else if (std::holds_alternative<protocol::CheckHealth>(question)) {
        speaker.say(protocol::HealthReport{false, text});
    } else if (std::holds_alternative<protocol::RebootNode>(question)) {
        speaker.say(protocol::Rebooting{word});
    } else if (std::holds_alternative<protocol::Recall>(question)) {
        speaker.say(protocol::Recalled{1, {speaker.words().text, {speaker.words().word}}, 100});
    }
}

// Throws Error if the client disconnects without a question.
Message hear_question(net::HostileNode::Guest& guest) {
    const std::string bytes = guest.hear();
    return std::get<Message>(protocol::decode(bytes));
}

// A session ends when the client has read all of it and disconnects. Closing from this side could cut it off.
[[noreturn]] void listen_on(net::HostileNode::Guest& guest) {
    for (;;)
        guest.hear();
}

} // namespace

std::vector<Way> all_ways() {
    constexpr std::array places = {std::pair{"facts", Place::facts},     std::pair{"hello", Place::hello},
                                   std::pair{"refusal", Place::refusal}, std::pair{"answer", Place::answer},
                                   std::pair{"type", Place::type},       std::pair{"noise", Place::noise}};
    constexpr std::array poisons = {std::pair{"escapes", Payload::escapes}, std::pair{"wide", Payload::wide},
                                    std::pair{"raw", Payload::raw}, std::pair{"huge", Payload::huge}};
    std::vector<Way> ways;
    for (const auto& [place_name, place] : places)
        for (const auto& [poison_name, poison] : poisons)
            ways.push_back({fmt::format("{}-{}", place_name, poison_name), place, poison});
    return ways;
}

void talk(net::HostileNode::Guest& guest, const Way& way) {
    Speaker speaker(guest, way);
    guest.say(protocol::to_message(protocol::Nonce{}));
    guest.hear(); // the proof, which is not checked here
    if (way.place == Place::hello) {
        speaker.say(refusal());
        listen_on(guest);
    }
    speaker.say(facts_of(way.place));
    const Message question = hear_question(guest);
    switch (way.place) {
    case Place::refusal: speaker.say(refusal()); break;
    case Place::type: speaker.say_poisoned(fmt::format(R"(J{{"type":"{}","{}":"{}"}})", word, text, text)); break;
    case Place::noise: speaker.say_poisoned(word + text); break;
    default: answer(speaker, question); break;
    }
    listen_on(guest);
}

} // namespace waggle::hostile
