"""A judge settles doubts, and leaves the classification as it was whenever it cannot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

import pytest

from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.completion import ProviderEvent, ProviderRequest, TextDelta
from muxer_grpc.domain.decision import Signal
from muxer_grpc.domain.errors import DeadlineExceeded, Draining, FailureClass, ProviderFailure
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.pipeline import judge as judge_module
from muxer_grpc.pipeline.allowance import HOUR
from muxer_grpc.pipeline.judge import JUDGE_CONFIDENCE, REST_SECONDS, JudgeRules
from muxer_grpc.pipeline.time_limit import TimeLimit
from tests.rpc.service import play
from tests.unit.judging import DOUBT, VERDICT, Court, gated, saying, until

SECRET = "my-secret-prompt-31415"


async def test_a_verdict_changes_the_classification_and_says_so() -> None:
    court = Court(play(*saying(VERDICT)))
    settled = await court.settle()
    assert (settled.intent, settled.complexity, settled.difficulty) == (Intent.DEEP_REASON, 0.9, 0.9)
    assert (settled.confidence, settled.settled) == (JUDGE_CONFIDENCE, True)
    assert settled.signals == (Signal("judge", 1.0), *DOUBT.signals)
    assert settled.classifier_version == "rules-1+acme/judge"
    assert (settled.capabilities, settled.gain) == (DOUBT.capabilities, DOUBT.gain)


@pytest.mark.parametrize(
    ("confidence", "doubted"), [(0.0, True), (0.39, True), (0.4, False), (0.41, False), (1.0, False)]
)
def test_only_what_is_below_the_low_threshold_is_doubted(confidence: float, doubted: bool) -> None:
    court = Court(play())
    assert court.judge.doubts(DOUBT._replace(confidence=confidence)) is doubted


def test_a_suspected_risk_is_never_doubted_since_its_text_could_talk_the_judge_out_of_it() -> None:
    assert not Court(play()).judge.doubts(DOUBT._replace(intent=Intent.SAFETY_RISK, confidence=0.0))


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "deep_reason",
        "null",
        "[]",
        '"deep_reason"',
        "{}",
        '{"intent": "deep_reason"}',
        '{"complexity": 0.5}',
        '{"intent": "poetry", "complexity": 0.5}',
        '{"intent": ["deep_reason"], "complexity": 0.5}',
        '{"intent": null, "complexity": 0.5}',
        '{"intent": "deep_reason", "complexity": "0.5"}',
        '{"intent": "deep_reason", "complexity": true}',
        '{"intent": "deep_reason", "complexity": NaN}',
        '{"intent": "deep_reason", "complexity": Infinity}',
        '{"intent": "deep_reason", "complexity": -0.01}',
        '{"intent": "deep_reason", "complexity": 7}',
        '{"intent": "deep_reason", "complexity": 1' + "0" * 400 + "}",
        '{"intent": "deep_reason", "complexity": 1' + "0" * 5_000 + "}",
        f"{VERDICT} {VERDICT}",
        VERDICT[:-1],
        "[" * 100_000,
    ],
)
async def test_an_answer_that_is_no_verdict_leaves_the_classification_and_is_not_kept(answer: str) -> None:
    court = Court(play(*saying(answer)))
    assert await court.settle() == DOUBT
    court.provider.script = play(*saying(VERDICT))
    assert (await court.settle()).intent is Intent.DEEP_REASON
    assert court.questions == 2


@pytest.mark.parametrize("complexity", ["0", "1", "0.0", "1.0", "5e-1"])
async def test_every_complexity_from_0_to_1_is_taken(complexity: str) -> None:
    court = Court(play(*saying(f' {{"intent": "translation", "complexity": {complexity}}}\n')))
    assert (await court.settle()).complexity == float(complexity)


@pytest.mark.parametrize("failure_class", FailureClass, ids=lambda each: each.value)
async def test_a_failure_of_the_provider_leaves_the_classification(failure_class: FailureClass) -> None:
    court = Court(play(ProviderFailure(failure_class, "it broke")))
    assert await court.settle() == DOUBT


async def test_an_answer_that_broke_off_is_no_verdict_even_where_it_reads_as_one() -> None:
    court = Court(play(TextDelta(VERDICT), ProviderFailure(FailureClass.TRANSIENT, "cut")))
    assert await court.settle() == DOUBT


async def test_a_defect_of_an_adapter_leaves_the_classification() -> None:
    court = Court(play(RuntimeError("a defect")))
    assert await court.settle() == DOUBT


async def test_a_judge_that_is_late_leaves_the_classification_and_its_call_is_ended() -> None:
    court = Court(play(asyncio.Event()), JudgeRules(timeout_seconds=0.01))
    assert await court.settle() == DOUBT
    assert (court.questions, court.provider.open) == (1, 0)


async def test_a_judge_takes_a_part_of_the_time_that_the_caller_has_and_not_all_of_it() -> None:
    court = Court(play(asyncio.Event()))
    limit = TimeLimit(asyncio.get_running_loop().time() + 1.2)
    assert await court.settle(limit=limit) == DOUBT
    assert (court.questions, court.provider.open) == (1, 0)


async def test_a_judge_is_not_asked_when_the_caller_has_no_time_for_it() -> None:
    court = Court(play(*saying(VERDICT)))
    assert await court.settle(limit=TimeLimit(asyncio.get_running_loop().time() + 0.1)) == DOUBT
    assert court.questions == 0


@pytest.mark.parametrize(
    ("asked_to_wait", "rest"), [(None, REST_SECONDS), (1.0, REST_SECONDS), (60.0, 60.0), (1e9, HOUR)]
)
async def test_after_a_failure_nobody_is_asked_for_a_while(asked_to_wait: float | None, rest: float) -> None:
    court = Court(play(ProviderFailure(FailureClass.RATE_LIMIT, "slow down", retry_after_seconds=asked_to_wait)))
    await court.settle()
    court.provider.script = play(*saying(VERDICT))
    court.clock.at += rest - 0.01
    assert await court.settle("another") == DOUBT
    assert court.questions == 1
    court.clock.at += 0.01
    assert (await court.settle("another")).intent is Intent.DEEP_REASON


async def test_what_was_settled_before_a_failure_stays_settled() -> None:
    court = Court(play(*saying(VERDICT)))
    await court.settle("known")
    court.provider.script = play(ProviderFailure(FailureClass.OVERLOAD, "busy"))
    await court.settle("new")
    assert (await court.settle("known")).intent is Intent.DEEP_REASON


async def test_equal_prompts_are_asked_once() -> None:
    court = Court(play(*saying(VERDICT)))
    assert await court.settle("same") == await court.settle("same")
    assert court.questions == 1
    await court.settle("other")
    assert court.questions == 2


async def test_equal_prompts_at_once_share_one_question_and_count_as_one_verdict() -> None:
    gate = asyncio.Event()
    court = Court(gated(gate))
    callers = [court.begin("same") for _ in range(50)]
    await until(lambda: court.questions == 1)
    gate.set()
    assert {caller.intent for caller in await asyncio.gather(*callers)} == {Intent.DEEP_REASON}
    once = Thresholds()
    once.record(DOUBT.intent, DOUBT.confidence, right=False)
    assert (court.questions, court.thresholds.low(DOUBT.intent)) == (1, once.low(DOUBT.intent))


async def test_only_so_many_verdicts_are_kept_the_latest_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge_module, "MAX_VERDICTS", 2)
    court = Court(play(*saying(VERDICT)))
    for text in ("a", "b", "c", "c", "b"):
        await court.settle(text)
    assert court.questions == 3
    await court.settle("a")
    assert court.questions == 4


@pytest.mark.parametrize("intent", ["chat_lite", "code_gen"])
async def test_a_verdict_is_feedback_on_the_intent_that_was_doubted(intent: str) -> None:
    court = Court(play(*saying(f'{{"intent": "{intent}", "complexity": 0.5}}')))
    await court.settle()
    await court.settle()
    expected = Thresholds()
    expected.record(Intent.CHAT_LITE, DOUBT.confidence, right=intent == "chat_lite")
    for each in Intent:
        assert court.thresholds.low(each) == expected.low(each)
    assert (court.thresholds.low(Intent.CHAT_LITE) < 0.4) == (intent == "chat_lite")


async def test_feedback_moves_what_is_doubted() -> None:
    court = Court(play(*saying(VERDICT)))
    sure_enough = DOUBT._replace(confidence=0.45)
    assert not court.judge.doubts(sure_enough)
    for number in range(60):
        await court.settle(f"prompt {number}")
    assert court.judge.doubts(sure_enough)
    assert not court.judge.doubts(sure_enough._replace(intent=Intent.CODE_GEN))


@pytest.mark.parametrize("answer", ["no verdict", None])
async def test_no_verdict_is_no_feedback(answer: str | None) -> None:
    court = Court(play(*saying(answer)) if answer else play(ProviderFailure(FailureClass.OVERLOAD, "busy")))
    await court.settle()
    assert court.thresholds.low(DOUBT.intent) == Thresholds().low(DOUBT.intent)


async def test_a_cancelled_caller_ends_its_question_before_it_leaves() -> None:
    court = Court(play(asyncio.Event()))
    before = asyncio.all_tasks()
    caller = court.begin()
    await until(lambda: court.provider.open == 1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert court.provider.open == 0
    assert asyncio.all_tasks() == before


async def test_a_cancelled_caller_leaves_the_question_to_the_others_who_wait_for_it() -> None:
    gate = asyncio.Event()
    court = Court(gated(gate))
    first, second = court.begin(), court.begin()
    await until(lambda: court.provider.open == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert court.provider.open == 1
    gate.set()
    assert (await second).intent is Intent.DEEP_REASON
    assert (court.questions, court.provider.open) == (1, 0)


async def test_after_a_cancelled_question_the_same_prompt_can_be_asked_again() -> None:
    court = Court(play(asyncio.Event()))
    caller = court.begin()
    await until(lambda: court.provider.open == 1)
    caller.cancel()
    await asyncio.wait([caller])
    court.provider.script = play(*saying(VERDICT))
    assert (await court.settle()).intent is Intent.DEEP_REASON


async def test_a_prompt_that_comes_while_a_cancelled_question_unwinds_is_asked_anew() -> None:
    unwinding, gate = asyncio.Event(), asyncio.Event()
    court = Court(play())

    async def slow_to_leave(_request: ProviderRequest) -> AsyncGenerator[ProviderEvent, None]:
        try:
            await asyncio.Event().wait()
            yield TextDelta("")
        finally:
            unwinding.set()
            await gate.wait()

    court.provider.script = slow_to_leave
    caller = court.begin()
    await until(lambda: court.provider.open == 1)
    caller.cancel()
    await unwinding.wait()
    court.provider.script = play(*saying(VERDICT))
    assert (await court.settle()).intent is Intent.DEEP_REASON
    gate.set()
    await asyncio.wait([caller])
    assert caller.cancelled()
    assert court.provider.open == 0


async def test_a_call_that_is_ended_from_outside_ends_its_question() -> None:
    court = Court(play(asyncio.Event()))
    limit = TimeLimit(asyncio.get_running_loop().time() + 300)
    caller = asyncio.create_task(court.settle(limit=limit))
    await until(lambda: court.provider.open == 1)
    limit.end(Draining("the process is shutting down"))
    with pytest.raises(Draining):
        await caller
    assert court.provider.open == 0


async def test_a_call_that_is_over_asks_nobody() -> None:
    court = Court(play(*saying(VERDICT)))
    limit = TimeLimit(asyncio.get_running_loop().time() + 300)
    limit.end(DeadlineExceeded("over"))
    with pytest.raises(DeadlineExceeded):
        await court.settle(limit=limit)
    assert court.questions == 0


@pytest.mark.parametrize("ending", ["verdict", "no verdict", "failure", "defect", "late"])
async def test_no_prompt_is_logged(caplog: pytest.LogCaptureFixture, ending: str) -> None:
    scripts = {
        "verdict": play(*saying(VERDICT)),
        "no verdict": play(*saying(f"you said {SECRET}")),
        "failure": play(ProviderFailure(FailureClass.CALLER_FAULT, f"you said {SECRET}")),
        "defect": play(RuntimeError("a defect")),
        "late": play(asyncio.Event()),
    }
    court = Court(scripts[ending], JudgeRules(timeout_seconds=0.01 if ending == "late" else 30.0))
    with caplog.at_level(logging.DEBUG):
        await court.settle(f"{SECRET} and more")
    assert court.questions == 1
    assert SECRET not in caplog.text
    assert bool(caplog.records) == (ending in {"failure", "defect", "late"})
