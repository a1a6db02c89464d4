"""Attempts one after another, whatever is played: an answer that ends well is the whole answer."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from muxer_grpc.domain.completion import ProviderRequest, TextDelta
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.routing.policy import StreamRecovery
from tests.unit.chained import RULES, Chain, Stage, Step, continued_text, failing, saying

FULL = "The quick brown fox jumps over the lazy dog."


def part(length: int, failure_class: FailureClass | None) -> object:
    """Plays a part of the full answer, from where it is continued, and its end: a failure, or the rest and success."""

    def play(request: ProviderRequest) -> list[Step]:
        begun = continued_text(request)
        rest = FULL.removeprefix(begun)
        if failure_class is None:
            return saying(rest[:length], rest[length:])
        return [TextDelta(piece) for piece in (rest[:length],) if piece] + [failing(failure_class)]

    return play


PARTS = st.builds(part, st.integers(0, len(FULL)), st.none() | st.sampled_from(list(FailureClass)))


@settings(deadline=None)
@given(
    st.lists(PARTS, min_size=1, max_size=3),
    st.lists(PARTS, min_size=1, max_size=3),
    st.lists(PARTS, min_size=1, max_size=3),
    st.sampled_from(StreamRecovery),
    st.booleans(),
)
def test_an_answer_that_ends_well_is_the_whole_answer(
    one: list[object], two: list[object], three: list[object], recovery: StreamRecovery, stream: bool
) -> None:
    async def run() -> None:
        plays = {"a/one": one, "b/two": two, "c/three": three}
        chain = Chain(Stage(plays), recovery=recovery, stream=stream)  # type: ignore[arg-type]
        try:
            await chain.run()
        except ProviderFailure as failure:
            assert failure is chain.chain.first_failure
            assert all(attempt.failure is not None for attempt in chain.chain.attempts)
        else:
            assert chain.text == FULL
            assert chain.chain.attempts[-1].finished is not None
        assert len(chain.stage.asked) <= RULES.most_attempts + 3
        assert chain.stage.open == 0

    asyncio.run(run())
