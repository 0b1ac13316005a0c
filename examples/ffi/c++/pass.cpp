// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Sends or receives numbered descriptors with data: C++17 with fdpasser.hpp. poll(2) waits.
//
// Usage: pass send|recv COUNT PASSER
//
// PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT pipes. Their
// contents are "1", "2", and so on. A line of standard input goes along with each as its data; after the end of the
// input they have no data. The receiver checks that it gets these pipes, in order, and nothing after them. It prints
// the number and the data of each.
//
//     c++ -std=c++17 pass.cpp $(pkg-config --cflags --libs fdpasser)
#include "fdpasser.hpp"

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

#include <poll.h>

using fdpassing::fail;
using fdpassing::passer;
using fdpassing::unique_fd;

namespace {

// Waits until there is something to do, and does it. Returns false after the peer's orderly shutdown.
bool turn(passer &p)
{
    int events = p.events();
    pollfd found{events != 0 ? p.fd() : -1, static_cast<short>(events), 0};

    if (::poll(&found, 1, p.timeout_ms()) < 0 && errno != EINTR)
        fail("poll");
    return p.process(found.revents);
}

unique_fd numbered(int number)
{
    std::string text = std::to_string(number);
    int ends[2];

    if (::pipe(ends) != 0)
        fail("pipe");
    unique_fd reader(ends[0]), writer(ends[1]);
    if (::write(writer.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        fail("write");
    return reader;
}

std::string contents(const unique_fd &fd)
{
    std::string text;
    char buffer[64];
    ssize_t n;

    while ((n = ::read(fd.get(), buffer, sizeof buffer)) > 0)
        text.append(buffer, static_cast<std::size_t>(n));
    if (n < 0)
        fail("read");
    return text;
}

void send(passer &p, int count)
{
    p.set_max_queued(16);
    for (int number = 1; number <= count; number++) {
        std::string line;

        std::getline(std::cin, line);
        for (unique_fd fd = numbered(number); !p.push_send(std::move(fd), line);)
            turn(p);
    }
    while (p.queued() > 0)
        turn(p);
}

void receive(passer &p, int count)
{
    bool open = true;
    int number = 0;

    p.want_data(true);
    p.push_recv(16);
    while (open) {
        open = turn(p);
        while (auto message = p.next_message()) {
            if (++number > count)
                throw std::runtime_error("more came than " + std::to_string(count));
            if (auto text = contents(message->fd); text != std::to_string(number))
                throw std::runtime_error("\"" + text + "\" came, not " + std::to_string(number));
            std::cout << number << ": " << message->data << '\n';
            p.push_recv(1);
        }
    }
    if (number < count)
        throw std::runtime_error("the end came after " + std::to_string(number));
}

} // namespace

int main(int argc, char **argv)
try {
    std::string role = argc == 4 ? argv[1] : "";

    if (role != "send" && role != "recv")
        throw std::runtime_error("usage: pass send|recv COUNT PASSER");
    passer p(unique_fd(std::stoi(argv[3])));
    (role == "send" ? send : receive)(p, std::stoi(argv[2]));
    return 0;
} catch (const std::exception &error) {
    std::cerr << "pass: " << error.what() << '\n';
    return 1;
}
