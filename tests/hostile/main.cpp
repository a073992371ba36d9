// Hostile peers. Their nodes listen on 127.0.0.1.
//
//   hostile_peer ways
//       Prints a JSON object, {name: {"port": …, "hostKey": …}, …}, of nodes. Each of them sends output that must not
//       be shown, in a way of its own. Serves them until it is killed.
//   hostile_peer relay KEY_FILE HOST PORT HOST_KEY
//       Prints its port. Relays the messages of one operator, who takes it for the node with the private key, to the
//       agent at HOST. Prints the agent's answer.
//   hostile_peer handshakes HOST PORT
//       Makes as many TLS handshakes as it can, and sends no hello after any of them, until it is killed. Prints every
//       second how many it has made.
#include "shared/net/client.hpp"
#include "shared/net/socket.hpp"
#include "shared/protocol/json.hpp"
#include "tests/hostile/messages.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdio>
#include <list>
#include <thread>

namespace waggle::hostile {
namespace {

using net::HostileNode;
constexpr std::chrono::minutes patience{10};

Deadline soon() {
    return deadline_in(std::chrono::seconds(20));
}

std::uint16_t port_number(const char* text) {
    return static_cast<std::uint16_t>(std::stoi(text));
}

struct Node {
    Way way;
    ssh::PrivateKey key = ssh::PrivateKey::generate();
    net::Listener listener = std::move(net::listen_on({"127.0.0.1"}, 0).front());

    void serve() const {
        for (;;) {
            try {
                HostileNode::serve(
                    listener.fd.get(), key, [this](HostileNode::Guest& guest) { talk(guest, way); }, patience);
            } catch (const Error&) {
                continue; // the client has disconnected
            }
        }
    }
};

int serve_all_ways() {
    std::list<Node> nodes;
    protocol::Json json = protocol::Json::object();
    for (Way& way : all_ways()) {
        const Node& node = nodes.emplace_back(Node{std::move(way)});
        json[node.way.name] = {{"port", node.listener.endpoint.port()}, {"hostKey", node.key.public_key().to_string()}};
    }
    fmt::print("{}\n", protocol::dump_json(json));
    std::fflush(stdout);
    std::list<std::jthread> threads;
    for (const Node& node : nodes)
        threads.emplace_back([&node] { node.serve(); });
    return 0; // never: the threads continue to serve
}

int relay(char** arguments) {
    const ssh::PrivateKey key = ssh::PrivateKey::load(arguments[0]);
    const std::string host = arguments[1];
    const std::uint16_t port = port_number(arguments[2]);
    const ssh::PublicKey victim = ssh::PublicKey::parse(arguments[3]);
    const net::Listener listener = std::move(net::listen_on({"127.0.0.1"}, 0).front());
    fmt::print("{}\n", listener.endpoint.port());
    std::fflush(stdout);
    HostileNode::serve(
        listener.fd.get(), key,
        [&](HostileNode::Guest& guest) {
            net::Client client;
            const net::NodeConnection link = client.connect(host, port, {victim}, soon());
            guest.say(link.connection->receive(soon()).value()); // the victim's challenge
            link.connection->send(guest.hear(), soon());         // the operator's proof
            const std::string answer = link.connection->receive(soon()).value();
            fmt::print("{}\n", answer);
            guest.say(answer);
        },
        patience);
    return 0;
}

int make_handshakes(const std::string& host, std::uint16_t port) {
    constexpr size_t at_a_time = 32;
    std::atomic<std::uint64_t> made = 0;
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < at_a_time; ++i) {
        threads.emplace_back([&] {
            net::Client client;
            for (;;) {
                try {
                    client.connect(host, port, {}, soon());
                } catch (const net::WrongHostKey&) { // no key is pinned, so each finished handshake ends here
                    ++made;
                } catch (const Error&) {
                    continue; // the node turned it away
                }
            }
        });
    }
    for (;;) {
        std::this_thread::sleep_for(std::chrono::seconds(1));
        fmt::print("{}\n", made.load());
        std::fflush(stdout);
    }
}

int run(int argc, char** argv) {
    const std::string_view mode = argc > 1 ? argv[1] : "";
    if (mode == "ways" && argc == 2)
        return serve_all_ways();
    if (mode == "relay" && argc == 6)
        return relay(argv + 2);
    if (mode == "handshakes" && argc == 4)
        return make_handshakes(argv[2], port_number(argv[3]));
    fmt::print(stderr, "usage: hostile_peer ways | relay KEY_FILE HOST PORT HOST_KEY | handshakes HOST PORT\n");
    return 2;
}

} // namespace
} // namespace waggle::hostile

int main(int argc, char** argv) {
    return waggle::hostile::run(argc, argv);
}
