#include "store/memory_store.h"

#include "store/store_conformance.h"

namespace ca4::store {
namespace {

constexpr Backend kMemory = {"store", +[](const std::string&) -> std::unique_ptr<DocumentStore> {
                               return std::make_unique<MemoryStore>();
                             }};
INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, testing::Values(kMemory), backend_name);
INSTANTIATE_TEST_SUITE_P(Memory, StoreSimilar, testing::Values(kMemory), backend_name);

}  // namespace
}  // namespace ca4::store
