#include "config/render.h"

#include <gmock/gmock.h>

#include <iterator>
#include <map>
#include <sstream>

namespace ca4::config {
namespace {

using testing::Contains;
using testing::ElementsAre;

Loaded load_with(const std::map<std::string, std::string>& variables) {
  Sources sources;
  sources.env = [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
  return load(sources);
}

TEST(Render, TheTableShowsEveryValueAndItsOrigin) {
  const std::string text = render_table(load_with({{"KAFKA_TOPIC", "images"}}));
  std::istringstream lines(text);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    rows.emplace_back(std::istream_iterator<std::string>(words),
                      std::istream_iterator<std::string>());
  }
  EXPECT_THAT(rows, Contains(ElementsAre("SETTING", "VALUE", "FROM")));
  EXPECT_THAT(rows, Contains(ElementsAre("log.topic", "\"images\"", "env", "KAFKA_TOPIC")));
  for (const Setting& setting : table()) {
    EXPECT_NE(text.find("\n" + setting.name() + " "), std::string::npos) << setting.name();
  }
}

TEST(Render, NoFormatShowsAPassword) {
  const Loaded loaded = load_with({{"MONGO_URI", "mongodb://ann:s3cret@db/"}});
  for (const std::string& text : {render_table(loaded), render_json(loaded), render_toml(loaded)}) {
    EXPECT_NE(text.find("ann:****@db"), std::string::npos) << text;
    EXPECT_EQ(text.find("s3cret"), std::string::npos) << text;
  }
}

TEST(Render, TomlReadsBackToTheSameSettings) {
  const Loaded before = load_with({{"CA4_DATA_DIR", "a \"quoted\"\tdir"},
                                   {"CA4_PROCESSOR_THREADS", "7"},
                                   {"CA4_ARCHIVE_ENABLED", "false"}});
  Sources sources;
  sources.file = "printed.toml";
  sources.file_text = render_toml(before);
  const Loaded after = load(sources);
  EXPECT_EQ(after.status().to_string(), "ok");
  EXPECT_EQ(after.settings.data_dir, "a \"quoted\"\tdir");
  EXPECT_EQ(after.settings.processor.threads, 7);
  EXPECT_FALSE(after.settings.archive.enabled);
}

TEST(Render, JsonIsAnObjectASetting) {
  const std::string text = render_json(load_with({}));
  EXPECT_NE(text.find("{\"name\": \"processor.threads\", \"value\": 0, \"origin\": \"default\"}"),
            std::string::npos);
  EXPECT_NE(text.find("{\"name\": \"archive.enabled\", \"value\": true, \"origin\": \"default\"}"),
            std::string::npos);
}

TEST(Render, TheDocumentationHasARowASetting) {
  const std::string text = render_markdown();
  for (const Setting& setting : table()) {
    EXPECT_NE(text.find("`" + std::string(setting.env) + "`"), std::string::npos) << setting.env;
    EXPECT_NE(text.find(setting.help), std::string::npos) << setting.help;
    EXPECT_EQ(setting.help.find('|'), std::string_view::npos) << "would break the table";
  }
}

}  // namespace
}  // namespace ca4::config
