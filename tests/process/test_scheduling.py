"""How the kernel is told to schedule the threads of a service."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from muxer_client import AsyncMuxerClient

from tests.process.running import muxer
from tests.services.server import free_port

pytestmark = pytest.mark.skipif(
    not hasattr(os, "SCHED_BATCH") or os.sched_getscheduler(0) != os.SCHED_OTHER,
    reason="what the tests start is scheduled as they are, or otherwise than Linux does it",
)
BATCH, OTHER, IDLE = "SCHED_BATCH", "SCHED_OTHER", "SCHED_IDLE"


def policies(pid: int) -> Counter[int]:
    """Counts the threads of a process by their policies."""
    found: Counter[int] = Counter()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # One may have ended since.
        with contextlib.suppress(ProcessLookupError):
            found[os.sched_getscheduler(int(thread.name))] += 1
    return found


@pytest.mark.parametrize(
    ("settings", "policy"),
    [({}, BATCH), ({"MUXER_SERVER__BATCH_SCHEDULING": "false"}, OTHER)],
    ids=["by default", "switched off"],
)
async def test_the_threads_that_serve_are_scheduled_alike(
    tmp_path: Path, settings: dict[str, str], policy: str
) -> None:
    async with muxer(tmp_path, **settings) as service, AsyncMuxerClient(service.target) as client:
        await client.complete("What is 2+2?")
        assert os.sched_getscheduler(service.pid) == getattr(os, policy)
        # gRPC's own and the ledger's among them; libraries start some of theirs as they are loaded.
        assert policies(service.pid)[getattr(os, policy)] >= 5


async def test_every_worker_is_scheduled_so(tmp_path: Path) -> None:
    ports = {"MUXER_SERVER__LISTEN": f"127.0.0.1:{free_port()}", "MUXER_SERVER__ADMIN_LISTEN": ""}
    async with muxer(tmp_path, "--workers", "2", **ports) as service:
        children = Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split()
        workers = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(workers) == 2
        assert [os.sched_getscheduler(worker) for worker in workers] == [os.SCHED_BATCH] * 2


def test_a_policy_that_was_chosen_for_the_process_stands() -> None:
    program = (
        f"import os; os.sched_setscheduler(0, os.{IDLE}, os.sched_param(0));"
        "from muxer_grpc.server import schedule_in_batches; schedule_in_batches(); print(os.sched_getscheduler(0))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(told) == getattr(os, IDLE)
