// From method and path to a handler; 404 and 405 are answered here.
#pragma once

#include <map>
#include <string>

#include "http/server.h"

namespace ca4::http {

// Filled before the server starts, then only read: any thread may route.
class Router {
 public:
  // `path` is matched exactly. A HEAD request goes to GET's handler (the server sends no body).
  // Adding the same method and path twice is a defect of the caller.
  void add(const std::string& method, const std::string& path, Handler handler);

  // Answers 404 for a path nobody added, 405 with `Allow` for another method.
  void route(Request request, Respond respond) const;

  // Whether somebody added this path. For labels of metrics, which must be few.
  bool knows(const std::string& path) const { return routes_.contains(path); }

 private:
  std::map<std::string, std::map<std::string, Handler>> routes_;
};

}  // namespace ca4::http
