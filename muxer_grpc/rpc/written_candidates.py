"""Candidates in wire format, written straight from what they are.

A fresh decision has a candidate for each model that could answer, each with a message for each factor. To build twenty
of them as messages takes as long as to make the decision; to write them here, half of that. The layout is that of
https://protobuf.dev/programming-guides/encoding/; fields are named by their numbers in muxer/v1/routing.proto, and a
test reads them back by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct

from muxer_grpc.domain.catalogue import Model
from muxer_grpc.domain.decision import Candidate
from muxer_grpc.rpc.enums import TIERS
from muxer_grpc.rpc.written import Remembered, field, varint

NANOS = 1_000_000_000

# Of a RouteDecision.
_CANDIDATES = 10
# Tags: the number of a field and its wire type. Of a Candidate:
_TIER, _SCORE, _COST, _QUALITY = b"\x18", b"\x21", b"\x30", b"\x39"
_LATENCY, _INPUT_TOKENS, _OUTPUT_TOKENS = 8, b"\x48", b"\x50"
_MODEL, _PROVIDER, _FACTOR = 1, 2, b"\x2a"
# Of a ScoreFactor: its name, value and weight. Of a Duration: its seconds and nanoseconds.
_NAME, _VALUE, _WEIGHT = 1, b"\x11", b"\x19"
_SECONDS, _NANOS = b"\x08", b"\x10"
_BYTES_OF_TWO_DOUBLES = 18


def written_candidates(candidates: Sequence[Candidate]) -> bytes:
    """Writes candidates as the fields of a RouteDecision that hold them."""
    written = []
    for model, score, factors, cost, quality, latency, input_tokens, output_tokens in candidates:
        pack, heads = _layout(tuple([factor[0] for factor in factors]))
        values: list[bytes | float] = [_SCORE, score]
        for head, (_, value, weight) in zip(heads, factors, strict=True):
            values += (head, value, _WEIGHT, weight)
        scores = pack(*values, _QUALITY, quality)
        answer = _written_answer(latency, input_tokens, output_tokens)
        written.append(field(_CANDIDATES, _models.of(model) + scores + _COST + varint(cost) + answer))
    return b"".join(written)


@lru_cache(64)
def _layout(names: tuple[str, ...]) -> tuple[Callable[..., bytes], tuple[bytes, ...]]:
    """Gives what packs a score, the factors of these names and a quality, and how each factor begins."""
    heads = []
    for name in names:
        named = field(_NAME, name.encode())
        heads.append(_FACTOR + varint(len(named) + _BYTES_OF_TWO_DOUBLES) + named + _VALUE)
    factors = "".join(f"{len(head)}sdcd" for head in heads)
    return Struct(f"<cd{factors}cd").pack, tuple(heads)


def _write_model(model: Model) -> bytes:
    names = field(_MODEL, model.name.encode()) + field(_PROVIDER, model.provider.encode())
    return names + _TIER + varint(TIERS[model.tier])


# Those of a catalogue are the same ones until it changes.
_models = Remembered(_write_model, 1_024)


# Those of a decision are few: a model that was not called yet is as fast as its tier, and vendors share tokenizers.
@lru_cache(1_024)
def _written_answer(seconds: float, input_tokens: int, output_tokens: int) -> bytes:
    whole, nanos = divmod(round(seconds * NANOS), NANOS)
    latency = field(_LATENCY, _SECONDS + varint(whole) + _NANOS + varint(nanos))
    return latency + _INPUT_TOKENS + varint(input_tokens) + _OUTPUT_TOKENS + varint(output_tokens)
