#include "trigger/cli.hpp"

int main(int argc, char** argv) {
    return waggle::trigger::run_command_line(argc, argv);
}
