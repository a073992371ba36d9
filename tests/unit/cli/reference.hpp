#pragma once

#include <functional>
#include <string>

namespace waggle::test {

// A program whose help becomes pages of docs/reference.
struct Program {
    std::string name;                                               // "waggle"
    std::string title;                                              // of the page in Markdown
    std::string purpose;                                            // half a sentence, for the manual page
    int section;                                                    // of the manual
    std::function<std::string(const std::string& command)> help_of; // "": the overview
};

// The help of the program and of its commands as a page in Markdown.
std::string markdown_page(const Program& program);

// The same for man(1), in the format of man(7).
std::string manual_page(const Program& program);

// Compares a file of docs/reference with what it must contain; with WAGGLE_UPDATE_DOCS in the environment, writes it
// first.
void expect_page(const std::string& name, const std::string& expected);

} // namespace waggle::test
