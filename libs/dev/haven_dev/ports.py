"""Free ports on loopback."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import IO

LOOPBACK = "127.0.0.1"
RANGE = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections, which could take one before its server starts."""

_reserved: dict[int, IO[str]] = {}


def free_port(wanted: int = 0) -> int:
    """`wanted` when it is free, else another. It stays reserved against other processes of this user that ask here."""
    if wanted and _is_free(wanted):
        return wanted
    for port in random.sample(RANGE, len(RANGE)):
        if port not in _reserved and _is_free(port) and _reserve(port):
            return port
    raise OSError("no free port on loopback")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _reserve(port: int) -> bool:
    # The lock ends with this process, however that ends.
    folder = Path(tempfile.gettempdir(), f"haven-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = (folder / str(port)).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return False
    _reserved[port] = lock
    return True
