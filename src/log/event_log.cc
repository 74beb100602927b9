#include "log/event_log.h"

#include <future>

namespace ca4::log {

Result<std::vector<Position>> append_and_wait(EventLog& log, std::vector<NewRecord> batch) {
  // Shared, because the log may drop its copy of the callback after this function has returned.
  auto outcome = std::make_shared<std::promise<Result<std::vector<Position>>>>();
  auto future = outcome->get_future();
  log.append(std::move(batch), [outcome](Result<std::vector<Position>> result) {
    outcome->set_value(std::move(result));
  });
  return future.get();
}

}  // namespace ca4::log
