# SPDX-License-Identifier: MIT OR Apache-2.0
"""Python. The command line and the signals are those of peer.h, with a word in front:

  calls     the package's send_fd and recv_fd
  asyncio   the package's Passer
  socket    Python's own socket.send_fds and socket.recv_fds, which prove nothing about the receiver's table
"""

import asyncio
import os
import socket
import sys
import time

PASSER = 3

what, role, n, per, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
if kind != "pipe":
    sys.exit(f"no such kind: {kind}")
payload, writer = os.pipe()


def calls():
    import fdpasser

    def send():
        for _ in range(n):
            fdpasser.send_fd(PASSER, payload)

    def recv():
        for _ in range(n):
            fdpasser.recv_fd(PASSER).close()

    return {"send": send, "recv": recv}[role]


def on_asyncio():
    from fdpasser.asyncio import Passer

    async def send():
        async with Passer(os.dup(PASSER)) as passer:
            for _ in range(n):
                await passer.send(payload)

    async def recv():
        async with Passer(os.dup(PASSER)) as passer:
            for _ in range(n):
                (await passer.recv()).close()

    go = {"send": send, "recv": recv}[role]
    return lambda: asyncio.run(go())


def own():
    passer = socket.socket(fileno=PASSER)

    def send():
        for _ in range(n):
            socket.send_fds(passer, [b"\0"], [payload])

    def recv():
        for _ in range(n):
            for fd in socket.recv_fds(passer, 1, 1)[1]:
                os.close(fd)

    return {"send": send, "recv": recv}[role]


job = {"calls": calls, "asyncio": on_asyncio, "socket": own}[what]()
print("ready", flush=True)
if not os.read(0, 1):
    sys.exit("not started")
cpu, start = time.process_time(), time.clock_gettime(time.CLOCK_MONOTONIC)
job()
print("%.9f %.9f %.9f" % (start, time.clock_gettime(time.CLOCK_MONOTONIC), time.process_time() - cpu), flush=True)
while os.read(0, 1):
    pass
