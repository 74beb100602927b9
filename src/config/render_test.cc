#include "config/render.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>

namespace ca4::config {
namespace {

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
  // The widths are those of the longest name and value there happen to be.
  const std::string collapsed = std::regex_replace(text, std::regex(" +"), " ");
  EXPECT_TRUE(collapsed.starts_with("SETTING VALUE FROM\n")) << text;
  EXPECT_NE(collapsed.find("\nlog.topic \"images\" env KAFKA_TOPIC\n"), std::string::npos) << text;
  for (const Setting& setting : table()) {
    EXPECT_NE(text.find("\n" + setting.name() + " "), std::string::npos) << setting.name();
  }
}

TEST(Render, NoFormatShowsAPassword) {
  const Loaded loaded = load_with({{"MONGO_URI", "mongodb://ann:s3cret@db/"}});
  for (const std::string& text :
       {render_table(loaded), render_json(loaded), render_toml(loaded), loaded.problems.at(0)}) {
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
