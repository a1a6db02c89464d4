"""The rows to train and to evaluate on: a folder of development data, and the examples written for Muxer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITTEN = Path(__file__).parent / "written"
INTENT_FILE = "intent_dev.jsonl.gz"

# Sources whose licence allows commercial use, with the licence. Everything else is for evaluation only.
COMMERCIAL = {
    "advbench": "MIT",
    "chatterbot": "BSD-3-Clause",
    "clinc150": "CC BY 3.0",
    "llava_coco": "Apache-2.0",
    "llava_vqa_sets": "Apache-2.0; VizWiz, GQA, TextVQA CC BY 4.0",
    "llmrouter_queries": "MIT; upstream CC BY-SA 3.0, Apache-2.0, MIT, CC BY 4.0",
    "malicious_instruct": "MIT",
    "red_instruct": "Apache-2.0",
}
# Tasks of these sources that are for research only.
RESEARCH_TASKS = frozenset({"mme"})

# Tasks of one source that are as unlike as sources are, and sources that are alike: what is left out together.
_FAMILIES = {
    "natural_qa": "questions",
    "trivia_qa": "questions",
    "gsm8k": "mathematics",
    "math": "mathematics",
    "gpqa": "science",
    "agentverse-logicgrid": "logic",
    "mbpp": "code",
    "human_eval": "code",
}
_ALIKE = {"advbench": "harmful", "malicious_instruct": "harmful"}
WRITTEN_FAMILY = "written"


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt with what is known of it; `family` names what is left out together in an evaluation."""

    id: str
    prompt: str
    label: str | None
    harmless: bool
    capabilities: tuple[str, ...] | None
    difficulty: float | None
    source: str
    family: str
    licence: str
    may_train: bool
    language: str = "en"


def development_rows(folder: Path) -> list[Row]:
    """Reads the development data. Raises FileNotFoundError."""
    with gzip.open(folder / INTENT_FILE, "rt", encoding="utf-8") as lines:
        return [_development_row(json.loads(line)) for line in lines if line.strip()]


def _development_row(told: dict[str, Any]) -> Row:
    source, task = told["source"], told["task"]
    family = _FAMILIES.get(task, source) if source == "llmrouter_queries" else _ALIKE.get(source, source)
    if source.startswith("llava"):
        family = f"pictures_{task}"
    label = told["label"]
    return Row(
        id=told["id"],
        prompt=told["prompt"],
        label=label,
        harmless=told.get("not_label") == "safety_risk" or label not in (None, "safety_risk"),
        capabilities=(told["capability"],) if told["capability"] else None,
        difficulty=told.get("difficulty"),
        source=source,
        family=family,
        licence=told["licence"],
        may_train=source in COMMERCIAL and task not in RESEARCH_TASKS,
    )


def written_rows() -> list[Row]:
    """Reads the examples that were written for training."""
    return [
        Row(
            id=f"{path.stem}-{number}",
            prompt=told["prompt"],
            label=told["intent"],
            harmless=told["intent"] != "safety_risk",
            capabilities=tuple(told["capabilities"]),
            difficulty=told["difficulty"],
            source="written",
            family=WRITTEN_FAMILY,
            licence="MIT",
            may_train=True,
            language=told["lang"],
        )
        for path in sorted(WRITTEN.glob("*.jsonl"))
        for number, told in enumerate(json_lines(path), start=1)
    ]


def regression_rows(folder: Path) -> list[Row]:
    """Reads the regression set: written apart, never trained on."""
    return [
        Row(
            id=told["id"],
            prompt=told["prompt"],
            label=told["intent"],
            harmless=told["intent"] != "safety_risk",
            capabilities=(told["capability"],) if told["capability"] else None,
            difficulty=told["difficulty"],
            source=path.stem,
            family="regression",
            licence="MIT",
            may_train=False,
            language=told["lang"],
        )
        for path in sorted(folder.glob("*.jsonl"))
        for told in json_lines(path)
    ]


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Reads a file of JSON lines."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)
