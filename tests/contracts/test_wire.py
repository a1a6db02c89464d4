"""Streams with the fields and habits of each vendor (see tests/wire/README.md) are read as what they say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muxer_grpc.domain.completion import FinishReason, ReasoningDelta
from muxer_grpc.domain.money import Usage, UsageSource
from muxer_grpc.domain.ports import Provider
from tests.contracts.cases import CASES, Case, heard, request_of
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider

WIRE = Path(__file__).parents[1] / "wire"


@dataclass(frozen=True)
class Said:
    """What a stream must be read as; calls are (id, name, arguments)."""

    model: str
    usage: Usage
    finish: FinishReason
    text: str = ""
    reasoning: str = ""
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = ()
    signature: str = ""


def counted(fresh: int, cached: int, written: int, output: int, reasoning: int) -> Usage:
    return Usage(
        input_tokens=fresh,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=reasoning,
        source=UsageSource.PROVIDER,
    )


SAID = {
    "openai": Said("gpt-x-2026-01-01", counted(76, 1024, 0, 10, 64), FinishReason.STOP, "Grüß Gott."),
    "mistral": Said(
        "magistral-x",
        counted(90, 0, 0, 30, 0),
        FinishReason.TOOL_CALLS,
        "I look.",
        "The weather is asked.",
        (("D681PevKs", "look", {"city": "Paris"}),),
    ),
    "xai": Said("grok-x", counted(32, 8, 0, 2, 300), FinishReason.STOP, "Yes.", "Short question."),
    "litellm": Said("proxied-x", counted(10, 20, 30, 16, 0), FinishReason.LENGTH, "Fine by proxy"),
    "compatible": Said(
        "served-x",
        counted(50, 0, 0, 18, 0),
        FinishReason.TOOL_CALLS,
        calls=(("call_1", "look", {"city": "Rome"}),),
    ),
    "anthropic": Said(
        "claude-x-20260101",
        counted(12, 1000, 200, 95, 0),
        FinishReason.TOOL_CALLS,
        "One moment.",
        "Two cities, two calls.",
        (("toolu_1", "look", {"city": "Oslo"}), ("toolu_2", "look", {"city": "Bern"})),
        "c2lnbmVk",
    ),
    "ollama": Said(
        "qwen-x",
        counted(169, 0, 0, 22, 0),
        FinishReason.TOOL_CALLS,
        "I ask.",
        "Rain or sun?",
        (("call_o", "look", {"city": "Toronto"}),),
    ),
}


def test_every_provider_has_a_stream() -> None:
    assert set(SAID) == set(CASES) == {path.stem for path in WIRE.iterdir() if path.suffix != ".md"}


async def test_a_stream_with_the_vendors_habits_is_read_right(
    case: Case, fake: FakeProvider, provider: Provider
) -> None:
    (path,) = WIRE.glob(f"{case.name}.*")
    fake.script("m1", Play(body=path.read_bytes(), content_type=case.dialect.stream_type))
    answer = await heard(provider, request_of(case.name, stream=True))
    said = SAID[case.name]
    assert answer.reported_models == [said.model]
    assert (answer.text, answer.reasoning) == (said.text, said.reasoning)
    assert tuple((i, name, json.loads(arguments)) for i, name, arguments in answer.calls) == said.calls
    assert (answer.usage, answer.finish.reason) == (said.usage, said.finish)
    assert "".join(e.signature for e in answer.events if isinstance(e, ReasoningDelta)) == said.signature
