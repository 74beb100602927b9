#include "http/server.h"

#include <fmt/format.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "http/connection.h"
#include "http/loop.h"

namespace ca4::http {

namespace {

using Acceptor = net::basic_socket_acceptor<net::ip::tcp, net::io_context::executor_type>;

// Pause after an accept that failed because descriptors ran out: connections end meanwhile.
constexpr std::chrono::milliseconds kAcceptPause{50};

// So many over the limit are told why at a time, each for a moment; of a flood the rest is closed
// without a word, or it would take all descriptors.
constexpr size_t kTurnedAwayMax = 64;

// Of each connection, which takes it over. Left to itself the kernel lets it grow to 4 MiB for a
// client that reads nothing; of this, which it doubles for its own needs, thousands have room. An
// answer over 100 ms of network still gets 2 MB/s.
constexpr int kSendBufferBytes = 208 << 10;

constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

using TlsContext = std::shared_ptr<net::ssl::context>;

Result<TlsContext> tls_context(const ServerOptions& options) {
  if (options.tls_cert_file.empty()) return TlsContext();
  auto context = std::make_shared<net::ssl::context>(net::ssl::context::tls_server);
  boost::system::error_code error;
  // 1.2 is the oldest that is not broken, and of it only what keeps old recordings unreadable when
  // a key gets lost, and authenticates what it encrypts (RFC 9325). All of 1.3 is so.
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  if (SSL_CTX_set_cipher_list(context->native_handle(), kTls12Ciphers) != 1) {
    return Status(Code::kInternal, fmt::format("this OpenSSL has none of {}", kTls12Ciphers));
  }
  // A client that asks for new keys over and over would cost more than one that connects anew.
  SSL_CTX_set_options(context->native_handle(), SSL_OP_NO_RENEGOTIATION);
  // Idle connections give their 34 KiB of buffers back.
  SSL_CTX_set_mode(context->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  // OpenSSL would ask at the terminal for the pass phrase of a key, and meanwhile no signal is
  // heard.
  SSL_CTX_set_default_passwd_cb(context->native_handle(),
                                [](char*, int, int, void*) { return -1; });
  context->use_certificate_chain_file(options.tls_cert_file, error);
  if (error) {
    return Status(Code::kConfig, fmt::format("{}: no PEM certificate chain can be read: {}",
                                             options.tls_cert_file, error.message()));
  }
  context->use_private_key_file(options.tls_key_file, net::ssl::context::pem, error);
  if (error) {
    return Status(Code::kConfig, fmt::format("{}: no PEM private key without a pass phrase for "
                                             "that certificate: {}",
                                             options.tls_key_file, error.message()));
  }
  return context;
}

class LoopServer final : public Server {
 public:
  explicit LoopServer(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~LoopServer() override { stop(0); }

  Status listen() {
    const ServerOptions& options = shared_->options;
    if (Status bad = reload_certificate(); !bad.is_ok()) return bad;
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned count = options.threads == 0 ? cores : options.threads;
    for (unsigned i = 0; i < count; ++i) loops_.push_back(std::make_shared<Loop>(shared_));
    Status bound = bind();
    if (!bound.is_ok()) return bound;
    for (const auto& loop : loops_) {
      threads_.emplace_back([loop] { loop->run(); });
    }
    accept();
    return Status::ok();
  }

  uint16_t port() const override { return port_; }
  size_t connections() const override { return shared_->connections.load(); }

  Status reload_certificate() override {
    Result<TlsContext> fresh = tls_context(shared_->options);
    if (!fresh) return fresh.status();
    const std::lock_guard lock(tls_mutex_);
    tls_ = std::move(*fresh);
    return Status::ok();
  }

  size_t stop(int64_t grace_ms) override {
    if (stopped_) return 0;
    stopped_ = true;
    if (threads_.empty()) return 0;
    shared_->stopping = true;
    stop_accepting();
    for (const auto& loop : loops_) loop->finish_all();
    const int64_t until = steady_ms() + grace_ms;
    while (connections() > 0 && steady_ms() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      for (const auto& loop : loops_) loop->finish_all();
    }
    const size_t cut_off = connections();
    for (const auto& loop : loops_) loop->abort_all();
    for (const auto& loop : loops_) loop->release();
    for (std::thread& thread : threads_) thread.join();
    return cut_off;
  }

 private:
  Status bind() {
    const ServerOptions& options = shared_->options;
    const std::string where = fmt::format("{}:{}", options.host, options.port);
    boost::system::error_code error;
    net::ip::tcp::resolver resolver(loops_[0]->context());
    const auto found = resolver.resolve(options.host, std::to_string(options.port),
                                        net::ip::tcp::resolver::passive, error);
    if (error) return {Code::kIo, fmt::format("can't listen on {}: {}", where, error.message())};
    const net::ip::tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_ = std::make_unique<Acceptor>(loops_[0]->context());
    pause_ = std::make_unique<Timer>(loops_[0]->context());
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(net::socket_base::reuse_address(true), error);
    boost::system::error_code ignored;  // then it is as large as the kernel makes it
    acceptor_->set_option(net::socket_base::send_buffer_size(kSendBufferBytes), ignored);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(net::socket_base::max_listen_connections, error);
    if (error) {
      const char* hint = error == net::error::address_in_use
                             ? "; another process listens there (port 0 takes any free one)"
                             : "";
      return {Code::kIo, fmt::format("can't listen on {}: {}{}", where, error.message(), hint)};
    }
    port_ = acceptor_->local_endpoint().port();
    return Status::ok();
  }

  void accept() {
    std::shared_ptr<Loop> loop = loops_[next_loop_++ % loops_.size()];
    acceptor_->async_accept(
        loop->context(), [this, loop](const boost::system::error_code& error, Socket socket) {
          if (error == net::error::operation_aborted || !acceptor_->is_open()) return;
          if (error) {
            pause_->expires_after(kAcceptPause);
            pause_->async_wait([this](const boost::system::error_code& cancelled) {
              if (!cancelled) accept();
            });
            return;
          }
          if (!flooded()) {
            net::post(loop->context(), [this, loop, taken = std::move(socket)]() mutable {
              serve(loop, std::move(taken));
            });
          }
          accept();
        });
  }

  // Returns when no loop is given another connection: one behind `release` would never be served.
  void stop_accepting() {
    std::promise<void> closed;
    net::post(loops_[0]->context(), [this, &closed] {
      boost::system::error_code ignored;
      acceptor_->close(ignored);
      pause_->cancel();
      closed.set_value();
    });
    closed.get_future().wait();
  }

  bool flooded() const {
    return shared_->connections.load() >= shared_->options.connections_max + kTurnedAwayMax;
  }

  // On the connection's loop.
  void serve(const std::shared_ptr<Loop>& loop, Socket socket) {
    if (shared_->stopping || flooded()) return;
    const bool too_many = shared_->connections.load() >= shared_->options.connections_max &&
                          !loop->end_one_that_waits();
    const auto begin = [&](const auto& connection) {
      too_many ? connection->turn_away() : connection->start();
    };
    // A connection keeps what it needs of it.
    if (const TlsContext tls = current_tls()) {
      begin(
          std::make_shared<StreamConnection<TlsStream>>(loop, TlsStream(std::move(socket), *tls)));
    } else {
      begin(std::make_shared<StreamConnection<PlainStream>>(loop, std::move(socket)));
    }
  }

  TlsContext current_tls() {
    const std::lock_guard lock(tls_mutex_);
    return tls_;
  }

  const std::shared_ptr<Shared> shared_;
  std::mutex tls_mutex_;
  TlsContext tls_;  // none: plain HTTP; guarded by tls_mutex_
  std::vector<std::shared_ptr<Loop>> loops_;
  std::vector<std::thread> threads_;
  std::unique_ptr<Acceptor> acceptor_;  // on the first loop
  std::unique_ptr<Timer> pause_;        // on the first loop
  size_t next_loop_ = 0;                // on the first loop
  uint16_t port_ = 0;
  bool stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, Handler handler) {
  auto shared = std::make_shared<Shared>();
  shared->options = options;
  shared->handler = std::move(handler);
  auto server = std::make_unique<LoopServer>(std::move(shared));
  const Status listening = server->listen();
  if (!listening.is_ok()) return listening;
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace ca4::http
