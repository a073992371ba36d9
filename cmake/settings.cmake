# Settings for all targets, whatever the preset.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Include paths start at the top of the tree: "shared/nix/store_path.hpp".
include_directories(${PROJECT_SOURCE_DIR})
add_compile_definitions(WAGGLE_VERSION="${PROJECT_VERSION}")

# Where the trigger looks for hive.nix when WAGGLE_NIXOS_MODULE is not set: the installed copy in a release, otherwise
# the checkout.
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    set(WAGGLE_NIXOS_MODULE_DIR ${CMAKE_INSTALL_FULL_DATADIR}/waggle/nixos-module)
else()
    set(WAGGLE_NIXOS_MODULE_DIR ${PROJECT_SOURCE_DIR}/nixos-module)
endif()

# On 32 bits, glibc supports files beyond 2 GiB and times after 2038 only on request.
if(CMAKE_SIZEOF_VOID_P EQUAL 4)
    add_compile_definitions(_FILE_OFFSET_BITS=64 _TIME_BITS=64)
endif()

# A translation unit with Beast takes 1.4 GB to compile, so at most two of them are compiled at once.
set_property(GLOBAL PROPERTY JOB_POOLS beast=2)

# NOHASHDIR: debug information of another build folder is good enough. BASEDIR: the location of the checkout does not
# matter either. DEPEND: ccache does not run the preprocessor for a file that is not in the cache.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} ${CCACHE})
endif()

# The program contains no unused functions of an archive. Symbols of archives are not exported to shared libraries, so
# that a libgit2 with its own OpenSSL never uses the statically linked one.
if(NOT APPLE)
    add_compile_options(-ffunction-sections -fdata-sections)
    add_link_options(-Wl,--gc-sections)
    # clang's sanitizers are linked statically, and export their allocator to libstdc++.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        add_link_options(-Wl,--exclude-libs,ALL)
    endif()
endif()

# Programs with sanitizers are large: GNU ld takes up to half a minute for one of them, lld takes two seconds.
find_program(LLD NAMES ld.lld-19 ld.lld)
if(LLD AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_link_options(--ld-path=${LLD})
endif()

if(WAGGLE_STATIC)
    add_link_options(-static-libstdc++ -static-libgcc)
endif()
