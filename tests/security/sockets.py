"""Who listens where, as the kernel tells it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

LOOPBACK = ("0100007F", "00000000000000000000000001000000")
"""127.0.0.1 and ::1 as the kernel writes them."""
_LISTENS = "0A"


def read_of(pid: int, name: str) -> bytes:
    """What the kernel tells of a process; nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def command_of(pid: int) -> str:
    """Command line of a process; empty once it is gone."""
    return read_of(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")


def listening(pids: Iterable[int]) -> list[tuple[str, str]]:
    """Address, as the kernel writes it, and program of these processes' TCP sockets that listen and UDP sockets."""
    held = {inode: command_of(pid) for pid in pids for inode in _sockets_of(pid)}
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            address, state, inode = columns[1], columns[3], columns[9]
            if inode in held and (state == _LISTENS or table.startswith("udp")):
                found.append((address.partition(":")[0], held[inode]))
    return found


def _sockets_of(pid: int) -> Iterator[str]:
    """Inodes of the sockets that a process holds; those seen until it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{number}")):
                    yield match[1]
