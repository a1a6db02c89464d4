"""How a service might stand, for tests of what shows it."""

from __future__ import annotations

from muxer_grpc.ops.recent import RecentDecision
from muxer_grpc.ops.status import (
    BudgetStatus,
    LoadStatus,
    ModelStatus,
    ProbeStatus,
    ProcessStatus,
    ProviderStatus,
    Status,
    WindowFigures,
)

NOW = 1_800_000_000.0
RECENT = WindowFigures(60, 12.0, 0.95, 0.8, 2.5, 1_500_000)
HOUR = WindowFigures(600, 10.0, 0.99, 0.7, 2.1, 15_000_000)
PROCESS = ProcessStatus(
    version="0.1.0",
    instance_id="0123456789abcdef01234567",
    process_id=4_711,
    worker=1,
    workers=1,
    started_at=NOW - 3_600,
    uptime_seconds=3_600.0,
    draining=False,
    default_strategy="learned",
    price_book_version="prices-0123456789ab",
)
LOAD = LoadStatus(
    calls=3,
    streams=1,
    completions=2,
    shed_calls=4,
    shed_streams=5,
    event_loop_lag_seconds=0.002,
    ledger_queue=0,
    cache_hits=7,
    cache_misses=13,
    cache_saved_nano_usd=1_000_000,
)
PROVIDER = ProviderStatus(
    name="fake",
    health="healthy",
    breaker="closed",
    consecutive_failures=0,
    success_rate=0.99,
    p95_seconds=2.5,
    last_request_at=NOW - 1,
    next_attempt_at=None,
    probe=ProbeStatus(NOW, 0.2, ""),
)
MODEL = ModelStatus("fake/plain", "healthy", "closed", 0, RECENT, HOUR)
BUDGET = BudgetStatus(
    tenant_id="acme",
    tenant_name="Acme",
    user_id="",
    key_id="",
    period="daily",
    hard=True,
    limit_nano_usd=10_000_000_000,
    spent_nano_usd=2_500_000_000,
    reserved_nano_usd=1_000_000,
    share=0.25,
)
DECISION = RecentDecision(
    at=NOW,
    completion_id="cmp_0123456789abcdef01234567",
    decision_id="dec_0123456789abcdef01234567",
    intent="chat_lite",
    strategy="learned",
    selected_model="fake/plain",
    answered_by="fake/plain",
    explanation="fake/plain: an expected quality of 0.80 for 64600 nano-USD is the best balance",
    outcome="complete",
    error="",
    attempts=1,
    cost_nano_usd=12_700,
    seconds=1.36,
)
STATUS = Status(
    at=NOW,
    process=PROCESS,
    load=LOAD,
    five_minutes=RECENT,
    hour=HOUR,
    providers=[PROVIDER],
    models=[MODEL],
    more_models=0,
    budgets=[BUDGET],
    decisions=[DECISION],
)
