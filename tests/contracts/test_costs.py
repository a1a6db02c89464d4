"""From what each vendor reports, in the shape it documents, to what it costs: golden figures, worked out by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from muxer_grpc.domain.money import NO_COST, Cost, Price, Usage, UsageSource, cost_of
from muxer_grpc.providers.model_rows import ModelRow, load_rows
from tests.contracts.cases import CASES, heard, opened, request_of
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider


@dataclass(frozen=True)
class Golden:
    """A vendor's usage, the shipped model (or an operator's row) whose price counts, and what must come of both."""

    vendor: str
    model: str
    reported: dict[str, Any]
    usage: Usage
    cost: Cost
    total_nano: int
    row: ModelRow | None = None

    @property
    def price(self) -> Price:
        row = self.row or next(row for row in load_rows(self.vendor) if row.name == self.model)
        price = row.price()
        assert price is not None
        return price


def counted(**tokens: int) -> Usage:
    return Usage(**tokens, source=UsageSource.PROVIDER)


PROXIED = ModelRow(
    name="claude-by-proxy",
    input_usd_per_million="3",
    output_usd_per_million="15",
    cached_input_usd_per_million="0.3",
    cache_write_usd_per_million="3.75",
    cache_write_1h_usd_per_million="6",
)

GOLDEN = {
    # 2,006 of prompt, of which 1,920 cached; 300 of completion, of which 64 reasoning. gpt-4o: 5 and 15 USD.
    "openai, cached and reasoning": Golden(
        "openai",
        "gpt-4o",
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 64,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        counted(input_tokens=86, cached_input_tokens=1920, output_tokens=236, reasoning_tokens=64),
        # 86 x 5,000,000; 1,920 x 2,500,000; 236 and 64 x 15,000,000.
        Cost(430_000_000, 4_800_000_000, 0, 3_540_000_000, 960_000_000),
        9_730_000,
    ),
    # 272,001 of prompt reach the tier above 272,000: 0.2, 0.02 cached, 0.25 written, 0.75 USD for all of it.
    "openai, a prompt beyond the tier, with cache writes": Golden(
        "openai",
        "gpt-6-luna",
        {
            "prompt_tokens": 272_001,
            "completion_tokens": 1_000,
            "total_tokens": 273_001,
            "prompt_tokens_details": {"cached_tokens": 200_000, "cache_write_tokens": 72_000, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 400},
        },
        counted(
            input_tokens=1,
            cached_input_tokens=200_000,
            cache_write_tokens=72_000,
            output_tokens=600,
            reasoning_tokens=400,
        ),
        Cost(200_000, 4_000_000_000, 18_000_000_000, 450_000_000, 300_000_000),
        22_750_200,
    ),
    # One token less, and all of it is charged at the first prices: 0.1, 0.01, 0.125, 0.5 USD.
    "openai, a prompt that just stays below the tier": Golden(
        "openai",
        "gpt-6-luna",
        {
            "prompt_tokens": 272_000,
            "completion_tokens": 1_000,
            "total_tokens": 273_000,
            "prompt_tokens_details": {"cached_tokens": 200_000, "cache_write_tokens": 72_000, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 400},
        },
        counted(cached_input_tokens=200_000, cache_write_tokens=72_000, output_tokens=600, reasoning_tokens=400),
        Cost(0, 2_000_000_000, 9_000_000_000, 300_000_000, 200_000_000),
        11_500_000,
    ),
    # 248 written, of which 100 for an hour. claude-sonnet-4-6: 3, 15, 0.3 read, 3.75 and 6 written.
    "anthropic, both kinds of cache writes": Golden(
        "anthropic",
        "claude-sonnet-4-6",
        {
            "input_tokens": 2048,
            "cache_read_input_tokens": 1800,
            "cache_creation_input_tokens": 248,
            "output_tokens": 503,
            "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
            "service_tier": "standard",
        },
        counted(
            input_tokens=2048,
            cached_input_tokens=1800,
            cache_write_tokens=148,
            cache_write_1h_tokens=100,
            output_tokens=503,
        ),
        # 148 x 3,750,000 + 100 x 6,000,000 = 1,155,000,000.
        Cost(6_144_000_000, 540_000_000, 1_155_000_000, 7_545_000_000, 0),
        15_384_000,
    ),
    # 100,001 of input in all: 0.5, 0.05 read, 1 written for an hour, 2.5 USD.
    "anthropic, a cached prompt beyond the tier, and thinking": Golden(
        "anthropic",
        "claude-haiku-5-5",
        {
            "input_tokens": 1,
            "cache_read_input_tokens": 90_000,
            "cache_creation_input_tokens": 10_000,
            "output_tokens": 120,
            "output_tokens_details": {"thinking_tokens": 100},
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 10_000},
        },
        counted(
            input_tokens=1,
            cached_input_tokens=90_000,
            cache_write_1h_tokens=10_000,
            output_tokens=20,
            reasoning_tokens=100,
        ),
        Cost(500_000, 4_500_000_000, 10_000_000_000, 50_000_000, 250_000_000),
        14_800_500,
    ),
    # mistral-small: 0.2 and 0.6 USD; a cached token costs as any other, since its row says nothing else.
    "mistral, cached": Golden(
        "mistral",
        "mistral-small",
        {
            "prompt_tokens": 1_013,
            "completion_tokens": 77,
            "total_tokens": 1_090,
            "prompt_tokens_details": {"cached_tokens": 1_000},
        },
        counted(input_tokens=13, cached_input_tokens=1_000, output_tokens=77),
        Cost(2_600_000, 200_000_000, 0, 46_200_000, 0),
        248_800,
    ),
    # Reasoning beside the completion: 125 + 48 + 300 = 473. grok-4.5: 2, 0.3 cached, 6 USD.
    "xai, reasoning beside the completion": Golden(
        "xai",
        "grok-4.5",
        {
            "prompt_tokens": 125,
            "completion_tokens": 48,
            "total_tokens": 473,
            "prompt_tokens_details": {"text_tokens": 125, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 98},
            "completion_tokens_details": {
                "reasoning_tokens": 300,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
            "num_sources_used": 0,
        },
        counted(input_tokens=27, cached_input_tokens=98, output_tokens=48, reasoning_tokens=300),
        Cost(54_000_000, 29_400_000, 0, 288_000_000, 1_800_000_000),
        2_171_400,
    ),
    # From 200,000 on, everything costs double: the tier is written as above 199,999.
    "xai, a prompt of 200,000 tokens": Golden(
        "xai",
        "grok-4.5",
        {
            "prompt_tokens": 200_000,
            "completion_tokens": 10,
            "total_tokens": 200_010,
            "prompt_tokens_details": {"text_tokens": 200_000, "cached_tokens": 150_000},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        counted(input_tokens=50_000, cached_input_tokens=150_000, output_tokens=10),
        Cost(200_000_000_000, 90_000_000_000, 0, 120_000_000, 0),
        290_120_000,
    ),
    # The proxy counts writes within the prompt, and says which of them are for an hour.
    "litellm, another vendor's cache writes": Golden(
        "litellm",
        "claude-by-proxy",
        {
            "completion_tokens": 16,
            "prompt_tokens": 60,
            "total_tokens": 76,
            "completion_tokens_details": None,
            "prompt_tokens_details": {
                "audio_tokens": None,
                "cached_tokens": 20,
                "cache_creation_tokens": 30,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 18, "ephemeral_1h_input_tokens": 12},
            },
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 20,
        },
        counted(
            input_tokens=10, cached_input_tokens=20, cache_write_tokens=18, cache_write_1h_tokens=12, output_tokens=16
        ),
        # 18 x 3,750,000 + 12 x 6,000,000 = 139,500,000.
        Cost(30_000_000, 6_000_000, 139_500_000, 240_000_000, 0),
        415_500,
        row=PROXIED,
    ),
    "ollama, which costs nothing": Golden(
        "ollama",
        "llama3.2",
        {"prompt_eval_count": 26, "eval_count": 298, "eval_duration": 4_799_921_000},
        counted(input_tokens=26, output_tokens=298),
        NO_COST,
        0,
    ),
}


def whole_reply(golden: Golden) -> bytes:
    """Writes a reply of the vendor's around its usage."""
    if golden.vendor == "ollama":
        message = {"role": "assistant", "content": "Hi."}
        reply = {"model": "x", "message": message, "done": True, "done_reason": "stop", **golden.reported}
    elif golden.vendor == "anthropic":
        content = [{"type": "text", "text": "Hi."}]
        kind = {"type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn"}
        reply = {**kind, "content": content, "usage": golden.reported}
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
        reply = {"object": "chat.completion", "model": "x", "choices": [choice], "usage": golden.reported}
    return json.dumps(reply).encode()


@pytest.mark.parametrize("name", GOLDEN)
async def test_what_a_vendor_reports_costs_what_it_should(name: str, fake: FakeProvider) -> None:
    golden = GOLDEN[name]
    fake.script("m1", Play(body=whole_reply(golden), content_type="application/json"))
    async with opened(golden.vendor, fake.url) as provider:
        usage = (await heard(provider, request_of(golden.vendor, stream=False))).usage
    assert usage == golden.usage
    cost = cost_of(usage, golden.price)
    assert cost == golden.cost
    assert cost.total_nano == golden.total_nano


def test_every_vendor_has_a_golden_figure() -> None:
    assert {golden.vendor for golden in GOLDEN.values()} == set(CASES) - {"compatible"}
