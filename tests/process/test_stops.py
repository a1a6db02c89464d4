"""A stop is heard whenever it comes: while workers start, while one is replaced, and more than once."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.process.running import Process, launched, muxer
from tests.services.server import free_port


def variables(**more: str) -> dict[str, str]:
    return {"MUXER_SERVER__LISTEN": f"127.0.0.1:{free_port()}", "MUXER_SERVER__ADMIN_LISTEN": "", **more}


def workers_of(service: Process) -> list[int]:
    """Lists the workers of a supervisor."""
    found = []
    for child in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(int(child))
    return found


async def until(holds: Callable[[], bool]) -> None:
    """Waits for something; that it never comes is for the test's time limit to tell."""
    while not holds():
        await asyncio.sleep(0.001)


def blocked(pid: int) -> set[signal.Signals]:
    """Lists the signals that a process has waiting."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")), 16)
    return {number for number in signal.Signals if mask >> (number - 1) & 1}


async def test_workers_hear_ctrl_c_and_hang_ups_from_their_supervisor_alone_from_their_beginning_on(
    tmp_path: Path,
) -> None:
    async with launched(tmp_path, "--workers", "2", **variables()) as service:
        await until(lambda: len(workers_of(service)) == 2)
        assert [blocked(worker) & {signal.SIGINT, signal.SIGHUP} for worker in workers_of(service)] == [
            {signal.SIGINT, signal.SIGHUP}
        ] * 2
        await service.ready()
        assert blocked(service.pid) == set()


async def test_a_stop_that_comes_while_workers_start_stops_them_all_and_is_a_success(tmp_path: Path) -> None:
    async with launched(tmp_path, "--workers", "3", **variables()) as service:
        await until(lambda: bool(workers_of(service)))
        assert await service.stopped() == 0
        assert "Traceback" not in service.log.read_text()


async def test_a_stop_that_comes_while_a_dead_worker_is_replaced_is_not_forgotten(tmp_path: Path) -> None:
    async with muxer(tmp_path, "--workers", "2", **variables()) as service:
        os.kill(workers_of(service)[0], signal.SIGKILL)
        # It is replaced a second after this.
        await until(lambda: "ended with code -9" in service.log.read_text())
        assert await service.stopped() == 0


async def test_a_worker_that_is_told_twice_to_stop_still_ends_in_order(tmp_path: Path) -> None:
    async with muxer(tmp_path, "--workers", "2", **variables(MUXER_SERVER__DRAIN_ANNOUNCE_SECONDS="4")) as service:
        os.kill(workers_of(service)[0], signal.SIGTERM)
        await until(lambda: '"message":"draining"' in service.log.read_text())
        assert await service.stopped() == 0
        assert service.log.read_text().count('"message":"stopped"') == 2


async def test_a_wish_to_reload_that_comes_while_the_service_starts_is_heard_once_it_serves(tmp_path: Path) -> None:
    async with launched(tmp_path, **variables()) as service:
        # Until it says that such a wish shall wait, a process knows nothing of it.
        await until(lambda: signal.SIGHUP in blocked(service.pid))
        service.process.send_signal(signal.SIGHUP)
        await service.ready()
        await until(lambda: "the configuration was read again" in service.log.read_text())
        assert await service.stopped() == 0
