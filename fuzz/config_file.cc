// ca4.toml: what is wrong is told, and a file without a mistake is, printed and read back, the
// same.
#include "config/load.h"
#include "config/render.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

config::Loaded load(std::string_view text) {
  return config::load({.file = "ca4.toml", .file_text = std::string(text)});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const config::Loaded first = load(text_of(data, size));
  for (const std::string& problem : first.problems) {
    require(problem.starts_with("ca4.toml:"), "a problem has its place", problem);
  }
  require(first.status().is_ok() == first.problems.empty(), "problems are no success");
  (void)config::render_table(first);
  if (!first.problems.empty()) return 0;
  const std::string printed = config::render_toml(first);
  const config::Loaded second = load(printed);
  // A secret is not printed, also where an address should stand: that is none then.
  if (!second.problems.empty() && printed.find("****") != std::string::npos) return 0;
  require(second.problems.empty(), "what is printed can be read",
          printed + (second.problems.empty() ? "" : second.problems[0]));
  const std::string again = config::render_toml(second);
  // Origins move to other lines once; then nothing does.
  require(config::render_toml(load(again)) == again, "what is printed stays", again);
  require(config::render_json(second) == config::render_json(load(again)), "and means the same");
  return 0;
}
