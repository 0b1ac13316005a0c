# Python's socket.send_fds() and recv_fds(). The command line and the signals are those of peer.h.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
import os
import socket
import sys
import time

role, n, per, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
assert kind == "pipe"
passer = socket.socket(fileno=3)
payload = os.pipe()[0]


def send():
    left = n
    while left > 0:
        socket.send_fds(passer, [b"\0"], [payload] * min(left, per))
        left -= per


def recv():
    left = n
    while left > 0:
        fds = socket.recv_fds(passer, 1, 253)[1]
        for fd in fds:
            os.close(fd)
        left -= len(fds)


run = {"send": send, "recv": recv}[role]
print("ready", flush=True)
sys.stdin.read(1)
cpu = time.process_time()
start = time.monotonic()
run()
print(f"{start:.9f} {time.monotonic():.9f} {time.process_time() - cpu:.9f}", flush=True)
sys.stdin.read()
