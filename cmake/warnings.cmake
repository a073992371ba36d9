# The warnings of all our code, each with its reason. Headers of libraries are system headers and cause no warnings.

add_compile_options(
    -Wall -Wextra           # the compiler's own choice of likely mistakes
    -Wpedantic              # no extensions: the code compiles with g++ 12 and 14 and with clang
    -Wconversion            # a length from outside must not shrink silently
    -Wsign-conversion       # nor turn from negative to huge
    -Wshadow                # two things with the same name, one of which hides the other
    -Wold-style-cast        # a cast names its kind
    -Wcast-qual             # const is not cast away
    -Wnon-virtual-dtor      # deleting through a base class would leak
    -Woverloaded-virtual    # a misspelt override hides instead of overriding
    -Wsuggest-override      # override is always written, so the line above can be seen
    -Wextra-semi            # clutter
    -Wformat=2              # printf formats are literals
    -Wundef                 # a misspelt macro in #if is an error, not 0
    -Wimplicit-fallthrough  # falling through a case is marked
    -Wdouble-promotion      # float arithmetic is not done in double unnoticed
)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(
        -Wduplicated-cond     # else-if that can never be reached
        -Wduplicated-branches # both branches are the same: a copy that was not edited
        -Wlogical-op          # && where & was meant
    )
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_compile_options(
        -Wzero-as-null-pointer-constant # a null pointer is written nullptr; g++ reports every coroutine
        -Wno-deprecated-declarations # g++ 12's algorithms call what its <memory> calls deprecated
        -Wno-cast-qual               # OpenSSL's macros cast const away, and clang takes them for ours
    )
endif()

# Off if files are compiled together: each then sees the names that the others have for themselves, and g++ takes the others
# for headers.
if(CMAKE_UNITY_BUILD)
    add_compile_options(-Wno-shadow $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()

if(WAGGLE_WERROR)
    add_compile_options(-Werror)
endif()
