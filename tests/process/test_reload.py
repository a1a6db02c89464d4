"""SIGHUP: the configuration is read again by a running service, one process or several; a closed terminal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import sys
from pathlib import Path

import grpc.aio
from muxer.v1 import (
    control_service_pb2,
    control_service_pb2_grpc,
    muxer_service_pb2,
    muxer_service_pb2_grpc,
)

from tests.process.running import Process, clean_environment, muxer
from tests.rpc.service import spec
from tests.services.server import free_port


def configure(folder: Path, toml: str) -> None:
    (folder / "muxer.toml").write_text(toml)


def hang_up(service: Process) -> None:
    service.process.send_signal(signal.SIGHUP)


async def told(service: Process, text: str) -> None:
    """Waits until the log says something."""
    while text not in service.log.read_text():
        await asyncio.sleep(0.02)


async def strategies(target: str, connections: int = 1) -> dict[str, str]:
    """Asks over fresh connections which strategy each process ranks by."""
    found = {}
    for number in range(connections):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.lookahead_bytes", 1024 + number)]
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            stub = muxer_service_pb2_grpc.MuxerServiceStub(channel)
            figures = await stub.GetMetrics(muxer_service_pb2.GetMetricsRequest(), timeout=10)
            route = await stub.Route(muxer_service_pb2.RouteRequest(spec=spec()), timeout=10)
            found[figures.process.instance_id] = route.decision.strategy
    return found


async def test_a_reload_takes_over_what_needs_no_restart_and_calls_go_on(tmp_path: Path) -> None:
    configure(tmp_path, '[routing]\ndefault_strategy = "cost"\n')
    async with muxer(tmp_path) as service:
        assert set((await strategies(service.target)).values()) == {"cost"}
        configure(
            tmp_path,
            '[routing]\ndefault_strategy = "performance"\n[resilience]\nmax_attempts = 2\n'
            '[server]\nreflection = false\n[log]\nlevel = "warning"\n',
        )
        hang_up(service)
        await told(service, "after a restart: server.reflection")
        assert set((await strategies(service.target)).values()) == {"performance"}
        async with grpc.aio.insecure_channel(service.admin_target) as channel:
            stub = control_service_pb2_grpc.ControlServiceStub(channel)
            status = (await stub.GetRuntimeSettings(control_service_pb2.GetRuntimeSettingsRequest())).status
        assert (status.settings.attempts.max_attempts, status.revision) == (2, 0)
        assert await service.stopped() == 0
        # It drains in silence: the log's level has risen too.
        assert '"message":"draining"' not in service.log.read_text()


async def test_a_wrong_configuration_is_refused_whole_and_the_service_goes_on(tmp_path: Path) -> None:
    configure(tmp_path, '[routing]\ndefault_strategy = "cost"\n')
    async with muxer(tmp_path) as service:
        configure(tmp_path, '[routing]\ndefault_strategy = "availability"\n[resilience]\nmax_attempts = 99\nmood = 1\n')
        hang_up(service)
        await told(service, "the configuration is refused, the previous one stays")
        [line] = [each for each in service.log.read_text().splitlines() if "is refused" in each]
        assert json.loads(line)["level"] == "error"
        assert "resilience.max_attempts" in line
        assert "resilience.mood is not a setting" in line
        assert set((await strategies(service.target)).values()) == {"cost"}
        configure(tmp_path, '[routing]\ndefault_strategy = "availability"\n')
        hang_up(service)
        await told(service, "in force: routing.default_strategy")
        assert set((await strategies(service.target)).values()) == {"availability"}


async def test_all_workers_follow_and_one_that_comes_later_begins_with_it(tmp_path: Path) -> None:
    variables = {"MUXER_SERVER__LISTEN": f"127.0.0.1:{free_port()}", "MUXER_SERVER__ADMIN_LISTEN": ""}
    configure(tmp_path, '[routing]\ndefault_strategy = "cost"\n')
    async with muxer(tmp_path, "--workers", "2", **variables) as service:
        before = await strategies(service.target, 30)
        assert sorted(before.values()) == ["cost", "cost"]
        configure(tmp_path, '[routing]\ndefault_strategy = "luck"\n')
        hang_up(service)
        await told(service, "the configuration is refused")
        configure(tmp_path, '[routing]\ndefault_strategy = "performance"\n')
        hang_up(service)
        while await strategies(service.target, 30) != dict.fromkeys(before, "performance"):
            await asyncio.sleep(0.05)
        # One line, of the supervisor: the workers are sent what it has read.
        assert service.log.read_text().count("the configuration was read again") == 1
        children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        # A worker itself does not mind the signal.
        os.kill(workers[1], signal.SIGHUP)
        os.kill(workers[0], signal.SIGKILL)
        while True:
            # What waits in the killed worker's queue is reset, as on any machine that dies.
            with contextlib.suppress(grpc.aio.AioRpcError):
                after = await strategies(service.target, 20)
                if len(after) == 2 and after.keys() != before.keys():
                    break
            await asyncio.sleep(0.1)
        assert set(after.values()) == {"performance"}
        assert len(after.keys() & before.keys()) == 1
        assert await service.stopped() == 0


# Takes its standard input for the terminal that it is controlled by, and becomes the program that it is given. A
# process of its own does it, since Python must not run between fork and exec where other threads are about. What ran
# the tests may ignore hang-ups, as nohup does, and a service that ignores them is never hung up on.
IN_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


async def test_a_service_that_was_started_in_a_terminal_ends_in_order_when_it_is_closed(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    log = tmp_path / "muxer.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", IN_TERMINAL),
            *(sys.executable, "-m", "muxer_grpc", "serve", "--json"),
            cwd=tmp_path,
            env=clean_environment(MUXER_SERVER__ADMIN_LISTEN=""),
            stdin=theirs,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    os.close(theirs)
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        service = Process(process, json.loads(line), log)
        hang_up(service)
        await told(service, "the configuration was read again")
        os.close(ours)
        assert await process.wait() == 0
        assert "stopped" in log.read_text()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
