"""How the kernel is told to schedule the threads of a service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from muxer_client import AsyncMuxerClient

from tests.process.running import muxer
from tests.services.server import free_port


def policies(pid: int) -> list[int]:
    """Gives the policies of a process's threads, the main one's first; libraries start theirs as they are loaded."""
    threads = sorted(int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir())
    return [os.sched_getscheduler(thread) for thread in threads]


@pytest.mark.parametrize(
    ("settings", "policy"),
    [({}, os.SCHED_BATCH), ({"MUXER_SERVER__BATCH_SCHEDULING": "false"}, os.SCHED_OTHER)],
    ids=["by default", "switched off"],
)
async def test_all_threads_that_serve_are_scheduled_alike(
    tmp_path: Path, settings: dict[str, str], policy: int
) -> None:
    async with muxer(tmp_path, **settings) as service, AsyncMuxerClient(service.target) as client:
        await client.complete("What is 2+2?")
        found = policies(service.pid)
    assert found[0] == policy
    # gRPC's own and the ledger's among them.
    assert found.count(policy) >= 5


async def test_every_worker_is_scheduled_so(tmp_path: Path) -> None:
    ports = {"MUXER_SERVER__LISTEN": f"127.0.0.1:{free_port()}", "MUXER_SERVER__ADMIN_LISTEN": ""}
    async with muxer(tmp_path, "--workers", "2", **ports) as service:
        children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(workers) == 2
        assert [policies(worker)[0] for worker in workers] == [os.SCHED_BATCH] * 2


def test_a_policy_that_was_chosen_for_the_process_stands() -> None:
    program = (
        "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0));"
        "from muxer_grpc.server import schedule_in_batches; schedule_in_batches(); print(os.sched_getscheduler(0))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(told) == os.SCHED_IDLE
