#include "agent/cli.hpp"

int main(int argc, char** argv) {
    return waggle::agent::run_cli(argc, argv);
}
