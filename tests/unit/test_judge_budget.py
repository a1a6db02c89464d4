"""What a judge may spend in an hour is never exceeded, whatever comes at once and however its calls end."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.completion import TextDelta
from muxer_grpc.domain.errors import FailureClass, ProviderFailure
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.pipeline.allowance import HOUR, HourlyAllowance, Taken
from muxer_grpc.pipeline.judge import JudgeRules
from tests.rpc.service import Clock, model, play
from tests.unit.judging import DOUBT, PRICED, USAGE, VERDICT, Court, gated, price_of, saying, until

MOST, COST = price_of(PRICED)


def rules(budget: int) -> JudgeRules:
    return JudgeRules(timeout_seconds=30.0, budget_nano_usd_per_hour=budget)


def test_more_is_taken_for_a_question_than_it_costs() -> None:
    assert 0 < COST < MOST


async def test_what_an_answer_cost_is_booked() -> None:
    court = Court(play(*saying(VERDICT)))
    await court.settle("prompt 1")
    await court.settle("prompt 2")
    assert court.judge.spent_nano_usd == 2 * COST


async def test_questions_at_once_cannot_exceed_the_budget_together() -> None:
    gate = asyncio.Event()
    court = Court(gated(gate), rules(3 * MOST))
    callers = [court.begin(f"prompt {number}") for number in range(10)]
    await until(lambda: court.questions == 3 and sum(caller.done() for caller in callers) == 7)
    assert court.judge.spent_nano_usd == 3 * MOST
    gate.set()
    settled = await asyncio.gather(*callers)
    assert sum(each == DOUBT for each in settled) == 7
    assert (court.questions, court.judge.spent_nano_usd) == (3, 3 * COST)


async def test_the_budget_ends_the_questions_and_the_next_hour_brings_them_back() -> None:
    court = Court(play(*saying(VERDICT)), rules(MOST + 2 * COST))
    court.clock.at = 100 * HOUR
    settled = [await court.settle(f"prompt {number}") for number in range(6)]
    assert [each.intent is Intent.DEEP_REASON for each in settled] == [True] * 3 + [False] * 3
    assert court.judge.spent_nano_usd == 3 * COST
    court.clock.at = 101 * HOUR - 0.001
    assert await court.settle("prompt 7") == DOUBT
    court.clock.at = 101 * HOUR
    assert (await court.settle("prompt 7")).intent is Intent.DEEP_REASON
    assert court.judge.spent_nano_usd == COST


async def test_a_verdict_that_is_known_needs_no_budget() -> None:
    court = Court(play(*saying(VERDICT)), rules(MOST))
    await court.settle("prompt 1")
    assert await court.settle("prompt 2") == DOUBT
    assert (await court.settle("prompt 1")).intent is Intent.DEEP_REASON


async def test_without_a_budget_a_priced_model_is_never_asked_and_a_free_one_is() -> None:
    priced = Court(play(*saying(VERDICT)), rules(0))
    free = Court(play(*saying(VERDICT)), rules(0), model("acme/judge", Tier.ECONOMY, "0", "0"))
    assert await priced.settle() == DOUBT
    assert (await free.settle()).intent is Intent.DEEP_REASON
    assert (priced.questions, free.questions) == (0, 1)


def test_a_model_without_a_price_is_refused() -> None:
    with pytest.raises(ValueError, match="acme/judge has no price"):
        Court(play(), judge_model=model("acme/judge", Tier.ECONOMY, price=None))


@pytest.mark.parametrize(
    "failure_class", [FailureClass.RATE_LIMIT, FailureClass.OVERLOAD, FailureClass.CREDENTIAL, FailureClass.TRANSIENT]
)
async def test_a_call_that_was_refused_costs_nothing(failure_class: FailureClass) -> None:
    court = Court(play(ProviderFailure(failure_class, "no")))
    await court.settle()
    assert court.judge.spent_nano_usd == 0


@pytest.mark.parametrize("ending", ["late", "timeout", "protocol", "cut", "defect", "cancelled"])
async def test_a_call_that_may_have_been_billed_counts_as_the_most_that_it_can_cost(ending: str) -> None:
    scripts = {
        "late": play(asyncio.Event()),
        "timeout": play(ProviderFailure(FailureClass.TIMEOUT, "silence")),
        "protocol": play(ProviderFailure(FailureClass.PROTOCOL, "no JSON")),
        "cut": play(TextDelta("{"), ProviderFailure(FailureClass.TRANSIENT, "cut")),
        "defect": play(RuntimeError("a defect")),
        "cancelled": play(asyncio.Event()),
    }
    court = Court(scripts[ending], JudgeRules(timeout_seconds=0.01 if ending == "late" else 30.0))
    caller = court.begin()
    if ending == "cancelled":
        await until(lambda: court.provider.open == 1)
        caller.cancel()
    await asyncio.wait([caller])
    assert court.judge.spent_nano_usd == MOST


async def test_an_answer_that_fails_after_its_usage_costs_what_it_said() -> None:
    said = next(event for event in saying("{") if not isinstance(event, TextDelta))
    court = Court(play(TextDelta("{"), said, ProviderFailure(FailureClass.TRANSIENT, "cut")))
    await court.settle()
    assert court.judge.spent_nano_usd == COST


async def test_a_question_that_ends_in_the_next_hour_takes_nothing_from_it() -> None:
    gate = asyncio.Event()
    court = Court(gated(gate), rules(2 * MOST))
    caller = court.begin("prompt 1")
    await until(lambda: court.provider.open == 1)
    court.clock.at += HOUR
    other = court.begin("prompt 2")
    await until(lambda: court.provider.open == 2)
    assert court.judge.spent_nano_usd == MOST
    gate.set()
    await asyncio.gather(caller, other)
    assert court.judge.spent_nano_usd == COST


@given(
    st.integers(0, 1_000),
    st.lists(
        st.tuples(st.integers(0, 300), st.floats(0, 1), st.integers(0, 2 * int(HOUR)), st.booleans()), max_size=60
    ),
)
def test_no_order_of_calls_spends_more_in_an_hour_than_its_bound(
    bound: int, calls: list[tuple[int, float, int, bool]]
) -> None:
    clock = Clock()
    allowance = HourlyAllowance(bound, clock)
    open_calls: list[tuple[Taken, int]] = []
    spent: dict[int, int] = {}

    def settle() -> None:
        taken, cost = open_calls.pop(0)
        allowance.settle(taken, cost)
        spent[taken.hour] = spent.get(taken.hour, 0) + cost

    for most, share, passes, settle_one in calls:
        clock.at += passes if settle_one else 0
        taken = allowance.take(most)
        if taken is not None:
            open_calls.append((taken, int(most * share)))
        if settle_one and open_calls:
            settle()
        assert 0 <= allowance.spent_nano_usd <= bound
    while open_calls:
        settle()
    assert all(amount <= bound for amount in spent.values())


def test_costs_are_exact() -> None:
    price = PRICED.price
    assert price == Price.from_usd_per_million("1", "2")
    assert USAGE.input_tokens * 1_000 + USAGE.output_tokens * 2_000 == COST
