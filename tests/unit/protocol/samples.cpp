#include "tests/unit/protocol/samples.hpp"

#include <fmt/format.h>

namespace waggle::protocol {

nix::StorePath store_path(char hash_character, std::string_view name) {
    return nix::StorePath::parse(fmt::format("/nix/store/{}-{}", std::string(32, hash_character), name));
}

Deployment sample_deployment() {
    Deployment deployment;
    deployment.hive = "demo";
    deployment.node = "alpha";
    deployment.node_keys = {
        ssh::PublicKey::parse("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM"),
        ssh::PrivateKey::generate().public_key(),
    };
    deployment.system = "x86_64-linux";
    deployment.goal = Goal::switch_;
    deployment.toplevel = store_path('a', "nixos-system-alpha");
    deployment.closure = ClosureSummary{sha256("list"), 4711, 12};
    deployment.secrets = {false, sha256("bundle"), 815};
    deployment.sequence = 1'795'000'000'000;
    deployment.parent = DeploymentId{sha256("parent")};
    deployment.created = parse_rfc3339("2026-11-22T09:42:00.123Z");
    deployment.not_before = parse_rfc3339("2026-11-22T09:41:00.000Z");
    deployment.expires = parse_rfc3339("2026-11-22T10:42:00.000Z");
    deployment.delivery = Delivery::channel;
    deployment.rollback = {.enable = false,
                           .confirm_timeout = std::chrono::seconds(90),
                           .activation_timeout = std::chrono::seconds(91),
                           .keep_on_failed_units = true};
    deployment.reboot = Reboot::if_needed;
    deployment.remove_agent = true;
    deployment.local_content = LocalContent::exact;
    deployment.retry = true;
    deployment.git = GitRevision{std::string(40, 'c'), true};
    deployment.specialisation = "loud";
    deployment.boot_files = {{"0000-linux-6.1-bzImage", 1000}, {"0000-initrd-initrd", 2000}};
    return deployment;
}

} // namespace waggle::protocol
