#include "trigger/build/boot_files.hpp"

#include <algorithm>

namespace waggle::trigger {

namespace fs = std::filesystem;

std::vector<protocol::BootFile> find_boot_files(const fs::path& toplevel, const fs::path& store) {
    std::vector<fs::path> systems{toplevel};
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(toplevel / "specialisation", missing))
        systems.push_back(entry.path());
    std::ranges::sort(systems);

    std::vector<protocol::BootFile> files;
    for (const fs::path& system : systems) {
        for (const char* part : {"kernel", "initrd"}) {
            std::error_code error;
            const fs::path file = fs::canonical(system / part, error);
            if (error)
                continue;
            const auto size = fs::file_size(file, error);
            std::string name = file.lexically_relative(store).string();
            if (error || size == 0 || name.starts_with(".."))
                continue;
            std::ranges::replace(name, '/', '-');
            const bool known = std::ranges::find(files, name, &protocol::BootFile::name) != files.end();
            if (!known && files.size() < protocol::max_boot_files)
                files.push_back({name, size});
        }
    }
    return files;
}

} // namespace waggle::trigger
