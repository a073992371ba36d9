# waggle_test(NAME SOURCES file… LIBS target… [LABEL unit|integration|system] [TIMEOUT seconds])
#   a GoogleTest program, which is one test of ctest with that label (default: unit).
# waggle_script_test(NAME SCRIPT file | PROGRAM file [ARGS arg…] LABEL integration|system|soak [TIMEOUT seconds])
#   a bash script, or a program, that exits with 0, or with 77 if it skips the test and prints the reason; it finds the
#   built programs in $WAGGLE_BUILD_DIR. Soak tests run one at a time.

find_package(GTest REQUIRED)

function(waggle_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT" "SOURCES;LIBS")
    if(NOT arg_LABEL)
        set(arg_LABEL unit)
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 300) # seconds: a program takes half a minute with the sanitizers, and a hang still ends
    endif()
    if(CMAKE_CXX_FLAGS_DEBUG MATCHES "-fsanitize")
        math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 2")
    endif()
    if(CMAKE_CROSSCOMPILING_EMULATOR)
        math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * 10") # an emulator calculates hashes in software
    endif()
    add_executable(${name} ${arg_SOURCES})
    target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>) # compiled once, and run once
    target_link_libraries(${name} PRIVATE ${arg_LIBS} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name} PRIVATE WAGGLE_TEST_DATA_DIR="${PROJECT_SOURCE_DIR}/tests/data")
    # One process for all of them: with the sanitizers, starting one takes longer than most tests.
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES
        LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT}
        ENVIRONMENT "WAGGLE_SOURCE_DIR=${PROJECT_SOURCE_DIR};WAGGLE_BUILD_DIR=${PROJECT_BINARY_DIR}")
endfunction()

function(waggle_script_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "SCRIPT;PROGRAM;LABEL;TIMEOUT" "ARGS")
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 900) # seconds: booting three nodes and deploying to them takes well under a minute; a slow machine takes more
    endif()
    if(arg_SCRIPT)
        # Names bash explicitly instead of using the first line, because Nix's build sandbox has no /usr/bin/env.
        set(command bash ${CMAKE_CURRENT_SOURCE_DIR}/${arg_SCRIPT})
    else()
        set(command ${CMAKE_CURRENT_SOURCE_DIR}/${arg_PROGRAM})
    endif()
    add_test(NAME ${name} COMMAND ${command} ${arg_ARGS})
    set_tests_properties(${name} PROPERTIES
        LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77
        ENVIRONMENT "WAGGLE_SOURCE_DIR=${PROJECT_SOURCE_DIR};WAGGLE_BUILD_DIR=${PROJECT_BINARY_DIR}")
    if(CMAKE_CXX_FLAGS_DEBUG MATCHES "-fsanitize=address")
        # A program of ours then starts in half the time, and scripts start hundreds. GoogleTest's programs look for leaks.
        set_property(TEST ${name} APPEND PROPERTY
            ENVIRONMENT "ASAN_OPTIONS=detect_leaks=0:malloc_context_size=5:max_uar_stack_size_log=16")
    endif()
    if(arg_LABEL STREQUAL soak)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()
