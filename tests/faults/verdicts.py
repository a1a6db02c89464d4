"""How well a fault was survived: pass, partial, safe or fail, by what must hold and what should."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from muxer_client.errors import BY_REASON

from tests.faults.pace import Pace
from tests.faults.seen import FULL_TEXT, SIXTY, Pair, Seen

# Prices of the two models, in nano-USD per token of input and output.
PRICES = {"p": (1_000, 2_000), "f": (3_000, 4_000)}


class Verdict(Enum):
    """PASS: the full answer, and all that should hold. PARTIAL: the full answer, not all of that. SAFE: no answer, but
    one clear error in time. FAIL: a hang, a cut presented as success, or something that must hold does not.
    """

    PASS = "pass"
    PARTIAL = "partial"
    SAFE = "safe"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """Something that must hold, or should, of what was seen."""

    name: str
    holds: Callable[[Seen, Pair, Pace], bool]


@dataclass
class Judged:
    """A verdict, and what speaks against a better one."""

    verdict: Verdict
    against: list[str] = field(default_factory=list)


def tries(most: int, *, of_fallback: bool = False, until: Callable[[Pace], float] | None = None) -> Check:
    """Holds where calls reached a model at most so often, in all or until a time."""

    def holds(seen: Seen, _pair: Pair, pace: Pace) -> bool:
        times = seen.fallback if of_fallback else seen.primary
        return sum(at <= (float("inf") if until is None else until(pace)) for at in times) <= most

    who = "fallback" if of_fallback else "primary"
    return Check(f"at most {most} tries of the {who}{'' if until is None else ' at first'}", holds)


def exactly(primary: int, fallback: int) -> Check:
    """Holds where calls reached the two models exactly so often."""
    return Check(
        f"{primary} tries of the primary and {fallback} of the fallback",
        lambda seen, _pair, _pace: (len(seen.primary), len(seen.fallback)) == (primary, fallback),
    )


def answered_by(who: str) -> Check:
    """Holds where the answer, and its model, are told to be the `primary` or the `fallback`."""

    def holds(seen: Seen, pair: Pair, _pace: Pace) -> bool:
        model = getattr(pair, who)
        return seen.selected_model == f"{model}/{model}" and seen.reported_model == f"{model}-001"

    return Check(f"answered by the {who}", holds)


def within(bound: Callable[[Pace], float]) -> Check:
    """Holds where it took no longer."""
    return Check("in time", lambda seen, _pair, pace: seen.seconds <= bound(pace))


def refused(*reasons: str) -> Check:
    """Holds where the caller is told one of these reasons."""
    return Check(f"told as {' or '.join(reasons)}", lambda seen, _pair, _pace: seen.reason in reasons)


def failed_as(primary: str, fallback: str) -> Check:
    """Holds where all attempts are told to have failed in a model's own way, however often it was asked."""

    def holds(seen: Seen, pair: Pair, _pace: Pace) -> bool:
        ways = {pair.primary: primary, pair.fallback: fallback}
        return bool(seen.attempts) and all(attempt.failure == ways[attempt.model] for attempt in seen.attempts)

    return Check(f"told as {primary} and {fallback}", holds)


def failures(*expected: str) -> Check:
    """Holds where the attempts failed in these ways, one after the other."""
    return Check(
        f"attempts told as {', '.join(expected)}",
        lambda seen, _pair, _pace: [a.failure for a in seen.attempts if not a.complete] == list(expected),
    )


def _counts(seen: Seen, _pair: Pair, _pace: Pace) -> bool:
    """The attempt that answered is counted as its provider counted it."""
    last = seen.attempts[-1] if seen.attempts else None
    if last is None or not last.complete:
        return not seen.complete
    return (last.input_tokens, last.output_tokens) == (SIXTY.counts.fresh_input, SIXTY.counts.output)


def _costs(seen: Seen, pair: Pair, _pace: Pace) -> bool:
    """Each attempt costs what its tokens cost at its own model, and all together are the cost."""
    for attempt in seen.attempts:
        per_input, per_output = PRICES["p" if attempt.model == pair.primary else "f"]
        if attempt.cost != attempt.input_tokens * per_input + attempt.output_tokens * per_output:
            return False
    return seen.cost == sum(attempt.cost for attempt in seen.attempts)


def _nothing_for_nothing(seen: Seen, _pair: Pair, _pace: Pace) -> bool:
    """An attempt that was refused by its provider costs nothing."""
    return all(attempt.cost == 0 for attempt in seen.attempts if attempt.http_status >= 400)


def _told_all(seen: Seen, pair: Pair, _pace: Pace) -> bool:
    """Each call that reached a model is an attempt of the reply; of an error, the client may have asked again."""
    told = [attempt.model for attempt in seen.attempts]
    counts = {pair.primary: len(seen.primary), pair.fallback: len(seen.fallback)}
    return not seen.complete or all(told.count(model) >= count for model, count in counts.items())


# What must hold whatever the fault.
ALWAYS = (
    Check("the provider's counts are reported", _counts),
    Check("costs add up", _costs),
    Check("refused attempts cost nothing", _nothing_for_nothing),
    Check("every attempt is told", _told_all),
)


def judged(
    seen: Seen,
    pair: Pair,
    pace: Pace,
    *,
    required: Sequence[Check],
    advisory: Sequence[Check] = (),
    answers: bool = True,
) -> Judged:
    """Gives the verdict. With `answers` False, one clear error that keeps what must hold is the best there is."""
    broken = [check.name for check in (*ALWAYS, *required) if not check.holds(seen, pair, pace)]
    if seen.reason == "DEADLINE_EXCEEDED":
        return Judged(Verdict.FAIL, ["a hang", *broken])
    if seen.complete and seen.text != FULL_TEXT:
        return Judged(Verdict.FAIL, ["a cut presented as success", *broken])
    if seen.reason and seen.reason not in BY_REASON:
        return Judged(Verdict.FAIL, [f"an error without a reason: {seen.reason}", *broken])
    if broken:
        return Judged(Verdict.FAIL, broken)
    if not answers:
        return Judged(Verdict.PASS if not seen.complete else Verdict.FAIL)
    if not seen.complete:
        return Judged(Verdict.SAFE, [f"no answer: {seen.reason}"])
    missing = [check.name for check in advisory if not check.holds(seen, pair, pace)]
    return Judged(Verdict.PARTIAL if missing else Verdict.PASS, missing)
