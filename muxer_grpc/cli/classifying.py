"""`muxer classify`: JSON lines in, JSON lines out, without a server."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muxer_grpc.cli.progress import STDIO, Progress

if TYPE_CHECKING:
    from muxer_grpc.domain.classification.classifier import Classifier


class BadLine(ValueError):
    """A line that is no prompt; `number` counts lines from 1."""

    def __init__(self, number: int, problem: str) -> None:
        super().__init__(f"line {number}: {problem}")
        self.number = number
        self.problem = problem


def classify(
    source: Annotated[Path, typer.Option("--input", help='Lines {"id", "prompt"}; - is stdin.')] = STDIO,
    output: Annotated[Path, typer.Option("--output", help="Where the classified lines go; - is stdout.")] = STDIO,
    model_only: Annotated[bool, typer.Option("--model-only", help="The learned part alone, without rules.")] = False,
    rules_only: Annotated[bool, typer.Option("--rules-only", help="Rules alone, without the learned part.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Stops at the first bad line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Ends with the counts as JSON on stderr.")] = False,
) -> int:
    """Classifies prompts, a line at a time. Bad lines are told on stderr and passed over; then the exit code is 1."""
    if model_only and rules_only:
        msg = "--model-only and --rules-only exclude each other"
        raise typer.BadParameter(msg)
    done = bad = 0
    classifier = _classifier(model_only=model_only, rules_only=rules_only)
    with ExitStack() as stack:
        lines = sys.stdin if source == STDIO else stack.enter_context(source.open(encoding="utf-8"))
        sink = sys.stdout if output == STDIO else stack.enter_context(output.open("w", encoding="utf-8"))
        advance = stack.enter_context(Progress("classifying", source))
        for number, line in enumerate(lines, start=1):
            try:
                result = classified(line, number, classifier)
            except BadLine as error:
                if strict:
                    raise
                bad += 1
                sys.stderr.write(f"muxer: {error}\n")
            else:
                if result is not None:
                    sink.write(result)
                    done += 1
            advance(len(line.encode()))
    if as_json:
        sys.stderr.write(json.dumps({"classified": done, "bad": bad}) + "\n")
    return 1 if bad else 0


def _classifier(*, model_only: bool, rules_only: bool) -> Classifier:
    """Builds the classifier of a run."""
    from muxer_grpc.artefact import load_learned
    from muxer_grpc.domain.classification.classifier import Classifier, Parts

    if rules_only:
        return Classifier(None, parts=Parts.RULES_ONLY)
    return Classifier(load_learned(), parts=Parts.MODEL_ONLY if model_only else Parts.ALL)


def classified(line: str, number: int, classifier: Classifier) -> str | None:
    """Classifies the prompt of a line; None for an empty one. Raises BadLine."""
    from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart

    if not line.strip():
        return None
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise BadLine(number, "not JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("prompt"), str):
        raise BadLine(number, 'not an object with a "prompt"')
    result = classifier.classify(Conversation((Message(Role.USER, (TextPart(row["prompt"]),)),)))
    told = {
        "id": row.get("id"),
        "intent": result.intent.value,
        "confidence": result.confidence,
        "capabilities": [capability.value for capability, _ in result.capabilities],
        "complexity": result.complexity,
        "gain": result.gain,
        "signals": {signal.name: signal.value for signal in result.signals},
    }
    return json.dumps(told, ensure_ascii=False) + "\n"
