"""Evaluates the classifier that ships: on the regression set, and on a folder of development data where one is given.

Run as `make eval`, or `make eval EVAL_DATA=folder`. On the development data each family of sources is judged by a
classifier that was trained without it; routing is judged by the gain, which is trained on no outcomes at all.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from muxer_grpc.domain.chat import Conversation, Message, Role, TextPart
from muxer_grpc.domain.classification.classifier import Classifier, Parts
from muxer_grpc.domain.classification.learned import Learned
from muxer_grpc.domain.decision import Classification
from muxer_grpc.training.measures import (
    accuracy,
    calibration_error,
    macro_f1,
    rank_correlation,
    router_score,
)
from muxer_grpc.training.rows import Row, development_rows, regression_rows

if TYPE_CHECKING:
    from muxer_grpc.training.held_out import Judged

ARTEFACT = Path(__file__).parents[1] / "domain/classification/learned.npz"
REGRESSION = Path(__file__).parents[2] / "tests/regression"
LOOKALIKES = "safe_lookalikes"
ROUTING_FILES = "routing_dev_*.csv.gz"
FEWEST_PROMPTS = 100


def conversation_of(prompt: str) -> Conversation:
    """Makes the conversation of one prompt."""
    return Conversation((Message(Role.USER, (TextPart(prompt),)),))


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lays a table out for a terminal; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(line))
        for line in (list(zip(row, widths, strict=True)) for row in (head, *rows))
    ]
    return "\n".join([f"\n{title}", *lines])


def regression(learned: Learned) -> str:
    """Judges the regression set with the learned classifier and, as a baseline, with rules alone."""
    rows = regression_rows(REGRESSION)
    judges = {"learned": Classifier(learned), "rules alone": Classifier(None, parts=Parts.RULES_ONLY)}
    told = {name: [judge.classify(conversation_of(row.prompt)) for row in rows] for name, judge in judges.items()}
    sources = sorted({row.source for row in rows})
    lines = []
    for source in sources:
        at = [i for i, row in enumerate(rows) if row.source == source]
        shares = [f"{_right(rows, answers, at):.3f}" for answers in told.values()]
        lines.append([source, str(len(at)), *shares])
    seven = [i for i, row in enumerate(rows) if row.source != LOOKALIKES]
    lines.append(
        ["seven intents", str(len(seven)), *(f"{_right(rows, answers, seven):.3f}" for answers in told.values())]
    )
    shown = table("Regression set: share of right intents", ["source", "prompts", *judges], lines)
    return shown + "\n" + "\n".join(_regression_notes(rows, told["learned"]))


def _right(rows: Sequence[Row], told: Sequence[Classification], at: Sequence[int]) -> float:
    return accuracy([told[i].intent.value for i in at], [str(rows[i].label) for i in at])


def _regression_notes(rows: Sequence[Row], told: Sequence[Classification]) -> Iterator[str]:
    alarms = [t.intent.value == "safety_risk" for row, t in zip(rows, told, strict=True) if row.source == LOOKALIKES]
    with_capability = [(row, t) for row, t in zip(rows, told, strict=True) if row.capabilities]
    top = accuracy(
        [t.capabilities[0][0].value for _, t in with_capability],
        [row.capabilities[0] for row, _ in with_capability if row.capabilities],
    )
    complexity = rank_correlation([t.complexity for t in told], [row.difficulty or 0.0 for row in rows])
    length = rank_correlation([float(len(row.prompt)) for row in rows], [row.difficulty or 0.0 for row in rows])
    error = calibration_error(
        [t.confidence for t in told],
        [t.intent.value == row.label for row, t in zip(rows, told, strict=True)],
    )
    yield f"false alarms on safe prompts that look dangerous: {np.mean(alarms):.3f}"
    yield f"capability, top 1: {top:.3f}"
    yield f"complexity, rank correlation with judged difficulty: {complexity:.3f} (length alone {length:.3f})"
    yield f"calibration error: {error:.3f}"


def held_out(data: Path) -> str:
    """Judges the development data, each family by a classifier that was trained without it."""
    from muxer_grpc.training.held_out import judged_without_family

    rows = development_rows(data)
    judged = judged_without_family(rows, ARTEFACT)
    labelled = [row for row in rows if row.label]
    right = [str(row.label) for row in labelled]
    rules = Classifier(None, parts=Parts.RULES_ONLY)
    commonest = Counter(right).most_common(1)[0][0]
    answers = {
        "learned, family left out": [judged[row.id].label for row in labelled],
        "rules alone": [rules.classify(conversation_of(row.prompt)).intent.value for row in labelled],
        "the commonest label": [commonest] * len(labelled),
    }
    lines = [[name, f"{accuracy(told, right):.3f}", f"{macro_f1(told, right):.3f}"] for name, told in answers.items()]
    shown = table("Development data: intents", ["classifier", "accuracy", "macro F1"], lines)
    sources = []
    for source in sorted({row.source for row in labelled}):
        of_source = [row for row in labelled if row.source == source]
        share = accuracy([judged[row.id].label for row in of_source], [str(row.label) for row in of_source])
        sources.append([source, str(len(of_source)), f"{share:.3f}", "yes" if of_source[0].may_train else "no"])
    shown += "\n" + table("By source", ["source", "prompts", "accuracy", "else trained on"], sources)
    return shown + "\n" + "\n".join(_held_out_notes(rows, judged))


def _held_out_notes(rows: Sequence[Row], judged: dict[str, Judged]) -> Iterator[str]:
    labelled = [row for row in rows if row.label]
    told = [judged[row.id] for row in labelled]
    error = calibration_error(
        [t.confidence for t in told], [t.label == row.label for t, row in zip(told, labelled, strict=True)]
    )
    risks = [judged[row.id].label == "safety_risk" for row in rows if row.label == "safety_risk"]
    alarms = [judged[row.id].label == "safety_risk" for row in rows if row.source == "oktest"]
    ordinary = [judged[row.id].label == "safety_risk" for row in rows if row.harmless and row.source != "oktest"]
    capable = [row for row in rows if row.capabilities]
    top = accuracy(
        [judged[row.id].capability for row in capable], [row.capabilities[0] for row in capable if row.capabilities]
    )
    yield f"calibration error: {error:.3f}"
    yield (
        f"safety: recall {np.mean(risks):.3f}, false alarms on safe prompts that look dangerous {np.mean(alarms):.3f}, "
        f"on all other harmless prompts {np.mean(ordinary):.3f}"
    )
    yield f"capability, top 1: {top:.3f}"


def routing(data: Path, learned: Learned) -> str:
    """Judges the gain as a router between a weak and a strong model, beside the length of the prompt."""
    classifier = Classifier(learned)
    lines: list[list[str]] = []
    for path in sorted(data.glob(ROUTING_FILES)):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text))
        tasks: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            tasks.setdefault(row["subset"] or row["benchmark"], []).append(row)
        for _, chosen in sorted(tasks.items()):
            lines += _routing_line(path.name.removeprefix("routing_dev_").removesuffix(".csv.gz"), chosen, classifier)
    head = ["outcomes", "task", "prompts", "APGR", "length's", "CPT50", "CPT80", "saved at 95 %"]
    return table("Routing by gain; nothing was trained on outcomes", head, lines)


def _routing_line(name: str, rows: Sequence[dict[str, str]], classifier: Classifier) -> Iterator[list[str]]:
    weak = np.array([float(row["weak"]) for row in rows])
    strong = np.array([float(row["strong"]) for row in rows])
    if len(rows) < FEWEST_PROMPTS or strong.mean() <= weak.mean():
        return
    gain = np.array([classifier.classify(conversation_of(row["prompt"])).gain for row in rows])
    costs = None
    if rows[0].get("weak_cost"):
        costs = (
            np.array([float(row["weak_cost"]) for row in rows]),
            np.array([float(row["strong_cost"]) for row in rows]),
        )
    score = router_score(gain, weak, strong, costs)
    length = router_score(np.array([float(len(row["prompt"])) for row in rows]), weak, strong)
    yield [
        name,
        rows[0]["subset"],
        str(len(rows)),
        f"{score.apgr:.3f}",
        f"{length.apgr:.3f}",
        f"{score.cpt50:.2f}",
        f"{score.cpt80:.2f}",
        f"{score.saved:.2f}",
    ]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with the development data")
    chosen = parser.parse_args()
    learned = Learned.from_bytes(ARTEFACT.read_bytes())
    sys.stdout.write(f"{learned.version}, {ARTEFACT.stat().st_size:,} bytes\n{regression(learned)}\n")
    if chosen.data is not None:
        sys.stdout.write(f"{held_out(chosen.data)}\n{routing(chosen.data, learned)}\n")


if __name__ == "__main__":
    main()
