#!/usr/bin/env python3
"""Passes an open file to another process: ctypes and libfdpasser, nothing else.

FDPASSER_LIBRARY says where the library is, if it is not installed:
    FDPASSER_LIBRARY=target/release/libfdpasser.so examples/python/pass.py
"""
# SPDX-License-Identifier: MIT OR Apache-2.0
import ctypes
import os

lib = ctypes.CDLL(os.environ.get("FDPASSER_LIBRARY", "libfdpasser.so.0.1"), use_errno=True)


def checked(result):
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result


pair = (ctypes.c_int * 2)()
checked(lib.fdpasser_socketpair(pair))
mine, childs = pair

if os.fork() == 0:
    os.close(mine)
    with open(__file__) as file:
        checked(lib.send_fd(childs, file.fileno()))
        print(f"process {os.getpid()} sent descriptor {file.fileno()}", flush=True)
    os._exit(0)

os.close(childs)
fd = checked(lib.recv_fd(mine))
if fd == 0:
    raise SystemExit("the child has ended and sent nothing")
with open(fd) as file:
    print(f"process {os.getpid()} received it as {fd}, and reads: {file.readline().strip()}")
os.wait()
