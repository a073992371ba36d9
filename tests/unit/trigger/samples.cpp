#include "tests/unit/trigger/samples.hpp"

#include <fmt/format.h>

namespace waggle::trigger {

nix::StorePath sample_path(char digit, std::string_view name) {
    return nix::StorePath::parse(fmt::format("{}-{}", std::string(32, digit), name));
}

EvaluatedNode sample_node(const std::string& name) {
    NodeAddress address{.name = name, .deployment = {}, .hive = "demo", .node = name, .system = "x86_64-linux"};
    address.deployment.target_host = "10.0.0.1";
    address.deployment.rollback.confirm_timeout = std::chrono::seconds(1);
    return {{address, true}, sample_path('9', "system.drv"), sample_path('2', "system")};
}

protocol::Facts sample_facts() {
    protocol::Facts facts;
    facts.version = 1;
    facts.agent_version = "0.1.0";
    facts.system = "x86_64-linux";
    facts.time = now();
    return facts;
}

std::string sample_nar(size_t index) {
    return std::string(100 + 300'000 * index, static_cast<char>('a' + index));
}

std::shared_ptr<const Closure> sample_closure() {
    std::vector<nix::PathInfo> infos;
    for (size_t i = 0; i < 3; ++i) {
        const std::string nar = sample_nar(i);
        nix::PathInfo info{.path = sample_path(static_cast<char>('0' + i), i == 2 ? "system" : "lib"),
                           .nar_hash = sha256(nar),
                           .nar_size = nar.size(),
                           .references = {},
                           .deriver = {}};
        if (i > 0)
            info.references.push_back(infos[i - 1].path);
        infos.push_back(info);
    }
    auto closure = std::make_shared<Closure>();
    closure->list = protocol::make_closure_list(infos);
    closure->text = protocol::to_text(closure->list);
    closure->summary = protocol::summarize(closure->text, closure->list);
    return closure;
}

ReadNar sample_nar_reader() {
    return [](const nix::StorePath& path, std::uint64_t, const nix::NarSink& sink) {
        const std::string nar = sample_nar(static_cast<size_t>(path.hash_part().front() - '0'));
        for (size_t begin = 0; begin < nar.size(); begin += 10'000)
            sink(as_bytes(std::string_view(nar).substr(begin, 10'000)));
    };
}

} // namespace waggle::trigger
