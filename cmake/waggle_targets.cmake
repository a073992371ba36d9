# waggle_library(NAME SOURCES file… LIBS target…): one of our static libraries.
# waggle_program(NAME SOURCES file… LIBS target…): one of our programs, installed to bin.
# A list may be empty while its part is being written: the library is then an interface, the program is left out.

function(waggle_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS")
    waggle_existing(sources ${arg_SOURCES})
    if(sources)
        add_library(${name} STATIC ${sources})
        target_link_libraries(${name} PUBLIC ${arg_LIBS})
    else()
        add_library(${name} INTERFACE)
        target_link_libraries(${name} INTERFACE ${arg_LIBS})
    endif()
endfunction()

function(waggle_program name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS")
    waggle_existing(sources ${arg_SOURCES})
    if(sources)
        add_executable(${name} ${sources})
        target_link_libraries(${name} PRIVATE ${arg_LIBS})
        install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endfunction()

# The files that exist; the others are named, so that one unfinished part does not stop the others.
function(waggle_existing out)
    set(found)
    foreach(source IN LISTS ARGN)
        if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${source})
            list(APPEND found ${source})
        else()
            message(STATUS "${CMAKE_CURRENT_SOURCE_DIR}/${source} does not exist yet")
        endif()
    endforeach()
    set(${out} ${found} PARENT_SCOPE)
endfunction()
