#include "shared/protocol/boot_files.hpp"

#include <algorithm>

namespace waggle::protocol {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t cluster_bytes = 4096; // what a small file takes on a FAT file system

std::uint64_t file_bytes(const fs::path& file) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    return error ? 0 : size;
}

std::uint64_t folder_bytes(const fs::path& folder) {
    std::uint64_t bytes = 0;
    std::error_code error;
    for (auto entry = fs::recursive_directory_iterator(folder, error);
         !error && entry != fs::recursive_directory_iterator(); entry.increment(error))
        if (entry->is_regular_file(error))
            bytes += (file_bytes(entry->path()) + cluster_bytes - 1) / cluster_bytes * cluster_bytes;
    return bytes;
}

} // namespace

std::vector<BootFile> find_boot_files(const fs::path& toplevel, DeviceTrees device_trees, const fs::path& store) {
    std::vector<fs::path> systems{toplevel};
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(toplevel / "specialisation", missing))
        systems.push_back(entry.path());
    std::ranges::sort(systems);

    std::vector<const char*> parts{"kernel", "initrd"};
    if (device_trees == DeviceTrees::included)
        parts.push_back("dtbs");
    std::vector<BootFile> files;
    for (const fs::path& system : systems) {
        for (const char* part : parts) {
            std::error_code error;
            const fs::path file = fs::canonical(system / part, error);
            if (error)
                continue;
            std::string name = file.lexically_relative(store).string();
            std::ranges::replace(name, '/', '-');
            const bool known = std::ranges::find(files, name, &BootFile::name) != files.end();
            if (name.starts_with("..") || known || files.size() >= max_boot_files)
                continue;
            if (const auto bytes = fs::is_directory(file, error) ? folder_bytes(file) : file_bytes(file))
                files.push_back({name, bytes});
        }
    }
    return files;
}

} // namespace waggle::protocol
