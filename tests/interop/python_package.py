#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Python package: `python_package.py asyncio|blocking send|recv COUNT PASSER`."""

import asyncio
import os
import sys

import fdpasser
from fdpasser.asyncio import Passer


def numbered(number):
    """A pipe that reads as the number."""
    reader, writer = os.pipe()
    os.write(writer, b"%d" % number)
    os.close(writer)
    return fdpasser.Descriptor(reader)


def line():
    return sys.stdin.buffer.readline().rstrip(b"\n")


def check(number, descriptor, data):
    with os.fdopen(descriptor.detach()) as file:
        text = file.read()
    if text != str(number):
        sys.exit(f"{text!r} came, not {number}")
    sys.stdout.buffer.write(b"%d: %s\n" % (number, data))


async def send_queue(fd, count):
    async with Passer(fd) as passer:
        for number in range(1, count + 1):
            with numbered(number) as descriptor:
                await passer.send(descriptor, line())


async def recv_queue(fd, count):
    number = 0
    async with Passer(fd) as passer:
        async for received in passer:
            number += 1
            if number > count:
                sys.exit(f"more than {count} came")
            check(number, received, received.data)
    if number < count:
        sys.exit(f"the end came after {number}")


def send_one_by_one(fd, count):
    for number in range(1, count + 1):
        with numbered(number) as descriptor:
            fdpasser.send_message(fd, [descriptor], line())


def recv_one_by_one(fd, count):
    for number in range(1, count + 1):
        descriptors, data = fdpasser.recv_message(fd, 1)
        check(number, descriptors[0], data)
    try:
        fdpasser.recv_fd(fd)
    except EOFError:
        return
    sys.exit(f"more than {count} came")


how, role, count, fd = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
if how == "asyncio":
    asyncio.run({"send": send_queue, "recv": recv_queue}[role](fd, count))
else:
    {"send": send_one_by_one, "recv": recv_one_by_one}[role](fd, count)
