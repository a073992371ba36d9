#include "shared/protocol/secret_file.hpp"

#include <gtest/gtest.h>

namespace waggle::protocol {
namespace {

TEST(SecretFile, AccountNamesFollowPosixAndSystemd) {
    for (const char* name : {"root", "a", "www-data", "_apt", "Alice", "user_1", "a.b", "0day", "7zip"})
        EXPECT_TRUE(is_account_name(name)) << name;
    for (const char* name : {"", "-a", ".a", "1000", "a b", "a:b", "a/b", "ä", "a\n", "root\t"})
        EXPECT_FALSE(is_account_name(name)) << name;
    EXPECT_TRUE(is_account_name(std::string(31, 'a')));
    EXPECT_FALSE(is_account_name(std::string(32, 'a')));
}

TEST(SecretFile, PathsArePlain) {
    for (const char* path :
         {"/run/keys/a", "/etc/x", "/var/lib/a-b/c_d.e", "/persist/a@b:c+d,e=f~g", "/nix/storeroom/x"})
        EXPECT_TRUE(is_secret_path(path)) << path;
    for (const char* path : {"",
                             "/",
                             "/a",
                             "a/b",
                             "/run/keys/",
                             "/run//keys/a",
                             "/run/./a",
                             "/run/../a",
                             "/run/keys/..",
                             "/run/keys/a b",
                             "/run/keys/%h",
                             "/run/keys/$x",
                             "/run/keys/\"",
                             "/nix/store/x",
                             "/nix/store",
                             "/proc/1/environ",
                             "/sys/x/y",
                             "/dev/shm/x",
                             "/run/keys/a\n",
                             "/run/keys/ä"})
        EXPECT_FALSE(is_secret_path(path)) << path;
    EXPECT_TRUE(is_secret_path("/run/" + std::string(max_secret_path_bytes - 5, 'a')));
    EXPECT_FALSE(is_secret_path("/run/" + std::string(max_secret_path_bytes - 4, 'a')));
}

TEST(SecretFile, UnitsAreNamedWithTheirType) {
    for (const char* unit : {"nginx.service", "getty@tty1.service", "a-b\\x2dc.mount", "x.socket", "1.timer"})
        EXPECT_TRUE(is_unit_name(unit)) << unit;
    for (const char* unit : {"", "nginx", ".service", "--now.service", "a b.service", "nginx.conf", "a;b.service"})
        EXPECT_FALSE(is_unit_name(unit)) << unit;
}

TEST(SecretFile, PermissionsAreOctal) {
    EXPECT_EQ(parse_permissions("0600"), 0600u);
    EXPECT_EQ(parse_permissions("440"), 0440u);
    EXPECT_EQ(parse_permissions("0000"), 0u);
    EXPECT_EQ(permissions_text(0440), "0440");
    for (const char* text : {"", "6", "60", "1777", "4755", "0800", "u=rw", "-600", "06000", "0x60"})
        EXPECT_FALSE(parse_permissions(text)) << text;
}

} // namespace
} // namespace waggle::protocol
