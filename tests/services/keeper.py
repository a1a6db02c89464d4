"""Keeps one server running for as long as its own standard input stays open, and not a moment longer.

Whoever runs tests holds the other end. However they end (done, Ctrl-C, kill -9), the system closes it, the keeper stops
the server, and the last keeper of a session takes the session's folder away. It runs as a program of its own, with the
standard library alone: keeper.py FOLDER SIGNAL USER COMMAND...
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

# Held (shared) by each keeper while it lives, and taken (exclusively) by whoever waits for the last.
KEEPERS = "keepers.lock"
# Gone when the session has ended.
ALIVE = "alive"

STOP_SECONDS = 30.0


def keep(folder: Path, stop: signal.Signals, user: str, command: list[str]) -> int:
    """Runs the command until it ends or the standard input does; gives its exit code."""
    with (folder / KEEPERS).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        # A server that runs as another user may not inherit the groups of root.
        identity = {"user": user, "group": group_of(user), "extra_groups": ()} if user else {}
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, **identity)  # type: ignore[call-overload]
        print(server.pid, flush=True)
        try:
            ended = os.pidfd_open(server.pid)
            readable, _, _ = select.select([sys.stdin, ended], [], [])
            if ended not in readable:
                server.send_signal(stop)
            code = server.wait(STOP_SECONDS)
        except BaseException:
            server.kill()
            server.wait()
            raise
        finally:
            take_away(folder, lock.fileno())
        return int(code)


def take_away(folder: Path, lock: int) -> None:
    """Removes the session's folder when the session has ended and no other server runs."""
    with contextlib.suppress(BlockingIOError):
        if not (folder / ALIVE).exists() or not has_writer(folder / ALIVE):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def has_writer(pipe: Path) -> bool:
    """Tells whether anybody holds the writing end of a named pipe."""
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(reader, 1) != b""
    except BlockingIOError:
        return True
    finally:
        os.close(reader)


def group_of(user: str) -> int:
    """Gives a user's own group."""
    import pwd

    return pwd.getpwnam(user).pw_gid


if __name__ == "__main__":
    # Ctrl-C is for whoever runs the tests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(keep(Path(sys.argv[1]), signal.Signals(int(sys.argv[2])), sys.argv[3], sys.argv[4:]))
