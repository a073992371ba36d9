#include "tests/unit/trigger/fake_agent.hpp"

#include "shared/base/bytes.hpp"
#include "shared/base/zstd.hpp"
#include "shared/protocol/hello.hpp"

#include <gtest/gtest.h>

namespace waggle::trigger {

using namespace std::chrono_literals;

void MemoryLink::send(End from, std::string message) {
    {
        const std::scoped_lock lock(mutex_);
        if (broken_ || closed_)
            throw net::ConnectionLost("the connection broke");
        (from == End::trigger ? to_agent_ : to_trigger_).push_back(std::move(message));
    }
    changed_.notify_all();
}

std::optional<std::string> MemoryLink::receive(End at, Deadline deadline) {
    std::unique_lock lock(mutex_);
    auto& queue = at == End::trigger ? to_trigger_ : to_agent_;
    if (!changed_.wait_until(lock, deadline, [&] { return broken_ || closed_ || !queue.empty(); }))
        throw TimedOut("nothing came");
    if (!queue.empty() && !broken_) {
        std::string message = std::move(queue.front());
        queue.pop_front();
        lock.unlock();
        changed_.notify_all();
        return message;
    }
    if (closed_)
        return std::nullopt;
    throw net::ConnectionLost("the connection broke");
}

void MemoryLink::close() {
    {
        const std::scoped_lock lock(mutex_);
        closed_ = true;
    }
    changed_.notify_all();
}

void MemoryLink::break_off() {
    {
        const std::scoped_lock lock(mutex_);
        broken_ = true;
    }
    changed_.notify_all();
}

void MemoryLink::wait_until_read(End by) {
    std::unique_lock lock(mutex_);
    auto& queue = by == End::trigger ? to_trigger_ : to_agent_;
    if (!changed_.wait_for(lock, 10s, [&] { return broken_ || queue.empty(); }))
        throw TimedOut("the other side reads nothing");
}

namespace {

class TriggerSide : public net::Connection {
public:
    explicit TriggerSide(std::shared_ptr<MemoryLink> link) : link_(std::move(link)) {}
    ~TriggerSide() override { link_->break_off(); }

    void send(std::string message, Deadline) override { link_->send(MemoryLink::End::trigger, std::move(message)); }
    std::optional<std::string> receive(Deadline deadline) override {
        return link_->receive(MemoryLink::End::trigger, deadline);
    }
    void finish(Deadline) noexcept override {}
    void abort() noexcept override { link_->break_off(); }
    std::string peer() const override { return "fake"; }

private:
    std::shared_ptr<MemoryLink> link_;
};

} // namespace

std::string AgentSide::receive() {
    auto message = link_->receive(MemoryLink::End::agent, deadline_in(10s));
    if (!message)
        throw net::ConnectionLost("closed");
    return std::move(*message);
}

protocol::Hello AgentSide::challenge() {
    send_raw(protocol::to_message(random_bytes<32>()));
    return protocol::verify_hello(receive()).hello;
}

void AgentSide::greet(const protocol::Facts& facts) {
    challenge();
    send(facts);
}

protocol::DeploymentId AgentSide::take_deployment() {
    const auto deploy = expect<protocol::Deploy>();
    deployments.push_back(protocol::parse_deployment(deploy.document.payload));
    sealed_bundle.clear();
    while (!deployment().secrets.keep && sealed_bundle.size() < deployment().secrets.bytes) {
        const std::string bytes = receive();
        sealed_bundle += std::get<protocol::SecretBundlePiece>(protocol::decode(bytes)).bytes;
    }
    if (!deployment().closure)
        return deploy.document.id();
    protocol::ClosureListReader reader(deployment().closure.value(), deployment().toplevel.value());
    while (!reader.complete()) {
        const std::string bytes = receive();
        reader.update(std::get<protocol::ClosureListPiece>(protocol::decode(bytes)).text);
    }
    list_ = reader.finish();
    return deploy.document.id();
}

std::string AgentSide::take_nar(std::uint32_t index) {
    std::string nar;
    ZstdDecompressor frame;
    std::vector<std::byte> buffer(10'000);
    for (bool packed = false; nar.size() < list_.at(index).nar_size || (packed && !frame.complete());) {
        const std::string bytes = receive();
        const auto incoming = protocol::decode(bytes);
        if (const auto* piece = std::get_if<protocol::NarPiece>(&incoming)) {
            if (piece->index != index)
                throw Error("a piece of another NAR");
            nar += piece->bytes;
            plain_bytes += piece->bytes.size();
            continue;
        }
        const auto& piece = std::get<protocol::CompressedNarPiece>(incoming);
        if (piece.index != index)
            throw Error("a piece of another NAR");
        packed = true;
        packed_bytes += piece.bytes.size();
        auto input = as_bytes(piece.bytes);
        while (const size_t size = frame.read(input, buffer))
            nar += as_text(std::span<const std::byte>(buffer).first(size));
    }
    return nar;
}

std::vector<std::string> AgentSide::take_nars(const std::vector<std::uint32_t>& indices) {
    send(protocol::Want{indices});
    std::vector<std::string> nars;
    for (const std::uint32_t index : indices)
        nars.push_back(take_nar(index));
    return nars;
}

void AgentSide::break_off_when_read() {
    link_->wait_until_read(MemoryLink::End::trigger);
    link_->break_off();
}

void AgentSide::send_state(std::uint64_t number, protocol::DeploymentState state) {
    protocol::Event event;
    event.number = number;
    event.time = now();
    event.kind = protocol::Event::Kind::state;
    event.state = state;
    send(event);
}

void AgentSide::send_log(std::uint64_t number, const std::string& text) {
    protocol::Event event;
    event.number = number;
    event.time = now();
    event.kind = protocol::Event::Kind::log;
    event.state = protocol::DeploymentState::activating;
    event.text = text;
    send(event);
}

void AgentSide::send_result(const protocol::DeploymentId& id, protocol::Outcome outcome, const std::string& code,
                            const std::string& message) {
    protocol::Result result;
    result.id = id;
    result.outcome = outcome;
    result.code = code;
    result.message = message;
    result.generation = 7;
    send(result);
}

FakeAgent::~FakeAgent() {
    for (const auto& link : links_)
        link->break_off();
    for (std::thread& thread : threads_)
        thread.join();
}

Connect FakeAgent::connector() {
    return [this](Deadline) {
        if (scripts_.empty())
            throw net::Unreachable("connection refused");
        auto link = std::make_shared<MemoryLink>();
        links_.push_back(link);
        threads_.emplace_back([link, script = std::move(scripts_.front())] {
            AgentSide side(link);
            try {
                script(side);
            } catch (const net::ConnectionLost&) {
                return; // the trigger left
            } catch (const std::exception& error) {
                ADD_FAILURE() << "the fake agent: " << error.what();
                link->break_off();
            }
        });
        scripts_.pop_front();
        return net::NodeConnection{.connection = std::make_unique<TriggerSide>(link), .node_key = key_, .exporter = {}};
    };
}

} // namespace waggle::trigger
