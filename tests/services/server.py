"""What the servers have in common: found, started, stopped, killed, frozen, and never left over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Self

from tests.services.keeper import ALIVE, KEEPERS

KEEPER = Path(__file__).with_name("keeper.py")
READY_SECONDS = 30.0
LOOK_AGAIN_SECONDS = 0.02

# Below the ports that the system gives to outgoing connections, one of which could take the port of a stopped server.
FIRST_PORT, LAST_PORT = 20_000, 32_000


class ServiceMissing(RuntimeError):
    """A server that the tests need is not installed; the message says what to do, in one line."""


class Session:
    """A folder in which servers live, and a named pipe by which they learn that it is over.

    The process that begins a session ends it; all others take part in it by its folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """Gives a word that no other session has."""
        return self.folder.name.rpartition("-")[2].lower()

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keeps all other processes of the session out of blocks of this name."""
        with (self.folder / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def once(self, name: str, make: Callable[[], str]) -> str:
        """Makes a text in the first process that asks, and gives the same to all others."""
        made = self.folder / f"{name}.text"
        with self.alone(name):
            if not made.exists():
                made.write_text(make())
            return made.read_text()


class OwnSession(Session):
    """A session that this process begins, and must end."""

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="muxer-tests-")))
        # Others than root pass through to the folders that are theirs.
        self.folder.chmod(0o711)
        os.mkfifo(self.folder / ALIVE)
        self._pipe = os.open(self.folder / ALIVE, os.O_RDWR)
        self._keepers = os.open(self.folder / KEEPERS, os.O_RDWR | os.O_CREAT)

    def end(self) -> None:
        """Stops all servers, waits until they are gone, and removes the folder."""
        os.close(self._pipe)
        fcntl.flock(self._keepers, fcntl.LOCK_EX)
        os.close(self._keepers)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Server:
    """A server on a port and in a folder of its own; after a stop or a kill it starts again in the same place.

    A `shared` one lives as long as the session; any other dies with the process that started it.
    """

    stop_signal = signal.SIGTERM

    def __init__(self, session: Session, *, shared: bool = False) -> None:
        self.session = session
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(dir=session.folder))
        self.log = self.folder / "log"
        self._shared = shared
        self._pid = 0
        self._keeper: subprocess.Popen[bytes] | None = None

    # What a server says for itself.

    def command(self) -> list[str]:
        """Gives the command that runs it, in the foreground."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Makes what must be there before a start."""

    def answers(self) -> bool:
        """Tells whether it is ready to serve."""
        raise NotImplementedError

    def user(self) -> str:
        """Names the user it runs as; empty: whoever runs the tests."""
        return ""

    # What can be done to it.

    @property
    def running(self) -> bool:
        """Tells whether its process is there."""
        return self._keeper is not None and self._keeper.poll() is None

    def start(self) -> None:
        """Starts it, and waits until it is ready."""
        assert not self.running
        self.prepare()
        with self._lifeline() as lifeline, self.log.open("ab") as log:
            self._keeper = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", str(KEEPER), str(self.session.folder)),
                    *(str(int(self.stop_signal)), self.user(), *self.command()),
                ],
                stdin=lifeline,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        assert self._keeper.stdout is not None
        told = self._keeper.stdout.readline()
        if not told:
            self._end(lambda: None)
            raise RuntimeError(self._failure())
        self._keeper.stdout.close()
        self._pid = int(told)
        until = time.monotonic() + READY_SECONDS
        while not self.answers():
            if not self.running or time.monotonic() > until:
                self.kill()
                raise RuntimeError(self._failure())
            time.sleep(LOOK_AGAIN_SECONDS)
        if self._shared:
            # It may outlive this process, which never waits for it; without this, Python would warn of that.
            self._keeper.returncode = 0

    def stop(self) -> None:
        """Stops it in order, and waits until it is gone."""
        self._end(lambda: os.kill(self._pid, self.stop_signal))

    def kill(self) -> None:
        """Kills it and its children with SIGKILL, and waits until they are gone."""
        self._end(lambda: self._signal_all(signal.SIGKILL))

    def restart(self) -> None:
        """Stops it, and starts it in the same place."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Makes it hang: connections stay open, and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        self._signal_all(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def _lifeline(self) -> Iterator[int | IO[bytes]]:
        """Gives what the keeper watches: the session's pipe, or one to this process."""
        if not self._shared:
            yield subprocess.PIPE
            return
        with (self.session.folder / ALIVE).open("rb", buffering=0) as pipe:
            yield pipe

    def _end(self, strike: Callable[[], None]) -> None:
        keeper = self._keeper
        if keeper is None:
            return
        tree = family(self._pid) if self._pid else []
        if keeper.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                strike()
            keeper.wait(READY_SECONDS)
        if keeper.stdin is not None:
            keeper.stdin.close()
        # Children that outlive their parent for a moment still hold what the next start needs.
        while any(alive(pid) for pid in tree):
            time.sleep(LOOK_AGAIN_SECONDS)
        self._keeper = None

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in family(self._pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _failure(self) -> str:
        return f"{type(self).__name__} did not start: {self.log.read_text(errors='replace')[-2_000:]}"


def family(pid: int) -> list[int]:
    """Lists a process and its descendants."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
            found += [int(child) for child in children.split()]
    return found


def alive(pid: int) -> bool:
    """Tells whether a process is there, and no zombie that its new parent has yet to notice."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


def free_port() -> int:
    """Finds a free port of the loopback interface."""
    while True:
        port = random.SystemRandom().randint(FIRST_PORT, LAST_PORT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
