"""How long a decision takes, in this process alone: classification, the whole decision, long prompts, `muxer classify`.

Every pass goes over prompts that the classifier was not trained on, with a classifier and a
router that have kept nothing yet. Read
beside it what one regular expression over the same prompt takes: machines differ, and drift.
"""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from muxer_grpc.artefact import load_learned
from muxer_grpc.domain.catalogue import Catalogue, Feature, Model, ProviderEntry, Tier
from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.classification.classifier import Classifier
from muxer_grpc.domain.money import Price
from muxer_grpc.domain.routing.policy import CompletionRequest
from muxer_grpc.domain.routing.router import Router
from muxer_grpc.server import GC_THRESHOLD
from tests.bench.processes import FLEET, LOAD_CORE, ROOT, environment, pin

WORDS = re.compile(r"\w+")
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Spread:
    """Durations of one thing, in microseconds."""

    name: str
    p50: float
    p99: float
    goal_p50: float = 0.0
    goal_p99: float = 0.0

    @property
    def met(self) -> bool:
        return (not self.goal_p50 or self.p50 <= self.goal_p50) and (not self.goal_p99 or self.p99 <= self.goal_p99)


def prompts() -> list[str]:
    """Gives the prompts of the regression set."""
    files = sorted((ROOT / "tests/regression").glob("*.jsonl"))
    return [json.loads(line)["prompt"] for file in files for line in file.read_text().splitlines()]


def request_of(prompt: str) -> CompletionRequest:
    return CompletionRequest(Conversation((Message(Role.USER, (TextPart(prompt),)),)))


def router() -> Router:
    """Makes a router over twenty models, which has decided nothing yet."""
    models = [
        Model(
            f"bench/{row['name']}",
            "bench",
            str(row["name"]),
            Tier(str(row["tier"])),
            context_window=2_000_000,
            max_output_tokens=4096,
            features=frozenset(Feature),
            price=Price.from_usd_per_million(str(row["input_usd_per_million"]), str(row["output_usd_per_million"])),
            quality=float(str(row["quality"])),
        )
        for row in FLEET
    ]
    entry = ProviderEntry("bench", configured=True)
    return Router(Catalogue.of(models, [entry], version="bench", price_book_version="bench"))


def spread(name: str, call: Callable[[str], object], over: Iterable[str], *goals: float) -> Spread:
    """Times a call on each prompt, in CPU time of this thread: what other programs take of the core does not count."""
    durations: list[float] = []
    for prompt in over:
        began = time.thread_time()
        call(prompt)
        durations.append((time.thread_time() - began) * 1e6)
    durations.sort()
    return Spread(name, durations[len(durations) // 2], durations[int(len(durations) * 0.99)], *goals)


def measure(rounds: int) -> list[Spread]:
    """Measures classification and decision over the regression set, and over prompts of a megabyte."""
    pin(LOAD_CORE)
    over = prompts()
    long = [(prompt + "\n") * (MEGABYTE // len(prompt) + 1) for prompt in over[:: len(over) // 20]]

    def decide() -> Callable[[str], object]:
        by, classifier = router(), Classifier(load_learned())

        def whole(prompt: str) -> object:
            request = request_of(prompt)
            classification = classifier.classify(request.conversation)
            return by.decide(request, classification, decision_id="dec_bench", now=0.0)

        return whole

    def classify() -> Callable[[str], object]:
        classifier = Classifier(load_learned())
        return lambda prompt: classifier.classify(request_of(prompt).conversation)

    # As a worker does before it serves.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
    classify()(over[0])
    found: list[list[Spread]] = [
        [
            spread("one regular expression over the prompt", WORDS.findall, over),
            spread("classification", classify(), over, 100, 600),
            spread("decision, 20 models", decide(), over, 200, 1_000),
            spread("decision, 20 models, prompts of 1 MB", decide(), long, 2_000),
        ]
        for _ in range(rounds)
    ]
    return [min(kind, key=lambda each: each.p50) for kind in zip(*found, strict=True)]


def classified_per_second() -> float:
    """Measures `muxer classify` on one core, its start left out: twenty thousand prompts less one prompt."""
    over = prompts()
    many = [over[i % len(over)] for i in range(20_000)]
    return (len(many) - 1) / (_classify_seconds(many) - _classify_seconds(many[:1]))


def _classify_seconds(over: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "prompts.jsonl"
        source.write_text("".join(json.dumps({"id": i, "prompt": prompt}) + "\n" for i, prompt in enumerate(over)))
        command = [sys.executable, "-m", "muxer_grpc", "classify", "--input", str(source), "--output", f"{folder}/out"]
        began = time.perf_counter()
        subprocess.run(
            command,
            check=True,
            env=environment(),
            cwd=folder,
            preexec_fn=lambda: pin(LOAD_CORE),
        )
        return time.perf_counter() - began
