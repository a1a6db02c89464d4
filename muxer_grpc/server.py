"""Runs the service: one process on its listeners until a signal, or a supervisor of several such processes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from grpc_channelz.v1 import channelz_pb2_grpc
from grpc_channelz.v1._async import ChannelzServicer

from muxer_grpc.bootstrap import App, new_id, open_app
from muxer_grpc.bootstrap_control import load_rules
from muxer_grpc.bootstrap_identity import guards
from muxer_grpc.bootstrap_ops import ops_listener
from muxer_grpc.bootstrap_telemetry import connect, telemetry_wishes
from muxer_grpc.domain.errors import Draining
from muxer_grpc.ops.listener import OpsListener
from muxer_grpc.reloading import Load, Reloading, Terminal
from muxer_grpc.rpc.calls import CallLimits, Calls
from muxer_grpc.rpc.listener import Listener, ListenerOptions
from muxer_grpc.rpc.scopes import CHANNELZ
from muxer_grpc.rpc.servicers import catalogue as catalogue_service
from muxer_grpc.rpc.servicers import muxer as muxer_service
from muxer_grpc.rpc.tls import TlsFiles
from muxer_grpc.settings import Settings
from muxer_grpc.telemetry.setup import Telemetry, open_telemetry

_log = logging.getLogger(__name__)

# The last part of the grace is kept for ending what is left with an answer, instead of being cut by gRPC.
ENDING_SHARE = 0.2
ENDING_SECONDS = 2.0
LOOK_SECONDS = 0.01

GC_THRESHOLD = 20_000


@dataclass(slots=True)
class RunningServer:
    """A started server: where it listens, and how it stops. Times are in seconds."""

    app: App
    data: Listener
    admin: Listener | None
    ops: OpsListener | None
    calls: Calls
    telemetry: Telemetry
    announce_seconds: float
    grace_seconds: float
    draining: bool = False

    async def drain(self) -> None:
        """Stops without losing an answer: declare, announce, refuse new calls, wait, end the rest with its account."""
        self.draining = True
        listeners = [listener for listener in (self.data, self.admin) if listener is not None]
        for listener in listeners:
            listener.health.drain()
        if self.app.storage is not None:
            self.app.storage.alert_feed.close()
        self.app.control.reports.closed.set()
        if self.announce_seconds:
            await asyncio.sleep(self.announce_seconds)
        draining = Draining("the process is shutting down", retry_after_seconds=0.05)
        self.calls.idle_streams.end_all(draining)
        ending = min(ENDING_SECONDS, ENDING_SHARE * self.grace_seconds)
        stopping = asyncio.gather(*(listener.server.stop(self.grace_seconds) for listener in listeners))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.grace_seconds - ending):
                await asyncio.shield(stopping)
        self.calls.end_all(draining)
        await stopping
        # gRPC waits for its calls, and not for what they do when they have ended: they settle before the books close.
        for _ in range(round(ENDING_SECONDS / LOOK_SECONDS)):
            if not self.calls.under_way:
                break
            await asyncio.sleep(LOOK_SECONDS)

    def reconfigure(self, settings: Settings) -> None:
        """Puts another configuration in force, as far as it needs no restart."""
        logging.getLogger().setLevel(settings.log.level.upper())
        self.app.control.reconfigure(settings)
        self.calls.follow(load_rules(settings))


@asynccontextmanager
async def running_server(settings: Settings, *, reuse_port: bool = False) -> AsyncGenerator[RunningServer, None]:
    """Starts the listeners; on leaving, drains them and closes everything."""
    endpoints: dict[str, tuple[str, int]] = {}
    instance_id = new_id()
    wishes = telemetry_wishes(settings, instance_id, endpoints)
    async with open_telemetry(wishes) as telemetry, open_app(settings, instance_id) as app:
        endpoints.update(app.endpoints)
        calls = Calls(
            CallLimits(
                max_unary=settings.server.max_concurrent_calls,
                max_streams=settings.server.max_concurrent_stream_calls,
                default_deadline_seconds=settings.server.default_deadline_seconds,
                load=load_rules(settings),
            ),
            new_id,
            guards(settings.identity, app.identity, app.limiter),
        )
        connect(telemetry, app, calls)
        server = RunningServer(
            app=app,
            data=Listener(
                _options(settings, settings.server.listen, reuse_port=reuse_port),
                {muxer_service.SERVICE: app.muxer, **app.data_services},
                calls,
            ),
            admin=_admin_listener(settings, app, calls, reuse_port=reuse_port),
            ops=ops_listener(settings, telemetry, app, calls, lambda: server.draining),
            calls=calls,
            telemetry=telemetry,
            announce_seconds=settings.server.drain_announce_seconds,
            grace_seconds=settings.server.drain_grace_seconds,
        )
        lag = asyncio.create_task(calls.lag.watch())
        try:
            await server.data.start()
            if server.admin is not None:
                await server.admin.start()
            if server.ops is not None:
                await server.ops.start()
            yield server
        finally:
            await server.drain()
            if server.ops is not None:
                await server.ops.stop()
            lag.cancel()
            await asyncio.gather(lag, return_exceptions=True)


def _admin_listener(settings: Settings, app: App, calls: Calls, *, reuse_port: bool) -> Listener | None:
    if not settings.server.admin_listen:
        return None
    options = _options(settings, settings.server.admin_listen, reuse_port=reuse_port)
    listener = Listener(options, {catalogue_service.SERVICE: app.catalogue_service, **app.admin_services}, calls)
    listener.add_packaged(
        CHANNELZ, lambda server: channelz_pb2_grpc.add_ChannelzServicer_to_server(ChannelzServicer(), server)
    )
    return listener


def _options(settings: Settings, addresses: str, *, reuse_port: bool) -> ListenerOptions:
    server = settings.server
    return ListenerOptions(
        addresses=tuple(part.strip() for part in addresses.split(",") if part.strip()),
        max_receive_bytes=server.max_receive_bytes,
        max_send_bytes=server.max_send_bytes,
        keepalive_seconds=server.keepalive_seconds,
        min_client_ping_interval_seconds=server.min_client_ping_interval_seconds,
        max_connection_age_seconds=server.max_connection_age_seconds,
        max_connection_age_grace_seconds=server.max_connection_age_grace_seconds,
        max_connection_idle_seconds=server.max_connection_idle_seconds,
        max_concurrent_streams=server.max_concurrent_streams,
        max_concurrent_calls=server.max_concurrent_calls + server.max_concurrent_stream_calls,
        reuse_port=reuse_port,
        reflection=server.reflection,
        tls=_tls_files(settings),
    )


def _tls_files(settings: Settings) -> TlsFiles | None:
    tls = settings.tls
    if tls.certificate_file is None or tls.key_file is None:
        return None
    return TlsFiles(
        certificate=tls.certificate_file,
        key=tls.key_file,
        client_ca=tls.client_ca_file,
        require_client=tls.require_client_certificate,
        reload_seconds=tls.reload_seconds,
    )


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a service listens, once it does."""

    data: tuple[str, ...]
    admin: tuple[str, ...]
    tls: bool
    ops: str = ""


Ready = Callable[[Listening], None]


async def _serve_until_signal(settings: Settings, ready: Ready, load: Load | None, orders: Connection | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hangups = None
    if orders is not None:
        _follow_supervisor(loop, stop)
    elif load is not None:
        hangups = _Hangups(loop, Reloading(settings, load), stop)
    async with running_server(settings, reuse_port=orders is not None) as server:
        if orders is not None:
            _take_orders(loop, orders, server)
        elif hangups is not None:
            hangups.follow(server)
        # What was loaded to start stays to the end: keep the collector from walking it again and again.
        # Requests leave no cycles behind, so that looking for them every 700 objects is time lost.
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 20)
        gc.enable()
        admin = () if server.admin is None else server.admin.addresses
        ops = "" if server.ops is None else server.ops.address
        ready(Listening(server.data.addresses, admin, tls=_tls_files(settings) is not None, ops=ops))
        await stop.wait()
        if orders is None:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        # A worker may be told by whoever stops all processes, and by its supervisor: that is one stop.
        _log.info("draining")
    _log.info("stopped")


class _Hangups:
    """Has SIGHUP read the configuration again; where it tells that the terminal was closed, the service stops.

    What comes while the service starts is heard as soon as it is there.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, reloading: Reloading, stop: asyncio.Event) -> None:
        self._reloading = reloading
        self._stop = stop
        self._terminal = Terminal()
        self._server: RunningServer | None = None
        self._missed = False
        loop.add_signal_handler(signal.SIGHUP, self._hear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def follow(self, server: RunningServer) -> None:
        """Takes the service that settings are for."""
        self._server = server
        if self._missed:
            self._hear()

    def _hear(self) -> None:
        if self._terminal.gone:
            self._stop.set()
        elif self._server is None:
            self._missed = True
        else:
            settings = self._reloading.reload()
            if settings is not None:
                self._server.reconfigure(settings)


def _take_orders(loop: asyncio.AbstractEventLoop, orders: Connection, server: RunningServer) -> None:
    """Puts in force what settings the supervisor sends."""

    def hear() -> None:
        try:
            settings = orders.recv()
        except (EOFError, OSError):
            loop.remove_reader(orders.fileno())
            return
        server.reconfigure(settings)

    loop.add_reader(orders.fileno(), hear)


def _follow_supervisor(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Lets a worker listen to its supervisor alone: a terminal sends SIGINT to both; a dead one sends nothing."""
    loop.remove_signal_handler(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return

    def left() -> None:
        # What has ended stays readable: this would be called in every turn of the loop.
        loop.remove_reader(sentinel)
        stop.set()

    sentinel = supervisor.sentinel
    loop.add_reader(sentinel, left)


def serve_process(
    settings: Settings, ready: Ready, load: Load | None = None, *, orders: Connection | None = None
) -> int:
    """Serves in this process until SIGTERM or SIGINT, then drains. Gives the exit code.

    A second signal cuts short; in a worker that is its supervisor's to do.

    With `load`, SIGHUP reads the configuration again. With `orders` it is a worker: it shares its port with others,
    ends with its supervisor, and takes the settings that come that way.
    """
    if settings.server.batch_scheduling:
        schedule_in_batches()
    with asyncio.Runner(loop_factory=_loop_factory(settings)) as runner:
        try:
            runner.run(_serve_until_signal(settings, ready, load, orders))
        except OSError as error:
            _log.error("cannot serve: %s", error)
            return 1
    return 0


def schedule_in_batches() -> None:
    """Has this thread, and those that it starts, wait for a core until it is free or their turn has come; sched(7).

    Threads wake each other twenty times in a call: gRPC's wakes the event loop, which has hardly begun when gRPC's
    wants the core back. Waiting instead, a process on one core takes 8 percent less CPU for a completion under 64
    callers, and 12 percent less for a bare call of gRPC's. A lone caller sees no difference; beside a program that
    keeps the core busy, a call may wait for the end of that one's turn at each step, which is some milliseconds.
    """
    if not hasattr(os, "SCHED_BATCH"):
        return
    # A sandbox may forbid it; and what somebody has chosen for the process stands.
    with contextlib.suppress(OSError):
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _loop_factory(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if not settings.server.uvloop:
        return None
    try:
        import uvloop
    except ImportError:
        return None
    factory: Any = uvloop.new_event_loop
    return factory  # type: ignore[no-any-return]


def serve(settings: Settings, ready: Ready | None = None, load: Load | None = None) -> int:
    """Serves until a signal, with as many processes as the settings ask for. Gives the exit code.

    With `load`, which reads the configuration anew, SIGHUP puts in force what needs no restart.
    """
    if settings.server.workers > 1:
        from muxer_grpc.workers import Supervisor

        gc.enable()
        return Supervisor(settings, ready or _log_ready, load).run()
    return serve_process(settings, ready or _log_ready, load)


def _log_ready(listening: Listening) -> None:
    _log.info("serving on %s, admin on %s", ", ".join(listening.data), ", ".join(listening.admin) or "no address")
