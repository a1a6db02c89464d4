"""Puts together the HTTP listener of operators."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Sequence

from muxer_grpc.bootstrap import App
from muxer_grpc.bootstrap_storage import Storage
from muxer_grpc.domain.budgeting import MICROSECONDS, BudgetSpending
from muxer_grpc.ops.budget_watch import BudgetWatch
from muxer_grpc.ops.listener import OpsListener
from muxer_grpc.ops.serving import serve_status
from muxer_grpc.ops.status import LoadStatus, ProcessStatus, StatusBoard, StatusSources
from muxer_grpc.rpc.calls import Calls
from muxer_grpc.settings import Settings
from muxer_grpc.storage.budget_shares import BudgetShares
from muxer_grpc.telemetry.exposition import prometheus_text
from muxer_grpc.telemetry.setup import Telemetry

MOST_BUDGETS = 20


def ops_listener(
    settings: Settings, telemetry: Telemetry, app: App, calls: Calls, draining: Callable[[], bool]
) -> OpsListener | None:
    """Builds it; None where the settings name no address."""
    instruments = telemetry.instruments
    if not settings.ops.listen or instruments is None:
        return None
    listener = OpsListener(
        settings.ops.listen,
        ready=lambda: "draining" if draining() else "",
        metrics=lambda accept: prometheus_text(instruments, telemetry.labels, accept),
    )
    if app.recent is not None:
        clock = asyncio.get_running_loop().time
        sources = StatusSources(
            process=lambda: _process(settings, app, draining=draining()),
            load=lambda: _load(app, calls),
            figures=app.figures,
            reports=app.control.reports,
            recent=app.recent,
            budgets=None if app.storage is None else _budget_watch(app.storage, app.control.reports.now, clock),
            now=app.control.reports.now,
            clock=clock,
        )
        serve_status(listener, StatusBoard(sources))
    return listener


def _budget_watch(storage: Storage, now: Callable[[], float], clock: Callable[[], float]) -> BudgetWatch:
    shares = BudgetShares(storage.database)

    async def ask() -> Sequence[BudgetSpending]:
        return await shares.most_spent(int(now() * MICROSECONDS), MOST_BUDGETS)

    return BudgetWatch(ask, clock)


def _process(settings: Settings, app: App, *, draining: bool) -> ProcessStatus:
    facts, now = app.facts, app.control.reports.now()
    return ProcessStatus(
        version=facts.version,
        instance_id=facts.instance_id,
        process_id=os.getpid(),
        worker=_worker(),
        workers=settings.server.workers,
        started_at=facts.started_at,
        uptime_seconds=max(0.0, now - facts.started_at),
        draining=draining,
        default_strategy=app.control.runtime.in_force.default_strategy,
        price_book_version=app.prices.book.version,
    )


def _worker() -> int:
    """Gives the number of this worker, from 1 on, as its supervisor has named its process; 1 without one."""
    number = multiprocessing.current_process().name.rpartition("-")[2]
    return int(number) if multiprocessing.parent_process() is not None and number.isdecimal() else 1


def _load(app: App, calls: Calls) -> LoadStatus:
    cache = None if app.answers is None else app.answers.figures()
    return LoadStatus(
        calls=calls.under_way,
        streams=calls.streams_under_way,
        completions=app.figures.in_flight,
        shed_calls=calls.shed["unary"],
        shed_streams=calls.shed["stream"],
        event_loop_lag_seconds=calls.lag.seconds,
        ledger_queue=None if app.storage is None else app.storage.writer.backlog,
        cache_hits=None if cache is None else cache.hits + cache.shared,
        cache_misses=None if cache is None else cache.misses,
        cache_saved_nano_usd=None if cache is None else cache.saved_nano_usd,
    )
