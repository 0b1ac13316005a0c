#!/usr/bin/env python3
"""Not ours: Python's own socket.send_fds and socket.recv_fds."""
# SPDX-License-Identifier: MIT OR Apache-2.0
import os
import socket
import sys

MAX_DATA = 4096


def send(passer, count):
    for number in range(1, count + 1):
        reader, writer = os.pipe()
        os.write(writer, b"%d" % number)
        os.close(writer)
        data = sys.stdin.buffer.readline().rstrip(b"\n") or b"\0"
        if socket.send_fds(passer, [data], [reader]) != len(data):
            sys.exit(f"the message of {number} was cut")
        os.close(reader)


def recv(passer, count):
    for number in range(1, count + 1):
        data, fds, _, _ = socket.recv_fds(passer, MAX_DATA, 1)
        if not data or len(fds) != 1:
            sys.exit(f"{data!r} and {fds} came, not {number}")
        with open(fds[0]) as file:
            text = file.read()
        if text != str(number):
            sys.exit(f"{text!r} came, not {number}")
        sys.stdout.buffer.write(b"%d: %s\n" % (number, b"" if data == b"\0" else data))
    data, fds, _, _ = socket.recv_fds(passer, MAX_DATA, 1)
    if data or fds:
        sys.exit(f"more than {count} came")


role, count, fd = sys.argv[1:]
{"send": send, "recv": recv}[role](socket.socket(fileno=int(fd)), int(count))
