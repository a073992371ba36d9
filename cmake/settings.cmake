# What every target is compiled with, whatever the preset.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Includes are written from the top of the tree: "shared/nix/store_path.hpp".
include_directories(${PROJECT_SOURCE_DIR})
add_compile_definitions(WAGGLE_VERSION="${PROJECT_VERSION}")

# Where the trigger looks for hive.nix when WAGGLE_NIXOS_MODULE is not set: the installed copy in a release, the checkout else.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    set(WAGGLE_NIXOS_MODULE_DIR ${CMAKE_INSTALL_FULL_DATADIR}/waggle/nixos-module)
else()
    set(WAGGLE_NIXOS_MODULE_DIR ${PROJECT_SOURCE_DIR}/nixos-module)
endif()

# With 32 bits, glibc knows files beyond 2 GiB and times after 2038 only where it is asked to.
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
    add_compile_definitions(_FILE_OFFSET_BITS=64 _TIME_BITS=64)
endif()

# A translation unit with Beast takes 1.4 GB to compile: never more than two of them at once.
set_property(GLOBAL PROPERTY JOB_POOLS beast=2)

# NOHASHDIR: debug information of another build folder is as good. BASEDIR: neither does the checkout's place matter.
# DEPEND: does not run the preprocessor for a file that is not in the cache.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${CCACHE})
endif()

# An unused function of an archive takes no room in the program; an archive's symbols are not offered to shared libraries,
# so that a libgit2 with its own OpenSSL never meets the one linked statically.
if(NOT APPLE)
    add_compile_options(-ffunction-sections -fdata-sections)
    add_link_options(-Wl,--gc-sections)
    # clang's sanitizers are linked statically, and offer their allocator to libstdc++.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        add_link_options(-Wl,--exclude-libs,ALL)
    endif()
endif()

# The sanitizers' programs are large: GNU ld takes up to half a minute for one of them, lld two seconds.
find_program(LLD NAMES ld.lld-19 ld.lld)
if(LLD AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_link_options(--ld-path=${LLD})
endif()

if(WAGGLE_STATIC)
    add_link_options(-static-libstdc++ -static-libgcc)
endif()
