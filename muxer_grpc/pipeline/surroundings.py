"""What the pipeline is given from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from muxer_grpc.domain.chat import Conversation
from muxer_grpc.domain.decision import Classification
from muxer_grpc.domain.live import NOTHING_KNOWN, LiveSnapshot
from muxer_grpc.domain.ports import CompletionObserver, Provider, RateLimiter
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.pipeline.decisions import Decisions
from muxer_grpc.pipeline.failover import Resilience
from muxer_grpc.pipeline.judge import Judge
from muxer_grpc.pipeline.response_cache import Answers
from muxer_grpc.pipeline.settlement import Bookkeeping


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the pipeline is given from outside. `now` gives seconds since the epoch, `new_id` a fresh unique id.

    Without `books` no accounts are kept: for what never spends anything, as tests of routing.
    """

    fleet: Fleet
    providers: Mapping[str, Provider]
    observer: CompletionObserver
    new_id: Callable[[], str]
    classify: Callable[[Conversation], Classification]
    live: Callable[[float], LiveSnapshot] = lambda _now: NOTHING_KNOWN
    judge: Judge | None = None
    decisions: Decisions = field(default_factory=Decisions)
    books: Bookkeeping | None = None
    limiter: RateLimiter | None = None
    resilience: Resilience = field(default_factory=Resilience)
    answers: Answers | None = None
    now: Callable[[], float] = time.time
