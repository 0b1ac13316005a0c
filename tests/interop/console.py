#!/usr/bin/env python3
"""Sends terminals with shells on them, as terminal.c says.

Usage: console.py NODE
"""
# SPDX-License-Identifier: MIT OR Apache-2.0
import fcntl
import os
import socket
import subprocess
import sys
import termios


def start(node):
    master, slave = os.openpty()
    shell = subprocess.Popen(
        ["sh", "-i"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(node)
        socket.send_fds(console, [os.ttyname(slave).encode()], [master])
    os.close(master)
    os.close(slave)
    return shell


for status in [shell.wait() for shell in [start(sys.argv[1]) for _ in range(2)]]:
    if status != 7:
        sys.exit(f"a shell ended with status {status}")
