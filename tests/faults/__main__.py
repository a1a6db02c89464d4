"""Plays all faults at full timings and prints the scorecard; writes it to faults-result.json. Fails unless all pass.

All are played at once, each with models and providers of its own, but those that keep a processor busy.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
from muxer.v1 import ledger_service_pb2, ledger_service_pb2_grpc, muxer_service_pb2
from muxer_client import AsyncMuxerClient

from tests.faults.ground import Ground, ground
from tests.faults.pace import FULL, SHORT, Pace
from tests.faults.playing import Played, played, well
from tests.faults.seen import STREAM
from tests.faults.table import ALL, FAULTS, Fault
from tests.faults.verdicts import Verdict

RESULT = Path("faults-result.json")
WORST_FIRST = (Verdict.FAIL, Verdict.SAFE, Verdict.PARTIAL, Verdict.PASS)
# What the process may hold more of afterwards than before: what it keeps of hundreds of models, and idle connections.
MOST_KIB = 80_000
MOST_FILES = 300
# Time between the beginnings of two faults.
SPREAD_SECONDS = 0.15


@dataclass
class Process:
    """What the process of the service comes to after all faults."""

    grown_kib: int
    grown_files: int
    in_flight: int
    ledger_differences: int
    open_reservations: int

    @property
    def well(self) -> bool:
        """Tells whether nothing is left over."""
        left = (self.in_flight, self.ledger_differences, self.open_reservations)
        return not any(left) and self.grown_kib <= MOST_KIB and self.grown_files <= MOST_FILES


async def run(pace: Pace, faults: Sequence[Fault]) -> tuple[list[Played], Process]:
    """Plays faults, all at once and then the busy ones, and looks at the process afterwards."""
    with ground(pace) as running:
        async with AsyncMuxerClient(running.target) as client:
            assert await well(running, client)
            kib, files = running.resident_kib(), running.open_files()
            quiet = [(fault, form) for fault in faults if not fault.busy for form in fault.forms]
            found = list(await asyncio.gather(*(_in_turn(running, client, *each) for each in enumerate(quiet))))
            for fault in faults:
                if fault.busy:
                    found += [await played(running, client, fault, form) for form in fault.forms]
            process = await _look(running, client, kib, files)
    return found, process


async def _in_turn(running: Ground, client: AsyncMuxerClient, place: int, case: tuple[Fault, str]) -> Played:
    """Plays a fault, not at once with all others: retries are a share of the calls that came before."""
    await asyncio.sleep(place * SPREAD_SECONDS)
    return await played(running, client, *case)


async def _look(running: Ground, client: AsyncMuxerClient, kib: int, files: int) -> Process:
    metrics = await client.metrics(muxer_service_pb2.GetMetricsRequest())
    async with grpc.aio.insecure_channel(running.admin_target) as channel:
        stub = ledger_service_pb2_grpc.LedgerServiceStub(channel)
        check = await stub.CheckLedger(ledger_service_pb2.CheckLedgerRequest(), timeout=30)
    return Process(
        grown_kib=running.resident_kib() - kib,
        grown_files=running.open_files() - files,
        in_flight=metrics.process.completions_in_flight,
        ledger_differences=check.difference_count,
        open_reservations=check.open_reservations,
    )


def scorecard(found: Sequence[Played], process: Process) -> str:
    """Writes the results for people: a line per fault, the worst of its unary forms in one column."""
    lines = [f"{'':5}{'fault':54}{'StreamComplete':16}{'Complete':10}{'seconds':>8}  tries"]
    for fault in ALL:
        of_fault = [each for each in found if each.fault is fault]
        if not of_fault:
            continue
        stream = [each for each in of_fault if each.form == STREAM]
        unary = [each for each in of_fault if each.form != STREAM]
        slowest = max(of_fault, key=lambda each: each.seconds)
        tries = f"{slowest.primary_tries} + {slowest.fallback_tries}"
        columns = f"{_worst(stream):16}{_worst(unary):10}{slowest.seconds:8.2f}  {tries}"
        lines.append(f"{fault.id:5}{fault.title:54}{columns}")
        lines += [f"{'':5}{each.form}: {', '.join(each.judged.against)}" for each in of_fault if each.judged.against]
    return "\n".join([*lines, "", *_sums(found), f"process: {process}"])


def _worst(found: Sequence[Played]) -> str:
    return min((each.judged.verdict for each in found), key=WORST_FIRST.index).value if found else "-"


def _sums(found: Sequence[Played]) -> list[str]:
    """Counts the verdicts on the sixteen faults and on ours, by kind of call."""
    lines = []
    for title, faults in (("the 16 faults", FAULTS), ("beyond them", ALL[len(FAULTS) :])):
        for name, stream in (("StreamComplete", True), ("Complete", False)):
            verdicts = Counter(
                _worst([e for e in found if e.fault is fault and (e.form == STREAM) is stream]) for fault in faults
            )
            told = ", ".join(f"{verdicts[verdict.value]} {verdict.value}" for verdict in Verdict)
            lines.append(f"{title}, {name}: {told}")
    return lines


def result(found: Sequence[Played], process: Process, pace: Pace, seconds: float) -> dict[str, Any]:
    """Gives the results of a run for programs."""
    return {
        "timings": pace.name,
        "seconds": round(seconds, 1),
        "passed": passed(found, process),
        "process": {**vars(process), "well": process.well},
        "faults": [
            {
                "id": each.fault.id,
                "title": each.fault.title,
                "form": each.form,
                "verdict": each.judged.verdict.value,
                "against": each.judged.against,
                "seconds": round(each.seconds, 3),
                "primary_tries": each.primary_tries,
                "fallback_tries": each.fallback_tries,
                "reason": each.reason,
            }
            for each in found
        ],
    }


def passed(found: Sequence[Played], process: Process) -> bool:
    """Tells whether every fault passed, and the process is well."""
    return process.well and all(each.judged.verdict is Verdict.PASS for each in found)


def main() -> int:
    """Runs the suite as often as asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=1, help="how often all faults are played")
    parser.add_argument("--short", action="store_true", help="short timings")
    parser.add_argument("--only", default="", help="faults to play, as S01,S06")
    arguments = parser.parse_args()
    pace = SHORT if arguments.short else FULL
    chosen = [fault for fault in ALL if not arguments.only or fault.id in arguments.only.split(",")]
    runs = []
    for number in range(1, arguments.runs + 1):
        began = time.monotonic()
        found, process = asyncio.run(run(pace, chosen))
        seconds = time.monotonic() - began
        print(f"run {number} of {arguments.runs}, {pace.name} timings, {seconds:.0f} s")
        print(scorecard(found, process), flush=True)
        runs.append(result(found, process, pace, seconds))
    RESULT.write_text(json.dumps({"runs": runs}, indent=1) + "\n")
    return 0 if all(each["passed"] for each in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
