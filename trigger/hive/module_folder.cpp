#include "trigger/hive/module_folder.hpp"

#include <cstdlib>

namespace waggle::trigger {

std::filesystem::path nixos_module_folder() {
    if (const char* folder = std::getenv("WAGGLE_NIXOS_MODULE"); folder && *folder)
        return std::filesystem::absolute(folder);
    return WAGGLE_NIXOS_MODULE_DIR;
}

} // namespace waggle::trigger
