"""The soak in its shortest form, and that it finds what it is to find; `make soak` is the long one."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.services import shared
from tests.services.server import Session
from tests.soak.__main__ import soak
from tests.soak.callers import Told, asked
from tests.soak.descriptors import open_files
from tests.soak.provider import FAULTS, GOOD, MixedProvider
from tests.soak.watch import Result, Watch

WELL = Result(
    seconds=300.0,
    told=Told(calls=100, complete=80),
    watch=Watch([100] * 30, [10] * 30),
    kills=3,
    files_before=10,
    files_after=10,
    in_flight=0,
    ledger_exit_code=0,
    ledger=MappingProxyType({"open_reservations": 0}),
    exit_code=0,
    complaints=[],
)


@pytest.mark.slow
def test_a_short_soak_leaves_the_service_as_it_was(services: Session, tmp_path: Path) -> None:
    url = shared.migrated_sqlite(services, tmp_path / "muxer.db")
    result = asyncio.run(soak(tmp_path, url, 4.0, callers=8))
    assert result.failures == {}, result.table()


def spoilt() -> Iterator[tuple[str, Result]]:
    """Gives results with one thing amiss, by what is then to fail."""
    yield "no call hangs", replace(WELL, told=Told(calls=100, complete=80, late=["a call"]))
    yield "every call ends in its time", replace(WELL, told=Told(calls=100, complete=80, slowest_overtime=2.1))
    yield "every end is one that may be", replace(WELL, told=Told(calls=100, complete=80, wrong=["INTERNAL"]))
    yield "calls are answered", replace(WELL, told=Told(calls=100, complete=50))
    yield "providers are killed", replace(WELL, kills=0)
    yield "memory is flat", replace(WELL, watch=Watch([100] * 20 + [10_000] * 10, [10] * 30))
    yield "no file stays open", replace(WELL, files_after=11)
    yield "no completion stays in flight", replace(WELL, in_flight=1)
    yield "the ledger is right", replace(WELL, ledger_exit_code=1)
    yield "nothing is promised any more", replace(WELL, ledger={"open_reservations": 1})
    yield "the service ends in order", replace(WELL, exit_code=-9)
    yield "the service complains of nothing", replace(WELL, complaints=["Task was destroyed"])


@pytest.mark.parametrize(
    ("failure", "result"), list(spoilt()), ids=lambda given: given if isinstance(given, str) else ""
)
def test_a_result_with_one_thing_amiss_fails_by_its_name(failure: str, result: Result) -> None:
    assert list(result.failures) == [failure]
    assert WELL.failures == {}


# In a process of its own: what others do in this one would count as well.
OPENS = """
import sys, psycopg
print(flush=True)
sys.stdin.readline()
file = open(sys.argv[1], "wb")
print(flush=True)
sys.stdin.readline()
connection = psycopg.connect(sys.argv[2])
print(flush=True)
sys.stdin.readline()
"""


def test_an_open_file_counts_and_a_connection_to_the_database_does_not(tmp_path: Path, postgresql_url: str) -> None:
    file = tmp_path / "muxer.db"
    command = [sys.executable, "-c", OPENS, str(file), postgresql_url]
    counted = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while process.stdout.readline():
            counted.append([open_files(process.pid, url) for url in (f"sqlite:///{file}", postgresql_url)])
            process.stdin.write("\n")
            process.stdin.flush()
    (nothing, same), of_file, of_connection = counted
    assert nothing == same
    assert of_file == [nothing, nothing + 1]
    assert of_connection == [nothing + 1, nothing + 1]


def test_chance_draws_every_kind_of_call_and_every_play() -> None:
    chance = random.Random(1)
    calls = [asked(chance) for _ in range(2_000)]
    options = {name for call in calls for name in call.options}
    assert options >= {"model", "fall_back", "strategy", "hedge", "stream_recovery", "request_id"}
    assert {call.stream for call in calls} == {True, False}
    assert any(call.cancel_after is not None for call in calls)
    assert any(call.timeout < 1 for call in calls)
    provider = MixedProvider(chance=chance)
    assert {id(provider._next_play("small")) for _ in range(5_000)} == {id(play) for play in (*FAULTS, *GOOD)}
