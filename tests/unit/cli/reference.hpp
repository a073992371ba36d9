#pragma once

#include <functional>
#include <string>

namespace waggle::test {

// A program whose help becomes pages of docs/reference.
struct Program {
    std::string name;                                               // "waggle"
    std::string title;                                              // of the page in Markdown
    std::string page;                                               // its file in docs/reference: "cli.md"
    std::string purpose;                                            // half a sentence, for the manual page
    int section;                                                    // of the manual
    std::function<std::string(const std::string& command)> help_of; // "": the overview
};

// Compares the program's two pages in docs/reference with its help; with WAGGLE_UPDATE_DOCS in the environment, writes
// them first. The manual page is NAME.SECTION.
void expect_pages(const Program& program);

} // namespace waggle::test
