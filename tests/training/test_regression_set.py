"""The regression set: prompts of all intents that were written apart from the training examples, and stay apart."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from muxer_grpc.domain.decision import Classification
from muxer_grpc.domain.tasks import Intent
from muxer_grpc.training.measures import accuracy, calibration_error, rank_correlation
from muxer_grpc.training.rows import Row, regression_rows, written_rows
from tests.unit.classifying import classify
from tests.unit.test_routing import asked

ROWS = regression_rows(Path(__file__).parents[1] / "regression")
LOOKALIKES = "safe_lookalikes"
INTENT_ROWS = [row for row in ROWS if row.source != LOOKALIKES]


@pytest.fixture(scope="module")
def told() -> dict[str, Classification]:
    return {row.id: classify(asked(row.prompt)) for row in ROWS}


def right(rows: list[Row], told: dict[str, Classification]) -> float:
    return accuracy([told[row.id].intent.value for row in rows], [str(row.label) for row in rows])


def test_nine_in_ten_prompts_of_the_seven_intents_are_told_right(told: dict[str, Classification]) -> None:
    assert right(INTENT_ROWS, told) >= 0.90


@pytest.mark.parametrize("intent", Intent)
def test_each_intent_is_told_right_in_most_of_its_prompts(intent: Intent, told: dict[str, Classification]) -> None:
    assert right([row for row in INTENT_ROWS if row.label == intent.value], told) >= 0.80


def test_most_safe_prompts_that_look_dangerous_raise_no_alarm(told: dict[str, Classification]) -> None:
    rows = [row for row in ROWS if row.source == LOOKALIKES]
    alarms = [row for row in rows if told[row.id].intent is Intent.SAFETY_RISK]
    assert len(alarms) / len(rows) <= 0.30


def test_the_confidence_is_what_it_says(told: dict[str, Classification]) -> None:
    confidence = [told[row.id].confidence for row in INTENT_ROWS]
    hits = [told[row.id].intent.value == row.label for row in INTENT_ROWS]
    assert calibration_error(confidence, hits) <= 0.04


def test_the_complexity_follows_the_difficulty_that_people_judged(told: dict[str, Classification]) -> None:
    rows = [row for row in ROWS if row.difficulty is not None]
    judged = [row.difficulty or 0.0 for row in rows]
    assert rank_correlation([told[row.id].complexity for row in rows], judged) >= 0.45


def test_the_set_holds_a_hundred_prompts_of_each_intent_in_several_languages() -> None:
    sizes = Counter(row.label for row in INTENT_ROWS)
    assert all(sizes[intent.value] >= 100 for intent in Intent), sizes
    for intent in Intent:
        languages = {row.language for row in INTENT_ROWS if row.label == intent.value}
        assert len(languages) >= 3, (intent, languages)


def plain(prompt: str) -> str:
    return " ".join(re.findall(r"\w+", prompt.lower()))


def test_no_prompt_of_the_set_is_a_training_example() -> None:
    trained_on = {plain(row.prompt) for row in written_rows()}
    assert [row.id for row in ROWS if plain(row.prompt) in trained_on] == []


def test_ids_of_the_set_are_unique() -> None:
    assert max(Counter(row.id for row in ROWS).values()) == 1
