"""What a caller saw of one completion, and what the fake provider saw of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from muxer.v1 import chat_pb2, completion_pb2, errors_pb2
from muxer_client import AsyncMuxerClient, MuxerError, build_spec

from tests.fakes.answers import of_tokens
from tests.fakes.provider import FakeProvider, Received

TOKENS = 60
SIXTY = of_tokens(TOKENS)
FULL_TEXT = SIXTY.text
# Few enough that a vendor's unary endpoint is asked: see pipeline/failover.py.
FEW_TOKENS = 64

# How a completion is asked for. A long unary answer is asked of the vendor as a stream, a short one whole.
STREAM, UNARY, SHORT_UNARY = FORMS = ("stream", "unary", "short unary")

COMPLETE = completion_pb2.OUTCOME_COMPLETE


@dataclass(frozen=True)
class Pair:
    """The two models that may answer, by their names at their vendor; each is alone with a provider of its own."""

    primary: str
    fallback: str

    @classmethod
    def of(cls, key: str) -> Pair:
        """Gives the pair of a fault in one form."""
        return cls(f"p-{key}", f"f-{key}")

    @property
    def names(self) -> list[str]:
        """Lists their full names."""
        return [f"{name}/{name}" for name in (self.primary, self.fallback)]


@dataclass(frozen=True)
class Attempt:
    """An attempt as the caller is told of it."""

    model: str
    complete: bool
    failure: str
    vendor_code: str
    output_tokens: int
    input_tokens: int
    cost: int
    http_status: int


@dataclass
class Seen:
    """What came of one completion. Times are seconds since it was asked for."""

    seconds: float
    text: str = ""
    outcome: int = completion_pb2.OUTCOME_UNSPECIFIED
    reason: str = ""
    reported_model: str = ""
    selected_model: str = ""
    vendor_finish_reason: str = ""
    cost: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    # When calls reached each model, and what the second was sent.
    primary: list[float] = field(default_factory=list)
    fallback: list[float] = field(default_factory=list)
    fallback_received: list[Received] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Tells whether the service says that the answer is whole."""
        return self.outcome == COMPLETE and not self.reason


def spec_of(pair: Pair, form: str, *, continues: bool = False) -> chat_pb2.CompletionSpec:
    """Makes the spec of a completion: the first model of the pair is wanted, the second may step in."""
    return build_spec(
        "Tell me about climate change",
        model=pair.names[0],
        fall_back=True,
        allowed_models=pair.names,
        max_output_tokens=FEW_TOKENS if form == SHORT_UNARY else None,  # type: ignore[arg-type]
        stream_recovery="continue" if continues else "restart",
    )


async def ask(
    client: AsyncMuxerClient, fake: FakeProvider, pair: Pair, spec: chat_pb2.CompletionSpec, form: str, within: float
) -> Seen:
    """Asks for a completion, for at most so many seconds, and gives what came of it."""
    before = {model: len(fake.times[model]) for model in (pair.primary, pair.fallback)}
    began = time.monotonic()
    text, reason, summary = "", "", None
    try:
        if form == STREAM:
            async with client.stream(spec, timeout=within) as stream:
                try:
                    completion = await stream.completion()
                finally:
                    summary = stream.summary
        else:
            completion = await client.complete(spec, timeout=within)
        text, summary = completion.text, completion.summary
    except MuxerError as error:
        reason, summary = error.reason, error.summary or summary
    seen = Seen(time.monotonic() - began, text=text, reason=reason)
    if summary is not None:
        _note_summary(seen, summary)
    seen.primary = [at - began for at in fake.times[pair.primary][before[pair.primary] :]]
    seen.fallback = [at - began for at in fake.times[pair.fallback][before[pair.fallback] :]]
    seen.fallback_received = [r for r in list(fake.received) if r.raw and r.body.get("model") == pair.fallback]
    return seen


def _note_summary(seen: Seen, summary: completion_pb2.CompletionSummary) -> None:
    seen.outcome = summary.outcome
    seen.reported_model, seen.selected_model = summary.reported_model, summary.selected_model
    seen.vendor_finish_reason = summary.vendor_finish_reason
    seen.cost = summary.cost.total_nano_usd
    for attempt in summary.attempts:
        failure = errors_pb2.FailureClass.Name(attempt.failure_class).removeprefix("FAILURE_CLASS_").lower()
        seen.attempts.append(
            Attempt(
                model=attempt.model.partition("/")[2],
                complete=attempt.outcome == COMPLETE,
                failure="" if failure == "unspecified" else failure,
                vendor_code=attempt.vendor_code,
                output_tokens=attempt.usage.output_tokens,
                input_tokens=attempt.usage.input_tokens,
                cost=attempt.cost_nano_usd,
                http_status=attempt.http_status,
            )
        )
