// SPDX-License-Identifier: MIT OR Apache-2.0
//
// fdpasser.hpp - fdpasser.h for C++17. What must be closed has an owner, and what fails throws.
//
// It is a header only: copy it. fdpasser.h says what the functions do.
#ifndef FDPASSER_HPP
#define FDPASSER_HPP

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fdpasser.h>
#include <unistd.h>

// `fdpasser` is the name of the type in C.
namespace fdpassing {

// Closes its descriptor.
class unique_fd {
public:
    unique_fd() = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd &&other) noexcept : fd_(other.release()) {}
    unique_fd &operator=(unique_fd &&other) noexcept
    {
        reset(other.release());
        return *this;
    }
    ~unique_fd() { reset(); }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept
    {
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = fd;
    }

private:
    int fd_ = -1;
};

// Throws errno as an exception.
[[noreturn]] inline void fail(const char *what)
{
    throw std::system_error(errno, std::generic_category(), what);
}

// One descriptor cannot be sent. The passer goes on.
class refused : public std::system_error {
public:
    refused(int error, unique_fd fd)
        : std::system_error(error, std::generic_category(), "the descriptor was not sent"),
          fd_(std::make_shared<unique_fd>(std::move(fd)))
    {
    }
    // Returns the descriptor, which is the caller's again. Only the first call does.
    unique_fd take() { return std::move(*fd_); }

private:
    std::shared_ptr<unique_fd> fd_; // an exception must be copyable
};

// A received descriptor and its data, which is empty if it has none.
struct message {
    unique_fd fd;
    std::string data;
};

// Makes a connected pair of descriptors, for passers or for send_fd() and recv_fd().
inline std::pair<unique_fd, unique_fd> socketpair()
{
    int fds[2];

    if (::fdpasser_socketpair(fds) != 0)
        fail("fdpasser_socketpair");
    return {unique_fd(fds[0]), unique_fd(fds[1])};
}

// One end of a connection, with a queue for each direction, for any event loop. It can be moved. One thread
// at a time may use it.
class passer {
public:
    // Owns the socket on success. On failure the caller keeps it.
    explicit passer(unique_fd &&socket) : object_(::fdpasser_new(socket.get()))
    {
        if (!object_)
            fail("fdpasser_new");
        (void)socket.release();
    }

    // The descriptor to poll. Do nothing else with it.
    int fd() const { return checked("fdpasser_fileno", ::fdpasser_fileno(object_.get())); }
    // The events to poll for. If there are none, do not poll the descriptor.
    int events() const { return checked("fdpasser_events", ::fdpasser_events(object_.get())); }
    // In the form that poll(2) takes.
    int timeout_ms() const noexcept { return ::fdpasser_timeout_ms(object_.get()); }

    // Queues the descriptor and owns it. Its data, of which it queues a copy, has at most FDPASSER_MAX_DATA bytes. Returns
    // false if the queue is full: then the caller keeps the descriptor.
    [[nodiscard]] bool push_send(unique_fd &&fd, std::string_view data = {})
    {
        if (::fdpasser_push_send_message(object_.get(), fd.get(), data.data(), data.size()) < 0) {
            if (errno == EAGAIN)
                return false;
            fail("fdpasser_push_send_message");
        }
        (void)fd.release();
        return true;
    }
    // Keeps the data of the descriptors that are received from now on, for next_message().
    void want_data(bool yes) { checked("fdpasser_want_data", ::fdpasser_want_data(object_.get(), yes)); }
    void push_recv(int count) { checked("fdpasser_push_recv", ::fdpasser_push_recv(object_.get(), count)); }
    void set_max_queued(unsigned count)
    {
        checked("fdpasser_set_max_queued", ::fdpasser_set_max_queued(object_.get(), count));
    }
    void set_per_message(unsigned count)
    {
        checked("fdpasser_set_per_message", ::fdpasser_set_per_message(object_.get(), count));
    }

    // Does what can be done without waiting. Returns false after the peer's orderly shutdown.
    bool process(int revents)
    {
        int state = ::fdpasser_process(object_.get(), revents);

        if (state < 0) {
            int error = errno;

            if (unique_fd fd{::fdpasser_refused(object_.get())})
                throw refused(error, std::move(fd));
            errno = error;
            fail("fdpasser_process");
        }
        return state > 0;
    }

    std::optional<unique_fd> next_fd()
    {
        unique_fd fd{::fdpasser_next_fd(object_.get())};

        return fd ? std::optional(std::move(fd)) : std::nullopt;
    }
    std::optional<message> next_message()
    {
        char data[FDPASSER_MAX_DATA];
        std::size_t length = 0;
        unique_fd fd{::fdpasser_next_message(object_.get(), data, sizeof data, &length)};

        return fd ? std::optional(message{std::move(fd), std::string(data, length)}) : std::nullopt;
    }
    int queued() const { return checked("fdpasser_queued", ::fdpasser_queued(object_.get())); }
    bool drained() const { return checked("fdpasser_drained", ::fdpasser_drained(object_.get())) != 0; }

private:
    struct deleter {
        void operator()(::fdpasser *p) const noexcept { ::fdpasser_free(p); }
    };

    static int checked(const char *what, int result)
    {
        if (result < 0)
            fail(what);
        return result;
    }

    std::unique_ptr<::fdpasser, deleter> object_;
};

} // namespace fdpassing

#endif
