"""What is looked at during a soak and after it, and what is too much."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from muxer_client import AsyncMuxerClient

from tests.process.running import Process
from tests.soak.callers import MARGIN, Told

# By how much the resident memory in the last third may be above that in the middle third. In a short soak much is done
# for the first time, and kept.
MOST_GROWN_KIB = 8 * 1024
MOST_GROWN_KIB_IN_SHORT = 48 * 1024
LONG_SECONDS = 240.0
# How long the service has to come to rest after the last call, in seconds.
REST_SECONDS = 30.0
INTERVAL = 0.5


@dataclass
class Watch:
    """Samples of the service's process, and what is open in it, connections to the database left out."""

    resident_kib: list[int] = field(default_factory=list)
    open_files: list[int] = field(default_factory=list)

    async def keep(self, service: Process, count: Callable[[], int]) -> None:
        """Samples for ever."""
        while True:
            self.resident_kib.append(service.resident_kib())
            self.open_files.append(count())
            await asyncio.sleep(INTERVAL)

    @property
    def thirds(self) -> tuple[int, int]:
        """Gives the median memory of the middle third and of the last one."""
        third = len(self.resident_kib) // 3
        middle, last = self.resident_kib[third : 2 * third], self.resident_kib[2 * third :]
        return round(statistics.median(middle)), round(statistics.median(last))


async def open_files_at_rest(
    count: Callable[[], int], client: AsyncMuxerClient, most: int | None = None
) -> tuple[int, int]:
    """Waits until nothing is under way any more, and few files are open; gives completions in flight and open files.

    Without `most`, files are few when a while went by without fewer. What probes open for a moment does not count.
    """
    loop = asyncio.get_running_loop()
    least, since, ends = count(), loop.time(), loop.time() + REST_SECONDS
    while True:
        flying = (await client.metrics()).process.completions_in_flight
        now = count()
        if now < least:
            least, since = now, loop.time()
        rested = loop.time() - since > 3.0 if most is None else least <= most
        if (rested and not flying) or loop.time() > ends:
            return flying, least
        await asyncio.sleep(0.1)


@dataclass
class Result:
    """What a soak came to."""

    seconds: float
    told: Told
    watch: Watch
    kills: int
    files_before: int
    files_after: int
    in_flight: int
    ledger_exit_code: int
    ledger: Mapping[str, Any]
    exit_code: int
    complaints: list[str]

    @property
    def most_grown_kib(self) -> int:
        return MOST_GROWN_KIB if self.seconds >= LONG_SECONDS else MOST_GROWN_KIB_IN_SHORT

    @property
    def failures(self) -> dict[str, str]:
        """Names what is not as it should be; empty where all is."""
        told, (middle, last) = self.told, self.watch.thirds
        found = {
            "no call hangs": told.late[0] if told.late else "",
            "every call ends in its time": f"by {told.slowest_overtime:.2f} s" * (told.slowest_overtime > MARGIN),
            "every end is one that may be": f"{len(told.wrong)}: {told.wrong[0]}" if told.wrong else "",
            "calls are answered": "" if told.complete > told.calls / 2 else f"{told.complete} of {told.calls}",
            "providers are killed": "" if self.kills else "none was",
            "memory is flat": f"{last - middle} KiB more" * (last - middle > self.most_grown_kib),
            "no file stays open": f"{self.files_after}, not {self.files_before}"
            * (self.files_after > self.files_before),
            "no completion stays in flight": f"{self.in_flight}" * (self.in_flight > 0),
            "the ledger is right": f"{dict(self.ledger)}" * (self.ledger_exit_code != 0),
            "nothing is promised any more": f"{self.open_promises}" * (self.open_promises != 0),
            "the service ends in order": f"exit code {self.exit_code}" * (self.exit_code != 0),
            "the service complains of nothing": self.complaints[0] if self.complaints else "",
        }
        return {name: text for name, text in found.items() if text}

    @property
    def open_promises(self) -> int:
        return int(self.ledger.get("open_reservations", -1))

    def table(self) -> str:
        """Writes the figures for people."""
        told, (middle, last), booked = self.told, self.watch.thirds, self.ledger.get("entries")
        reasons = ", ".join(f"{name} {times}" for name, times in told.reasons.most_common())
        rows = {
            "time": f"{self.seconds:.0f} s",
            "calls": f"{told.calls}, {told.calls / self.seconds:.1f} a second, {told.repeated} repeated by request id",
            "answered in full": f"{told.complete}",
            "left by their callers": f"{told.cancelled}",
            "failed": reasons or "none",
            "latest end": f"{told.slowest_overtime:+.2f} s from its deadline (at most +{MARGIN:.0f})",
            "kills of providers": f"{self.kills}",
            "resident memory": f"{middle} KiB in the middle third, {last} in the last (at most +{self.most_grown_kib})",
            "open files": f"{self.files_before} before, up to {max(self.watch.open_files)}, {self.files_after} after",
            "ledger": f"exit code {self.ledger_exit_code}, {booked} entries, {self.open_promises} promises open",
            "failures": "none" if not self.failures else "",
        }
        lines = [f"{name:22} {text}" for name, text in rows.items()]
        return "\n".join([*lines, *(f"  not: {name}: {text}" for name, text in self.failures.items())])

    def record(self) -> dict[str, Any]:
        """Gives all of it for programs."""
        middle, last = self.watch.thirds
        return {
            "seconds": round(self.seconds, 1),
            "passed": not self.failures,
            "failures": self.failures,
            "calls": self.told.calls,
            "complete": self.told.complete,
            "cancelled": self.told.cancelled,
            "repeated": self.told.repeated,
            "reasons": dict(self.told.reasons),
            "late": self.told.late,
            "wrong": self.told.wrong,
            "slowest_overtime_seconds": round(self.told.slowest_overtime, 3),
            "kills": self.kills,
            "resident_kib": {"middle_third": middle, "last_third": last, "samples": self.watch.resident_kib},
            "open_files": {"before": self.files_before, "after": self.files_after, "most": max(self.watch.open_files)},
            "completions_in_flight": self.in_flight,
            "ledger": dict(self.ledger),
            "exit_code": self.exit_code,
            "complaints": self.complaints,
        }
