#include "wire/curl_engine.h"

#include <curl/curl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>

#include "base/assert.h"

namespace tessera::wire {

namespace asio = boost::asio;

namespace {

constexpr size_t kSpareHandles = 64;
constexpr int kImmediateRounds = 32;

int socket_callback(CURL* /*easy*/, curl_socket_t socket, int what, void* engine, void* known) {
  static_cast<CurlEngine*>(engine)->want_socket(socket, what, known != nullptr);
  return 0;
}

int timer_callback(CURLM* /*multi*/, long timeout_ms, void* engine) {
  static_cast<CurlEngine*>(engine)->want_timeout(timeout_ms);
  return 0;
}

}  // namespace

CurlEngine::CurlEngine(asio::io_context& context, std::shared_ptr<const HttpClientOptions> options)
    : options_(std::move(options)), multi_(curl_multi_init()), epoll_(context), timer_(context) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  TESSERA_ASSERT(multi_ != nullptr && epoll >= 0 && "out of memory or descriptors for an HTTP client");
  epoll_.assign(epoll);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &socket_callback);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &timer_callback);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  const auto connections = static_cast<long>(options_->connections_max);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections);
  curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
  curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, static_cast<long>(options_->connections_per_host_max));
}

CurlEngine::~CurlEngine() {
  shut_down();
}

void CurlEngine::shut_down() {
  if (multi_ == nullptr) return;
  for (void* easy : spare_) curl_easy_cleanup(easy);
  spare_.clear();
  boost::system::error_code ignored;
  timer_.cancel();
  curl_multi_cleanup(std::exchange(multi_, nullptr));
  epoll_.close(ignored);
}

void* CurlEngine::take_handle() {
  if (spare_.empty()) return curl_easy_init();
  void* easy = spare_.back();
  spare_.pop_back();
  return easy;
}

void CurlEngine::give_handle(void* easy) {
  if (multi_ == nullptr || spare_.size() >= kSpareHandles) {
    curl_easy_cleanup(easy);
    return;
  }
  curl_easy_reset(easy);
  spare_.push_back(easy);
}

void CurlEngine::add(CurlTransfer& transfer) {
  ++active_;
  curl_multi_add_handle(multi_, transfer.handle());
  settle();
}

void CurlEngine::remove(CurlTransfer& transfer) {
  if (multi_ == nullptr) return;
  curl_multi_remove_handle(multi_, transfer.handle());
  --active_;
  if (active_ > 0) return;
  // An idle engine must not keep its loop running.
  boost::system::error_code ignored;
  if (waiting_) epoll_.cancel(ignored);
  if (timer_pending_) timer_.cancel();
}

void CurlEngine::resume(CurlTransfer& transfer) {
  curl_easy_pause(transfer.handle(), CURLPAUSE_CONT);
  settle();
}

void CurlEngine::want_socket(int socket, int what, bool known) {
  const int epoll = epoll_.native_handle();
  if (what == CURL_POLL_REMOVE) {
    ::epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
    return;
  }
  epoll_event event{};
  event.data.fd = socket;
  if (what != CURL_POLL_OUT) event.events |= EPOLLIN;
  if (what != CURL_POLL_IN) event.events |= EPOLLOUT;
  if (::epoll_ctl(epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event) != 0) {
    ::epoll_ctl(epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
  }
  if (!known) curl_multi_assign(multi_, socket, this);
}

void CurlEngine::want_timeout(long timeout_ms) {
  due_now_ = timeout_ms == 0;
  timeout_at_ = timeout_ms > 0 ? base::SystemClock().now() + base::Millis(timeout_ms) : base::SteadyTime::max();
}

void CurlEngine::act(int socket, int mask) {
  int running = 0;
  curl_multi_socket_action(multi_, socket, mask, &running);
}

void CurlEngine::settle() {
  for (int round = 0; due_now_ && round < kImmediateRounds; ++round) {
    due_now_ = false;
    act(CURL_SOCKET_TIMEOUT, 0);
  }
  if (due_now_) timeout_at_ = base::SystemClock().now();
  reap();
  await_sockets();
  await_timer();
}

void CurlEngine::reap() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const int result = message->data.result;
    void* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    static_cast<CurlTransfer*>(transfer)->ended(result);
  }
}

void CurlEngine::await_sockets() {
  if (waiting_ || active_ == 0) return;
  waiting_ = true;
  epoll_.async_wait(epoll_.wait_read, [weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!self || self->multi_ == nullptr) return;
    self->waiting_ = false;
    if (!error) self->on_sockets();
    // A cancelled wait may find that a new transfer has begun since.
    if (error) self->await_sockets();
  });
}

void CurlEngine::on_sockets() {
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_.native_handle(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    int mask = 0;
    if ((events[i].events & EPOLLIN) != 0) mask |= CURL_CSELECT_IN;
    if ((events[i].events & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
    if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) mask |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
    act(events[i].data.fd, mask);
  }
  settle();
}

void CurlEngine::await_timer() {
  // A timer that fires too early costs less than setting it anew for every change curl makes.
  if (active_ == 0 || timeout_at_ == base::SteadyTime::max() || (timer_pending_ && timer_at_ <= timeout_at_)) return;
  timer_pending_ = true;
  timer_at_ = timeout_at_;
  timer_.expires_at(timer_at_);
  timer_.async_wait(
      [weak = weak_from_this(), generation = ++timer_generation_](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!self || self->multi_ == nullptr || generation != self->timer_generation_) return;
        self->timer_pending_ = false;
        self->on_timer(!error);
      });
}

void CurlEngine::on_timer(bool fired) {
  if (!fired || base::SystemClock().now() < timeout_at_) return await_timer();
  timeout_at_ = base::SteadyTime::max();
  act(CURL_SOCKET_TIMEOUT, 0);
  if (timeout_at_ == base::SteadyTime::max() && !due_now_) {
    // Were we a fraction of a millisecond early, curl would not ask for the same moment again.
    long timeout_ms = -1;
    curl_multi_timeout(multi_, &timeout_ms);
    want_timeout(timeout_ms);
  }
  settle();
}

}  // namespace tessera::wire
