"""The faults: what the two providers do, and what is then expected of the service.

S01 to S16 are those of an independent failure test of gateways, with its conditions; what it only recommends is
`advisory` here. X01 and the following are our own.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.fakes.dialects import openai_error
from tests.fakes.plays import Play
from tests.faults.pace import Pace
from tests.faults.seen import FORMS, SIXTY, STREAM, UNARY
from tests.faults.verdicts import Check, answered_by, exactly, failed_as, failures, refused, tries, within

Plays = tuple[Play, ...]

# The first event of a stream holds no token.
AFTER_40 = 41
AFTER_20 = 21
WELL = Play(SIXTY)


@dataclass(frozen=True)
class Fault:
    """A fault. Without `answers`, an error is the right end. Places are where the primary is said to be."""

    id: str
    title: str
    primary: Callable[[Pace], Plays]
    required: tuple[Check, ...]
    advisory: tuple[Check, ...] = ()
    fallback: Callable[[Pace], Plays] = lambda _pace: (WELL,)
    answers: bool = True
    continues: bool = False
    forms: tuple[str, ...] = FORMS
    within: Callable[[Pace], float] = lambda pace: pace.usual
    place: str = "fake"
    # The primary is down for a time while calls go on: see outage.py.
    outage: bool = False
    # It keeps a processor busy, and would spoil what is played beside it.
    busy: bool = False


def always(**changes: object) -> Callable[[Pace], Plays]:
    """Plays one thing for ever."""
    return lambda _pace: (Play(SIXTY, **changes),)  # type: ignore[arg-type]


def once(**changes: object) -> Callable[[Pace], Plays]:
    """Plays one thing once, and then answers well."""
    return lambda _pace: (Play(SIXTY, **changes), WELL)  # type: ignore[arg-type]


def error(kind: str, **changes: object) -> Callable[[Pace], Plays]:
    return always(error=kind, **changes)


def asking_to_wait(pace: Pace) -> Plays:
    headers = (("retry-after", f"{pace.retry_after:g}"),)
    return (Play(error="rate_limit", headers=headers), WELL)


CUT = replace(WELL, cut_after=AFTER_40)
RECOVERED = (answered_by("fallback"),)

FAULTS = (
    Fault(
        "S01",
        "429 with Retry-After, then fine",
        asking_to_wait,
        (tries(2, until=lambda pace: 0.75 * pace.retry_after),),
    ),
    Fault(
        "S02",
        "429 for ever, no header",
        error("rate_limit"),
        (tries(4, until=lambda _pace: 3.0), tries(6), answered_by("fallback")),
    ),
    Fault("S03", "one 500", once(error="server_error"), (tries(4),), (answered_by("primary"),)),
    Fault("S04", "503 for ever", error("overloaded"), (tries(6), answered_by("fallback"))),
    Fault("S05", "TCP reset before headers", always(reset=True), (tries(6), answered_by("fallback"))),
    Fault(
        "S06",
        "no response at all",
        always(silent=True),
        (answered_by("fallback"), within(lambda pace: pace.silence)),
        (tries(1),),
        within=lambda pace: pace.silence,
    ),
    Fault(
        "S07",
        "first token too late",
        lambda pace: (replace(WELL, first_token_after=pace.slow_first_token),),
        (tries(2),),
        (within(lambda pace: pace.left_slow_token), tries(1), answered_by("fallback")),
    ),
    Fault("S08", "cut after 40 of 60 tokens", lambda _pace: (CUT,), (tries(6), answered_by("fallback"))),
    Fault(
        "S09",
        "silent after 20 tokens",
        lambda pace: (replace(WELL, stall_after=AFTER_20, stall=pace.stall),),
        (within(lambda pace: pace.left_stall), answered_by("fallback")),
        (tries(1),),
    ),
    Fault("S10", "one event of invalid JSON", once(garbage_at=30), (tries(4),), (answered_by("primary"),)),
    Fault(
        "S11",
        "no end sentinel",
        always(no_end=True),
        (exactly(1, 0), within(lambda pace: pace.endless_end), answered_by("primary")),
    ),
    Fault("S12", "context length exceeded", error("context_length"), (exactly(1, 1), answered_by("fallback"))),
    Fault(
        "S13",
        "content filter",
        error("content_filter"),
        (
            exactly(1, 0),
            refused("CONTENT_POLICY"),
            failures("content_filter"),
            Check(
                "the provider's own code reaches the caller",
                lambda seen, _pair, _pace: [a.vendor_code for a in seen.attempts] == ["content_policy_violation"],
            ),
        ),
        answers=False,
    ),
    Fault(
        "S14",
        "cut, and the fallback refuses a prefill",
        lambda _pace: (CUT, Play(error="overloaded")),
        (
            answered_by("fallback"),
            Check(
                "the first failure is told first",
                lambda seen, _pair, _pace: [a.failure for a in seen.attempts][:1] == ["transient"],
            ),
        ),
        fallback=always(refuses_prefill=True),
        continues=True,
    ),
    Fault(
        "S15",
        "down for a time, then healthy",
        lambda pace: (Play(error="overloaded", lasts=pace.outage), WELL),
        (),
        forms=(STREAM, UNARY),
        outage=True,
    ),
    Fault(
        "S16",
        "503, and the fallback answers",
        error("overloaded"),
        (
            answered_by("fallback"),
            Check(
                "failed tries are not billed",
                lambda seen, pair, _pace: {a.model for a in seen.attempts if a.cost} == {pair.fallback},
            ),
        ),
    ),
)


A_BOMB = gzip.compress(b" " * 50_000_000)

MORE = (
    Fault("X01", "a name that nobody has", always(), (exactly(0, 1), answered_by("fallback")), place="nowhere"),
    Fault("X02", "a certificate that nobody trusts", always(), (exactly(0, 1), answered_by("fallback")), place="tls"),
    Fault("X03", "no TLS where TLS is expected", always(), (exactly(0, 1), answered_by("fallback")), place="no tls"),
    Fault("X04", "nobody listens", always(), (exactly(0, 1), answered_by("fallback")), place="closed"),
    Fault(
        "X05",
        "one byte at a time",
        lambda pace: (replace(WELL, trickle=pace.trickle),),
        (answered_by("fallback"), tries(1)),
    ),
    Fault("X06", "headers of 1 MB", always(body=b"{}", header_bytes=1_000_000), (tries(4), answered_by("fallback"))),
    Fault("X07", "an endless body", always(body=b"", endless=True), (tries(4), answered_by("fallback")), busy=True),
    Fault(
        "X08",
        "an endless event",
        always(body=b"", endless=True, content_type="text/event-stream"),
        (tries(4), answered_by("fallback")),
        forms=(STREAM, UNARY),
        busy=True,
    ),
    Fault(
        "X09",
        "200 with an error body",
        always(body=openai_error("server_error")[1]),
        (tries(4), answered_by("fallback")),
    ),
    Fault(
        "X10",
        "a wrong content type",
        always(body=b"<html>hello</html>", content_type="text/html"),
        (tries(4), answered_by("fallback")),
    ),
    Fault(
        "X11",
        "a redirect, which nobody follows",
        always(status=307, body=b"", headers=(("location", "/v1/chat/completions"),)),
        # Following it would come back to the same place.
        (exactly(2, 1), answered_by("fallback")),
    ),
    Fault(
        "X12",
        "a gzip bomb",
        always(body=A_BOMB, headers=(("content-encoding", "gzip"),)),
        (tries(4), answered_by("fallback")),
    ),
    Fault(
        "X13",
        "cut within a character",
        lambda _pace: (Play(cut_in_character=True),),
        (tries(4), answered_by("fallback")),
    ),
    Fault(
        "X14",
        "two faults in a row, then fine elsewhere",
        lambda pace: (Play(error="server_error"), replace(WELL, stall_after=AFTER_20, stall=pace.stall)),
        (exactly(2, 1), answered_by("fallback"), failures("transient", "timeout")),
    ),
    Fault(
        "X15",
        "cut at the primary, then at the fallback, then fine",
        lambda _pace: (CUT, Play(error="overloaded")),
        (exactly(2, 2), answered_by("fallback"), failures("transient", "overload", "transient")),
        fallback=lambda _pace: (CUT, WELL),
    ),
    Fault(
        "X16",
        "cut twice, and continued twice",
        lambda _pace: (CUT, Play(error="overloaded")),
        (
            answered_by("fallback"),
            failures("transient", "overload", "transient"),
            Check(
                "what was sent is not asked for again",
                lambda seen, _pair, _pace: all(
                    r.body["messages"][-1]["role"] == "assistant" for r in seen.fallback_received
                ),
            ),
        ),
        fallback=lambda _pace: (replace(WELL, cut_after=11), WELL),
        continues=True,
        forms=(STREAM, UNARY),
    ),
    Fault(
        "X17",
        "primary and fallback fail differently",
        error("overloaded"),
        (refused("NO_PROVIDER_AVAILABLE"), failed_as("overload", "credential"), tries(6), tries(1, of_fallback=True)),
        fallback=error("credential"),
        answers=False,
    ),
    Fault(
        "X18",
        "no credit at the primary, malformed for the fallback",
        error("quota"),
        (exactly(1, 1), refused("PROVIDER_QUOTA"), failed_as("quota", "caller_fault")),
        fallback=error("bad_request"),
        answers=False,
    ),
    Fault(
        "X19",
        "an error amid the answer",
        once(error_at=30),
        (tries(4),),
        (answered_by("primary"),),
        forms=(STREAM, UNARY),
    ),
    Fault(
        "X20",
        "the line stays open after the end",
        always(holds=True),
        (exactly(1, 0), within(lambda pace: pace.endless_end)),
        forms=(STREAM, UNARY),
    ),
    Fault(
        "X21",
        "the line stays open without an end sentinel",
        always(holds=True, no_end=True),
        (exactly(1, 0), within(lambda pace: pace.endless_end)),
        forms=(STREAM, UNARY),
    ),
    Fault(
        "X22",
        "a limit for an hour",
        always(error="rate_limit", headers=(("retry-after", "3600"),)),
        (exactly(1, 1), answered_by("fallback")),
    ),
    Fault(
        "X23",
        "an orderly end amid the answer, as of a proxy",
        always(cut_at=300, orderly=True),
        (tries(4), answered_by("fallback")),
    ),
    Fault(
        "X24",
        "cut by a reset",
        always(cut_after=AFTER_40, abrupt=True),
        (tries(4), answered_by("fallback")),
    ),
    Fault(
        "X25",
        "the model is gone",
        error("not_found"),
        (exactly(1, 1), answered_by("fallback"), failures("model_gone")),
    ),
    Fault(
        "X26",
        "filtered amid the answer",
        lambda _pace: (Play(replace(SIXTY, finish="content_filter")),),
        (
            exactly(1, 0),
            Check(
                "told as filtered, in the vendor's word",
                lambda seen, _pair, _pace: not seen.reason and seen.vendor_finish_reason == "content_filter",
            ),
        ),
        answers=False,
    ),
)

# What is no fault is not taken for one.
NO_FAULTS = (
    Fault("N01", "nothing is wrong", always(), (exactly(1, 0),)),
    Fault(
        "N02",
        "slow and steady, for longer than any silence may be",
        lambda pace: (replace(WELL, pause=pace.steady),),
        (exactly(1, 0),),
        forms=(STREAM, UNARY),
    ),
)

ALL = (*FAULTS, *MORE, *NO_FAULTS)
