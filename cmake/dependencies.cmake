# The libraries we use. Everything is in Debian 12; newer versions work.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED) # headers only: Asio and Beast, in shared/net
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)

# Use the static archive if there is one, otherwise the shared library.
if(WAGGLE_STATIC)
    set(OPENSSL_USE_STATIC_LIBS TRUE)
    find_package(OpenSSL 3 QUIET)
    if(NOT OPENSSL_FOUND)
        unset(OPENSSL_USE_STATIC_LIBS)
    endif()
endif()
find_package(OpenSSL 3 REQUIRED)

# Only the trigger links it: the agent never loads libgit2.
pkg_check_modules(libgit2 REQUIRED IMPORTED_TARGET libgit2>=1.5)

pkg_check_modules(libzstd REQUIRED IMPORTED_TARGET libzstd>=1.4)

# Only the agent links it.
pkg_check_modules(libsystemd REQUIRED IMPORTED_TARGET libsystemd)

# fmt and spdlog. In a static build they are compiled in, because their shared libraries would also load a second C++
# runtime and libm: 2.3 MiB of an idle agent's 10.9 MiB.
add_library(waggle_log_libraries INTERFACE)
if(WAGGLE_STATIC)
    target_compile_definitions(waggle_log_libraries INTERFACE FMT_HEADER_ONLY=1 SPDLOG_FMT_EXTERNAL)
else()
    target_link_libraries(waggle_log_libraries INTERFACE fmt::fmt spdlog::spdlog)
endif()
