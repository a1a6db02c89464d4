"""Several processes on one port: one per core, spawned, each with an event loop and gRPC objects of its own.

gRPC must not be used before a fork (grpc/grpc doc/fork_support.md), so workers are spawned; the kernel spreads
connections over them by SO_REUSEPORT.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

from muxer_grpc.telemetry.logs import set_up_logging

if TYPE_CHECKING:
    from muxer_grpc.server import Listening
    from muxer_grpc.settings import Settings

_log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
MAX_RESTARTS = 5
RESTART_WINDOW_SECONDS = 60.0


def _work(settings: Settings, connection: Connection) -> None:
    """Runs a worker: the whole life of a spawned process."""
    # The supervisor's to hear: what it reads, all workers are sent.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # As in `muxer serve`.
    gc.disable()
    from muxer_grpc.server import serve_process

    set_up_logging(settings.log.level, settings.log.format)
    try:
        code = serve_process(settings, connection.send, orders=connection)
    except ValueError as error:  # what only a start can tell of the settings
        _log.error("cannot serve: %s", error)
        code = 1
    raise SystemExit(code)


def _of_worker(settings: Settings, number: int) -> Settings:
    """Gives the settings of a worker by its number, from 0 on: each has a port of its own, so that each can be read."""
    host, _, port = settings.ops.listen.rpartition(":")
    if not number or not port or port == "0":
        return settings
    listen = f"{host}:{int(port) + number}"
    return settings.model_copy(update={"ops": settings.ops.model_copy(update={"listen": listen})})


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection
    number: int
    listening: Listening | None = None
    # Whether it was told to stop.
    told: bool = False


class Supervisor:
    """Starts workers, says when all of them serve, replaces one that dies, and passes a stop on to all.

    With `load`, SIGHUP has it read the configuration again, and send it to all.
    """

    def __init__(
        self, settings: Settings, ready: Callable[[Listening], None], load: Callable[[], Settings] | None = None
    ) -> None:
        self._settings = settings
        self._ready = ready
        self._load = load
        self._reload = False
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._restarts: list[float] = []
        self._stopping = False
        self._hurrying = False
        self._announced = False

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT, or until workers die faster than they can be replaced (exit code 1)."""
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, self._stop)
        self._hear_hangups()
        for number in range(self._settings.server.workers):
            self._start(number)
        failed = False
        while self._workers:
            self._pass_stop_on()
            sources = [worker.process.sentinel for worker in self._workers]
            pipes = [worker.connection for worker in self._workers if worker.listening is None]
            wait([*sources, *pipes], timeout=0.5)
            self._hear_of_readiness()
            self._pass_settings_on()
            failed = self._bury_the_dead() or failed
        return 1 if failed else 0

    def _start(self, number: int) -> None:
        """Starts a worker, unless the service stops; one that is started as the stop comes is told of it later."""
        if self._stopping:
            return
        ours, theirs = self._context.Pipe()
        settings = _of_worker(self._settings, number)
        process = self._context.Process(target=_work, args=(settings, theirs), name=f"muxer-worker-{number + 1}")
        # A terminal sends Ctrl-C and its hang-up to all its processes; workers hear of them from the supervisor alone,
        # from their beginning on. What starts with the first of them would undo that, so that it is started before.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._workers.append(_Worker(process, ours, number))

    def _hear_of_readiness(self) -> None:
        for worker in self._workers:
            if worker.listening is None and worker.connection.poll():
                try:
                    worker.listening = worker.connection.recv()
                except (EOFError, OSError):
                    continue
                first = min(self._workers, key=lambda each: each.number).listening
                if not self._announced and first is not None and all(each.listening for each in self._workers):
                    self._announced = True
                    self._ready(first)

    def _hear_hangups(self) -> None:
        """Has SIGHUP read the configuration again; where it tells that the terminal was closed, the service stops."""
        from muxer_grpc.reloading import Reloading, Terminal

        if self._load is None:
            return
        terminal = Terminal()
        self._reloading = Reloading(self._settings, self._load)

        def hear(*_signal: object) -> None:
            if terminal.gone:
                self._stop()
            else:
                self._reload = True

        signal.signal(signal.SIGHUP, hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def _pass_settings_on(self) -> None:
        """Reads the configuration again where that is asked for; workers that are yet to come start with it too."""
        if not self._reload or self._stopping:
            return
        self._reload = False
        settings = self._reloading.reload()
        if settings is None:
            return
        self._settings = settings
        logging.getLogger().setLevel(settings.log.level.upper())
        for worker in self._workers:
            # One that has just died is buried next, and its successor has the new settings.
            with contextlib.suppress(OSError):
                worker.connection.send(settings)

    def _bury_the_dead(self) -> bool:
        """Removes ended workers and replaces those that died unasked. Tells whether the service has failed."""
        failed = False
        for worker in [w for w in self._workers if not w.process.is_alive()]:
            self._workers.remove(worker)
            code = worker.process.exitcode
            worker.connection.close()
            if self._stopping:
                # One that was told before it could listen to it ended by the signal, and held nothing yet.
                early = worker.listening is None and code == -signal.SIGTERM
                failed = failed or (bool(code) and not early)
                continue
            _log.error("worker %s ended with code %s", worker.process.pid, code)
            if worker.listening is None or not self._may_restart():
                failed = True
                self._stop()
                continue
            time.sleep(RESTART_SECONDS)
            self._start(worker.number)
        return failed

    def _may_restart(self) -> bool:
        now = time.monotonic()
        self._restarts = [at for at in self._restarts if now - at < RESTART_WINDOW_SECONDS]
        self._restarts.append(now)
        return len(self._restarts) <= MAX_RESTARTS

    def _stop(self, *_signal: object) -> None:
        """Stops the service. A second call ends the workers at once."""
        self._hurrying = self._stopping
        self._stopping = True
        self._pass_stop_on()

    def _pass_stop_on(self) -> None:
        """Tells the workers to stop, each once: also those that were on their way when the stop came."""
        for worker in self._workers if self._stopping else ():
            if self._hurrying:
                worker.process.kill()
            elif not worker.told:
                worker.told = True
                worker.process.terminate()
