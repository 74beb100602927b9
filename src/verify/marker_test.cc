#include "verify/marker.h"

#include <gmock/gmock.h>

#include "store/memory_store.h"

namespace ca4::verify {
namespace {

TEST(Marker, IsAnOrdinaryEventThatNobodyElseSends) {
  const std::string id = marker_id();
  EXPECT_TRUE(id.starts_with("ca4-verify-"));
  EXPECT_NE(id, marker_id());
  const event::Event event = marker_event(id, 7);
  EXPECT_EQ(event.metadata_id, id);
  EXPECT_EQ(event.embedding.size(), kMarkerDim);
  EXPECT_EQ(event.ingested_at_us, 7);
  EXPECT_THAT(event.meta_json, testing::HasSubstr(R"("pipeline":"ca4-verify")"));
  EXPECT_TRUE(event::decode(event::encode(event)));
}

TEST(Marker, ItsDocumentCanBeStored) {
  store::MemoryStore store;
  const std::vector<store::Document> batch = {marker_document(marker_id(), 7)};
  EXPECT_EQ(store.upsert(batch)->at(0).outcome, store::Outcome::kInserted);
  EXPECT_EQ(*store.count({.pipeline = kMarkerPipeline}), 1U);
}

TEST(Sweep, RemovesOldMarkersAndNothingElse) {
  store::MemoryStore store;
  std::vector<store::Document> batch = {marker_document("old", 1), marker_document("other's", 2),
                                        marker_document("young", kMarkerAgeUs)};
  batch[1].pipeline = "demo";
  ASSERT_TRUE(store.upsert(batch));
  EXPECT_EQ(*sweep(store, kMarkerAgeUs + 10), 1U);
  EXPECT_EQ(*store.count({.metadata_id = "old"}), 0U);
  EXPECT_EQ(*store.count({}), 2U);
  EXPECT_EQ(*sweep(store, kMarkerAgeUs + 10), 0U);
}

}  // namespace
}  // namespace ca4::verify
