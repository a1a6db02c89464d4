"""What accounts cost: PostgreSQL to keep them in, a service that keeps none, and what the two commits add to a call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from statistics import median

from muxer_grpc import bootstrap
from muxer_grpc.cli import app
from muxer_grpc.pipeline.settlement import Bookkeeping
from muxer_grpc.pipeline.surroundings import Surroundings
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.migrating import migrate
from tests.bench.processes import LOAD_CORE
from tests.services.postgres import PostgresServer, make_database
from tests.services.server import OwnSession, ServiceMissing

NO_POSTGRESQL = "not measured: no PostgreSQL"
GOAL_ADDED_US = 500.0
# Names what the service of this module keeps: none, or unwritten accounts.
KEPT = "BENCH_ACCOUNTS"


@contextmanager
def postgresql() -> Iterator[str]:
    """Starts a PostgreSQL of the tests' own on the core of the load; gives the URL of a database, or nothing.

    Its commits are not flushed to the disk (see tests/services/postgres.py), as SQLite's are not in WAL mode.
    """
    with OwnSession() as session, ExitStack() as stack:
        try:
            server = _on_core_of_load(lambda: stack.enter_context(PostgresServer(session)))
        except ServiceMissing:
            yield ""
            return
        url = make_database(server.url, "bench")
        migrate(Database(url))
        yield url


def _on_core_of_load(start: Callable[[], PostgresServer]) -> PostgresServer:
    before = os.sched_getaffinity(0)
    # What is started here inherits the core.
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        return start()
    finally:
        os.sched_setaffinity(0, before)


@dataclass
class Alone:
    """The median time of a call of a lone caller in microseconds, round by round; `measure` makes a round.

    `beside` names the row that does the same without commits.
    """

    name: str
    measure: Callable[[float], float]
    beside: str = ""
    goal_us: float = 0.0
    rounds: list[float] = field(default_factory=list)

    @property
    def p50_us(self) -> float:
        return median(self.rounds)

    def added_us(self, without: Alone) -> float:
        """Gives what it takes longer than another, as the median of what it does in the same round."""
        return median(mine - other for mine, other in zip(self.rounds, without.rounds, strict=True))


class Unwritten:
    """Accounts of which nothing is written: what keeps them is done, but for the two commits."""

    async def reserve(self, _reservation: object) -> None:
        return None

    def settle(self, _settlement: object) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    keep = settle


def _surroundings(**given: object) -> Surroundings:
    books = given["books"]
    assert isinstance(books, Bookkeeping)
    kept = None if os.environ[KEPT] == "none" else replace(books, accounts=Unwritten())  # type: ignore[arg-type]
    return Surroundings(**given | {"books": kept})  # type: ignore[arg-type]


def main() -> None:
    """Runs the service as it is, with an open database, but without accounts, or with such as are not written."""
    bootstrap.__dict__["Surroundings"] = _surroundings
    app.main()


if __name__ == "__main__":
    main()
