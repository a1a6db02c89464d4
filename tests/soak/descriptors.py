"""What a process has open, beside its connections to the database: a pool keeps as many as were used at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url


def open_files(pid: int, database_url: str) -> int:
    """Counts the open files and connections of a process, those of its database left out."""
    url = make_url(database_url)
    if url.port is None:
        return sum(not link.startswith(str(url.database)) for link in _links(pid))
    to_database = set(_sockets_to(pid, url.port))
    return sum(link not in to_database for link in _links(pid))


def _links(pid: int) -> Iterator[str]:
    for number in os.listdir(f"/proc/{pid}/fd"):
        # It may have been closed since.
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{number}")


def _sockets_to(pid: int, port: int) -> Iterator[str]:
    """Names the connections to a port as links to them do; see proc_pid_net(5)."""
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port:
            yield f"socket:[{fields[9]}]"
