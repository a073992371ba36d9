#include "shared/base/fault.hpp"

// A release injects no faults.
namespace waggle {

struct FaultPoint::Plan {};

FaultPoint::FaultPoint(const std::filesystem::path&, std::string_view) {}
FaultPoint::~FaultPoint() = default;
void FaultPoint::at(Moment) {}
bool FaultPoint::syncs() const {
    return true;
}
void FaultPoint::will_change(const std::filesystem::path&) const {}
void FaultPoint::has_content(const std::filesystem::path&) {}
void FaultPoint::is_synced(const std::filesystem::path&) {}
void FaultPoint::will_move(const std::filesystem::path&, const std::filesystem::path&) {}
void FaultPoint::folder_is_synced(const std::filesystem::path&) {}
void FaultPoint::has_tree(const std::filesystem::path&) {}
void FaultPoint::file_system_is_synced(const std::filesystem::path&) {}

} // namespace waggle
