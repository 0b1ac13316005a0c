#!/usr/bin/env python3
"""Not ours: how Python's multiprocessing passes descriptors. Each message has their number as a byte.

Usage: python_multiprocessing.py single|several|answers send|recv COUNT PASSER

With "single" each message has one descriptor, and with the others up to three. With "answers" it is as on macOS, where
the receiver answers each message with an "A" and the sender waits for that.
"""
# SPDX-License-Identifier: MIT OR Apache-2.0
import os
import socket
import sys
from multiprocessing import reduction


def send(passer, count, most):
    numbers = list(range(1, count + 1))
    while numbers:
        now, numbers = numbers[:most], numbers[most:]
        readers = []
        for number in now:
            reader, writer = os.pipe()
            os.write(writer, b"%d" % number)
            os.close(writer)
            readers.append(reader)
        reduction.sendfds(passer, readers)
        for reader in readers:
            os.close(reader)


def recv(passer, count, most):
    number = 0
    while True:
        try:
            fds = reduction.recvfds(passer, most)
        except EOFError:
            break
        for fd in fds:
            number += 1
            with open(fd) as file:
                text = file.read()
            if text != str(number) or number > count:
                sys.exit(f"{text!r} came as number {number} of {count}")
    if number < count:
        sys.exit(f"the end came after {number}")


form, role, count, fd = sys.argv[1:]
reduction.ACKNOWLEDGE = form == "answers"
most = {"single": 1, "several": 3, "answers": 3}[form]
{"send": send, "recv": recv}[role](socket.socket(fileno=int(fd)), int(count), most)
