"""Specs of every kind: the prompts of the regression set under policies, formats, tools, pictures and limits."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from muxer.v1 import chat_pb2, routing_pb2

from muxer_grpc.domain.routing.ranking import known_strategies

PROMPTS = Path(__file__).parents[1] / "regression"
STRATEGIES = tuple(sorted(known_strategies()))

_SCHEMA = '{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}'


@dataclass(frozen=True)
class Fleet:
    """The names that policies may use."""

    models: Sequence[str]
    providers: Sequence[str]
    regions: Sequence[str] = ("eu", "us")


@cache
def prompts() -> tuple[str, ...]:
    """Lists all prompts of the regression set, in a fixed order."""
    lines = (line for path in sorted(PROMPTS.glob("*.jsonl")) for line in path.read_text().splitlines())
    return tuple(json.loads(line)["prompt"] for line in lines)


def mixed_specs(strategy: str, count: int, fleet: Fleet) -> Iterator[chat_pb2.CompletionSpec]:
    """Makes the specs that are tried under each strategy, always the same ones; the prompts are spread over the set."""
    chance = random.Random(count)
    chosen = chance.sample(prompts(), min(count, len(prompts())))
    for number in range(count):
        spec = chat_pb2.CompletionSpec(messages=_messages(chosen[number % len(chosen)], chance))
        _add_shape(spec, chance)
        if chance.random() < 0.9:
            spec.routing.CopyFrom(_policy(spec, fleet, chance))
            spec.routing.strategy = strategy
        yield spec


def _messages(prompt: str, chance: random.Random) -> list[chat_pb2.Message]:
    messages = []
    if chance.random() < 0.2:
        messages.append(_message(chat_pb2.ROLE_SYSTEM, "You translate what you are given. Be brief."))
    if chance.random() < 0.2:
        messages += [
            _message(chat_pb2.ROLE_USER, "Debug this Python traceback"),
            _message(chat_pb2.ROLE_ASSISTANT, "```python\nprint(1)\n```"),
        ]
    messages.append(_message(chat_pb2.ROLE_USER, prompt * (40 if chance.random() < 0.05 else 1)))
    if chance.random() < 0.12:
        image = chat_pb2.Image(url="https://pictures.example/one.png")
        messages[-1].parts.append(chat_pb2.ContentPart(image=image))
    return messages


def _message(role: chat_pb2.Role.ValueType, text: str) -> chat_pb2.Message:
    return chat_pb2.Message(role=role, parts=[chat_pb2.ContentPart(text=text)])


def _add_shape(spec: chat_pb2.CompletionSpec, chance: random.Random) -> None:
    """Adds what the answer should look like."""
    shape = chance.random()
    if shape < 0.1:
        spec.response_format.json.SetInParent()
    elif shape < 0.2:
        spec.response_format.json_schema.schema_json = _SCHEMA
    elif shape < 0.3:
        spec.tools.add(name="look_up", description="Looks a word up", parameters_schema_json=_SCHEMA)
    if chance.random() < 0.2:
        spec.max_output_tokens = chance.choice((1, 16, 256, 2_000, 6_000))
    if chance.random() < 0.1:
        spec.sampling.temperature = chance.random()
    for name in chance.sample(("team", "stage", "ticket"), chance.choice((0, 0, 1, 3))):
        spec.labels[name] = str(chance.randrange(100))


def _policy(spec: chat_pb2.CompletionSpec, fleet: Fleet, chance: random.Random) -> routing_pb2.RoutingPolicy:
    policy = routing_pb2.RoutingPolicy()
    _add_names(policy, spec, fleet, chance)
    if chance.random() < 0.15:
        policy.required_features.append(chance.choice((1, 2, 3, 4)))
    if chance.random() < 0.15:
        policy.max_cost_nano_usd = chance.choice((20_000, 500_000, 5_000_000))
    if chance.random() < 0.15:
        policy.max_latency.CopyFrom(Duration(seconds=chance.choice((1, 3, 10)), nanos=500_000_000))
    if chance.random() < 0.3:
        policy.weights.CopyFrom(
            routing_pb2.RoutingWeights(
                quality=chance.random(),
                cost=chance.choice((0.0, chance.random())),
                performance=chance.choice((0.0, chance.random())),
                availability=chance.choice((0.0, chance.random())),
            )
        )
    if chance.random() < 0.25:
        policy.quality_target = round(chance.random(), 2)
    if chance.random() < 0.25:
        for name in chance.sample(list(fleet.models), 3):
            policy.model_weights[name] = chance.randrange(1, 6)
    return policy


def _add_names(
    policy: routing_pb2.RoutingPolicy, spec: chat_pb2.CompletionSpec, fleet: Fleet, chance: random.Random
) -> None:
    """Adds one rule about names, or a model that is asked for; two could contradict each other."""
    kind = chance.randrange(10)
    if kind == 0:
        policy.allowed_models.extend(chance.sample(list(fleet.models), 3))
    elif kind == 1:
        policy.denied_models.extend(chance.sample(list(fleet.models), 3))
    elif kind == 2:
        policy.allowed_providers.append(chance.choice(fleet.providers))
    elif kind == 3:
        policy.denied_providers.append(chance.choice(fleet.providers))
    elif kind == 4:
        policy.allowed_regions.append(chance.choice(fleet.regions))
    elif kind == 5:
        spec.requested_model = chance.choice(fleet.models)
        policy.fall_back = chance.random() < 0.5
