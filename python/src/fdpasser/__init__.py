# SPDX-License-Identifier: MIT OR Apache-2.0
"""Hand open file descriptors to another process, and lose none.

The functions of this module wait. :mod:`fdpasser.asyncio` has the same for asyncio.

A timeout is a number of seconds from 0 up. None and an infinite number are for ever.
"""

from __future__ import annotations

from ._blocking import (
    Listener,
    Message,
    Peer,
    StrayBytes,
    accept,
    connect,
    mode,
    peer_cred,
    recv_fd,
    recv_fds,
    recv_message,
    retry_ms,
    send_fd,
    send_fds,
    send_message,
    server,
    socketpair,
    try_recv_fds,
    try_recv_message,
    try_send_fds,
    try_send_message,
)
from ._descriptor import Data, Descriptor, FileDescriptorLike, HasFileno, Received
from ._library import MAX_DATA, MAX_PER_MESSAGE

__all__ = [
    "MAX_DATA",
    "MAX_PER_MESSAGE",
    "Data",
    "Descriptor",
    "FileDescriptorLike",
    "HasFileno",
    "Listener",
    "Message",
    "Peer",
    "Received",
    "StrayBytes",
    "accept",
    "connect",
    "mode",
    "peer_cred",
    "recv_fd",
    "recv_fds",
    "recv_message",
    "retry_ms",
    "send_fd",
    "send_fds",
    "send_message",
    "server",
    "socketpair",
    "try_recv_fds",
    "try_recv_message",
    "try_send_fds",
    "try_send_message",
]
