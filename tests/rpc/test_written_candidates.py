"""Candidates that are written straight into wire format say what their messages would say."""

from __future__ import annotations

import pytest
from muxer.v1 import routing_pb2

from muxer_grpc.domain.catalogue import Model, Tier
from muxer_grpc.domain.decision import Candidate, Factor
from muxer_grpc.rpc.enums import TIERS
from muxer_grpc.rpc.replies import duration_message
from muxer_grpc.rpc.written import varint
from muxer_grpc.rpc.written_candidates import written_candidates

CANDIDATES = {
    "usual": Candidate(
        Model("acme/small", "acme", "small", Tier.ECONOMY, 8_000, 1_000),
        0.75,
        (Factor("quality", 0.5, 0.625), Factor("cost", 1.0, 0.375)),
        1_234_567,
        0.61,
        1.36,
        27,
        160,
    ),
    "nothing known": Candidate(Model("a/b", "a", "b", Tier.BALANCED, 0, 0), 0.0, (), 0, 0.0, 0.0, 0, 0),
    "large": Candidate(
        Model(f"acme/{'long-' * 60}ü", "acme", "long", Tier.PREMIUM, 0, 0),
        1.0,
        tuple(Factor(f"{'factor-' * 20}{number}", 1 / 3, 0.0) for number in range(9)),
        2**62,
        1.0,
        299.999_999_999,
        2_000_000,
        16_384,
    ),
}


def message_of(candidate: Candidate) -> routing_pb2.Candidate:
    return routing_pb2.Candidate(
        model=candidate.model.name,
        provider=candidate.model.provider,
        tier=TIERS[candidate.model.tier],  # type: ignore[arg-type]
        score=candidate.score,
        factors=[routing_pb2.ScoreFactor(name=f.name, value=f.value, weight=f.weight) for f in candidate.factors],
        estimated_cost_nano_usd=candidate.estimated_cost_nano_usd,
        expected_quality=candidate.expected_quality,
        estimated_latency=duration_message(candidate.estimated_latency_seconds),
        estimated_input_tokens=candidate.estimated_input_tokens,
        estimated_output_tokens=candidate.estimated_output_tokens,
    )


def test_candidates_read_back_are_those_that_were_written() -> None:
    candidates = list(CANDIDATES.values())
    told = routing_pb2.RouteDecision.FromString(written_candidates(candidates))
    assert told == routing_pb2.RouteDecision(candidates=[message_of(each) for each in candidates])


@pytest.mark.parametrize("number", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 2**63 - 1])
def test_a_number_is_written_as_a_message_writes_it(number: int) -> None:
    message = routing_pb2.Candidate(estimated_cost_nano_usd=number)
    assert message.SerializeToString() in (b"\x30" + varint(number), b"")
    assert routing_pb2.Candidate.FromString(b"\x30" + varint(number)) == message
