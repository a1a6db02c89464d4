"""Fits the coefficients of muxer_grpc.domain.tokens to real tokenizers and reports how far off they are.

Run as `python -m muxer_grpc.training.token_counts --texts FOLDER --tokenizers FOLDER`. It needs numpy and, as the
tokenizers ask for, tiktoken, tokenizers, sentencepiece or ctok; the service needs none of them.

FOLDER of texts: files `*.jsonl`, a text per line with its `kind` and `source`. Three sources in ten are held out, by a
hash of their names; the errors are those on them. The texts of `noise` are held out one by one, being made up.

FOLDER of tokenizers, each file named as the tokenizer is: `NAME.tiktoken` (ranks in base64), `NAME.tekken` (Mistral's
JSON), `NAME.json` (a Hugging Face tokenizer), `NAME.model` (SentencePiece) and `NAME.ctok` (a version of Claude, for
the reconstruction of its counts by the package ctok, since Anthropic has published no tokenizer after Claude 2).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import importlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muxer_grpc.domain import tokens

Counter = Callable[[str], int]

# How much each kind of text weighs in the fit, whatever the number of its texts.
WEIGHT_OF_KIND = {"english": 0.4, "code": 0.2, "json": 0.12, "cjk": 0.12, "other": 0.14, "logs": 0.01, "noise": 0.04}
# `generic` is fitted to the largest count of these; its margin covers every tokenizer.
GENERIC_COVERS = ("o200k", "cl100k", "llama", "qwen", "mistral_tekken", "deepseek")
# Reconstructed or private tokenizers may differ from what was measured: their margins are this much wider.
WIDER = {"claude": 1.03, "claude_4_7": 1.05}
REPORTED_FROM = 20

_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_UNCASED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# How the tokenizers that come as bare ranks split a text before they merge.
SPLITS = {"o200k": _CASED, "cl100k": _UNCASED, "llama": _UNCASED, "qwen": _UNCASED.replace("{1,3}", "")}


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of the fit, as rows: kinds, sources, lengths, features, and true counts by tokenizer."""

    kinds: Any
    held_out: Any
    lengths: Any
    features: Any
    counts: Mapping[str, Any]


def library(name: str) -> Any:
    """Imports a library that only development has."""
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        msg = f"this program needs {name}: pip install {name}"
        raise SystemExit(msg) from missing


def counter_of(path: Path) -> Counter:
    """Loads a tokenizer from its file."""
    if path.suffix == ".tiktoken":
        ranks = {base64.b64decode(word): int(rank) for word, rank in map(str.split, path.read_text().splitlines())}
        return _byte_pairs(path.stem, SPLITS[path.stem], ranks)
    if path.suffix == ".tekken":
        tekken = json.loads(path.read_text())
        config = tekken["config"]
        kept = tekken["vocab"][: config["default_vocab_size"] - config["default_num_special_tokens"]]
        return _byte_pairs(path.stem, config["pattern"], {base64.b64decode(x["token_bytes"]): x["rank"] for x in kept})
    if path.suffix == ".json":
        whole = library("tokenizers").Tokenizer.from_file(str(path))
        return lambda text: len(whole.encode(text, add_special_tokens=False).ids)
    if path.suffix == ".model":
        pieces = library("sentencepiece").SentencePieceProcessor(model_file=str(path))
        return lambda text: len(pieces.encode(text))
    if path.suffix == ".ctok":
        version, ctok = path.read_text().strip(), library("ctok")
        frame = ctok.token_count("", version)
        return lambda text: int(ctok.token_count(text, version) - frame)
    msg = f"{path.name}: no tokenizer is known by this ending"
    raise SystemExit(msg)


def _byte_pairs(name: str, split: str, ranks: Mapping[bytes, int]) -> Counter:
    """Makes a counter of ranks and the expression that splits a text first."""
    encoding = library("tiktoken").Encoding(name, pat_str=split, mergeable_ranks=ranks, special_tokens={})
    return lambda text: len(encoding.encode_ordinary(text))


def _words(text: str) -> int:
    """Counts as the sandbox provider does: words with the space before them."""
    return len(re.findall(r"\s*\S+|\s+", text))


def is_held_out(kind: str, source: str, text: str) -> bool:
    """Says whether a text is for the report and not for the fit."""
    of_what = text if kind == "noise" else source
    return int(hashlib.sha256(of_what.encode()).hexdigest(), 16) % 10 < 3


def read_texts(texts: Path, tokenizers: Path) -> Texts:
    """Reads the texts, measures them, and counts their tokens."""
    np = library("numpy")
    rows = [json.loads(line) for path in sorted(texts.glob("*.jsonl")) for line in path.open(encoding="utf-8")]
    counters = {path.stem: counter_of(path) for path in sorted(tokenizers.iterdir())} | {"words": _words}
    counts = {name: np.array([count(row["text"]) for row in rows], float) for name, count in counters.items()}
    counts["generic"] = np.max([counts[name] for name in GENERIC_COVERS if name in counts], axis=0)
    features = np.zeros((len(rows), len(tokens.FEATURES)))
    for row, into in zip(rows, features, strict=True):
        shape = tokens.measure(row["text"])
        into[: len(shape.counts)] = shape.counts
    return Texts(
        kinds=np.array([row["kind"] for row in rows]),
        held_out=np.array([is_held_out(row["kind"], row["source"], row["text"]) for row in rows]),
        lengths=np.array([len(row["text"]) for row in rows], float),
        features=features,
        counts=counts,
    )


def weights_of(texts: Texts) -> Any:
    """Gives each text of the fit its weight: its kind's, shared with the others of its kind."""
    np = library("numpy")
    weights = np.zeros(len(texts.kinds))
    for kind, weight in WEIGHT_OF_KIND.items():
        chosen = (texts.kinds == kind) & ~texts.held_out
        weights[chosen] = weight / max(int(chosen.sum()), 1)
    return weights


def fit(features: Any, true: Any, weights: Any) -> Any:
    """Finds coefficients, none negative, with the least mean relative error.

    Least squares, repeated with weights that make it least absolute error: outliers pull less. The tokens added below
    a fraction keep short texts, where one token is a large error, from ruling the fit.
    """
    np = library("numpy")
    scale = true + 8
    pull = np.ones(len(true))
    found = np.zeros(features.shape[1])
    for _ in range(12):
        root = np.sqrt(weights * pull) / scale
        seen = features * root[:, None]
        found = _not_negative(seen.T @ seen, seen.T @ (true * root), found)
        pull = 1 / np.maximum(np.abs(features @ found - true) / scale, 0.03)
    return found.round(3)


def _not_negative(products: Any, goal: Any, start: Any) -> Any:
    """Solves least squares for coefficients of at least 0, one coefficient after the other."""
    found = start.copy()
    for _ in range(3000):
        before = found.copy()
        for index in range(len(found)):
            diagonal = products[index, index]
            if diagonal > 0:
                found[index] = max(0.0, found[index] + (goal[index] - products[index] @ found) / diagonal)
        if abs(found - before).max() < 1e-5:
            break
    return found


def margin_of(estimated: Any, true: Any, wider: float) -> float:
    """Finds the factor by which 99 of 100 texts stay at or below the estimate and tokens.SLACK."""
    np = library("numpy")
    chosen = estimated > 0
    needed = np.quantile((true[chosen] - tokens.SLACK) / estimated[chosen], 0.99)
    return math.ceil(max(float(needed), 1.0) * wider * 100) / 100


def fit_all(texts: Texts) -> dict[str, tuple[Any, float]]:
    """Fits every tokenizer: coefficients and margin."""
    np = library("numpy")
    weights = weights_of(texts)
    fitted = {}
    for name, true in texts.counts.items():
        found = fit(texts.features, true, weights)
        covered = np.max(list(texts.counts.values()), axis=0) if name == "generic" else true
        margin = margin_of(texts.features @ found, covered, WIDER.get(name, 1.0))
        fitted[name] = (found, margin)
    return fitted


def coefficient_table(fitted: Mapping[str, tuple[Any, float]]) -> Iterable[str]:
    """Prints coefficients as tokens.py holds them."""
    width = [max(len(name), 6) for name in fitted]
    yield "feature " + " ".join(f"{name:>{size}}" for name, size in zip(fitted, width, strict=True))
    for row, feature in enumerate(tokens.FEATURES):
        cells = [found[row] for found, _ in fitted.values()]
        yield f"{feature:7} " + " ".join(f"{cell:{size}.3f}" for cell, size in zip(cells, width, strict=True))
    margins = [margin for _, margin in fitted.values()]
    yield "margin  " + " ".join(f"{margin:{size}.2f}" for margin, size in zip(margins, width, strict=True))


def error_table(texts: Texts, fitted: Mapping[str, tuple[Any, float]]) -> Iterable[str]:
    """Prints errors on the texts held out: of the model, and of characters divided by four.

    Each cell: mean absolute error, 95th percentile of it, error of the total; in percent.
    """
    np = library("numpy")
    yield f"{'':18} {'':12}" + "".join(f"{kind:>16}" for kind in WEIGHT_OF_KIND) + "   at_most"
    for name, (found, margin) in fitted.items():
        true = texts.counts[name]
        guesses = {"model": texts.features @ found, "characters/4": texts.lengths / 4}
        held = texts.held_out
        covered = np.ceil(guesses["model"] * margin) + tokens.SLACK >= true
        for label, guess in guesses.items():
            cells = ""
            for kind in WEIGHT_OF_KIND:
                chosen = held & (texts.kinds == kind) & (true > REPORTED_FROM)
                cells += f"{_errors(guess[chosen], true[chosen]):>16}" if chosen.any() else f"{'-':>16}"
            share = f"   {100 * covered[held].mean():.2f} %" if label == "model" else ""
            yield f"{name:18} {label:12}{cells}{share}"


def _errors(guess: Any, true: Any) -> str:
    """Prints mean error, 95th percentile and error of the total."""
    np = library("numpy")
    error = 100 * abs(guess - true) / true
    total = 100 * (guess.sum() - true.sum()) / true.sum()
    return f"{error.mean():.1f} {np.quantile(error, 0.95):.0f} {total:+.1f}"


def main() -> None:
    """Fits, and prints coefficients and errors."""
    parser = argparse.ArgumentParser(description="Fits token counts to tokenizers and reports the errors.")
    parser.add_argument("--texts", type=Path, required=True, help="folder of *.jsonl: kind, source, text")
    parser.add_argument("--tokenizers", type=Path, required=True, help="folder of tokenizers' files")
    arguments = parser.parse_args()
    texts = read_texts(arguments.texts, arguments.tokenizers)
    fitted = fit_all(texts)
    print("\n".join(coefficient_table(fitted)), end="\n\n")
    print("\n".join(error_table(texts, fitted)))


if __name__ == "__main__":
    main()
