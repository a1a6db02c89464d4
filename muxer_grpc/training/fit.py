"""Trains the classifier that ships: from a folder of data to one artefact, the same bytes each time.

Run as `python -m muxer_grpc.training.fit --data FOLDER`, with the dependency group `train`.
"""

from __future__ import annotations

import argparse
import json
import zipfile
from collections import Counter
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from muxer_grpc.domain.classification.features import BEGIN, END, GROUP_NAMES, Rows, lexicon_entries
from muxer_grpc.domain.classification.learned import COMPLEXITY, GainScale, Learned, gain_of
from muxer_grpc.domain.classification.reading import SHAPE_NAMES, read
from muxer_grpc.training.calibration import calibrate, chances
from muxer_grpc.training.families import held_out_heads
from muxer_grpc.training.heads import Design, fit_heads, raw_heads
from muxer_grpc.training.rows import Row, development_rows, written_rows
from muxer_grpc.training.vectors import ENCODER, WordVectors, distil, encoder_words

ARTEFACT = Path(__file__).parents[1] / "domain/classification/learned.npz"
VERSION = "learned-1"

LEAST_DOCUMENTS = 2
LEAST_PAIR_DOCUMENTS = 3
ENCODER_WORDS = 10_000
QUANTILES = 41


def vocabulary_of(rows: list[Row]) -> tuple[Rows, NDArray[np.float64]]:
    """Chooses words and pairs (of prompts, lexicon and encoder), and gives the share of prompts that hold each."""
    words: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for row in rows:
        tokens = [BEGIN, *read(row.prompt).tokens, END]
        words.update(set(tokens))
        pairs.update({f"{left} {right}" for left, right in pairwise(tokens)})
    chosen = {word for word, count in words.items() if count >= LEAST_DOCUMENTS} | {BEGIN, END}
    chosen |= set(encoder_words()[:ENCODER_WORDS])
    kept_pairs = {pair for pair, count in pairs.items() if count >= LEAST_PAIR_DOCUMENTS}
    for _, entry in lexicon_entries():
        chosen |= set(entry.split(" "))
        if " " in entry:
            kept_pairs.add(entry)
    kept_pairs = {pair for pair in kept_pairs if set(pair.split(" ")) <= chosen}
    vocabulary = Rows(sorted(chosen), sorted(kept_pairs))
    counts = [0, *(words[word] for word in vocabulary.words), *(pairs[pair] for pair in vocabulary.pairs)]
    return vocabulary, (np.array(counts) + 0.5) / len(rows)


def vectors_of(vocabulary: Rows, shares: NDArray[np.float64], cache: Path | None) -> WordVectors:
    """Distils vectors for words and pairs of letters; all other rows have none."""
    terms = ["", *vocabulary.words, *vocabulary.pairs]
    spoken = [i for i, term in enumerate(terms) if term and all(part[0].isalpha() for part in term.split(" "))]
    distilled = distil([terms[i] for i in spoken], shares[spoken], cache)
    rows = np.zeros((vocabulary.count, distilled.rows.shape[1]), np.int8)
    scale = np.zeros(vocabulary.count, np.float32)
    rows[spoken], scale[spoken] = distilled.rows, distilled.scale
    return WordVectors(rows, scale)


def gain_scale(design: Design, at: NDArray[np.int64], heads: NDArray[np.float64]) -> GainScale:
    """Measures the parts of the gain over the training prompts."""
    shapes = np.array([design.readings[i].shape for i in at])
    steps = np.log(design.counts[at][:, GROUP_NAMES.index("step_word")] + 1)

    def spread(values: NDArray[np.float64]) -> tuple[float, float]:
        return round(float(values.mean()), 6), round(float(values.std()), 6)

    scale = GainScale(
        spread(shapes[:, SHAPE_NAMES.index("log_length")]),
        spread(shapes[:, SHAPE_NAMES.index("word_length")]),
        spread(steps),
        (),
    )
    intents, _ = chances(heads)
    gains = [
        gain_of(design.readings[i].shape, design.counts[i].tolist(), float(intents[n, 1] + intents[n, 2]), scale)
        for n, i in enumerate(at)
    ]
    quantiles = np.quantile(gains, np.linspace(0, 1, QUANTILES))
    return scale._replace(quantiles=tuple(round(float(value), 6) for value in quantiles))


def train(data: Path, cache: Path | None = None, held_out_file: Path | None = None) -> bytes:
    """Trains on the rows that may be trained on, calibrates on held-out families, and packs the artefact."""
    rows = development_rows(data) + written_rows()
    trained_rows = [row for row in rows if row.may_train]
    vocabulary, shares = vocabulary_of(trained_rows)
    vectors = vectors_of(vocabulary, shares, cache)
    design = Design(rows, vocabulary, vectors)
    held_out = held_out_heads(design, vocabulary.count)
    if held_out_file is not None:
        np.savez(held_out_file, ids=np.array([row.id for row in rows]), heads=held_out)
    calibration = calibrate(design, held_out)
    trained = np.array([i for i, row in enumerate(rows) if row.may_train])
    tables = fit_heads(design, trained, vocabulary.count)
    heads = raw_heads(design, trained, tables)
    low, high = np.quantile(heads[:, COMPLEXITY], [0.02, 0.98])
    facts: dict[str, Any] = {
        "format": Learned.FORMAT,
        "version": VERSION,
        "encoder": ENCODER,
        "trained_on": dict(sorted(Counter(f"{row.source} ({row.licence})" for row in trained_rows).items())),
        "complexity": [round(float(low), 6), round(float(high - low), 6)],
        "gain": list(gain_scale(design, trained, heads)),
        **calibration,
    }
    return pack(
        {
            "words": _joined(vocabulary.words),
            "pairs": _joined(vocabulary.pairs),
            "vectors": vectors.rows,
            "vector_scale": vectors.scale,
            "occurs": tables.occurs.astype(np.float16),
            "dense": tables.dense.astype(np.float32),
            "direction": tables.direction.astype(np.float32),
            "bias": tables.bias.astype(np.float32),
            "facts": np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8),
        }
    )


def pack(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Packs arrays as .npz with a fixed date, so that equal arrays make equal bytes."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in sorted(arrays.items()):
            content = BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue(), zipfile.ZIP_DEFLATED
            )
    return packed.getvalue()


def _joined(words: tuple[str, ...]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(words).encode(), np.uint8)


def main() -> None:
    """Trains and writes the artefact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the development data")
    parser.add_argument("--out", type=Path, default=ARTEFACT)
    parser.add_argument("--cache", type=Path, help="file that keeps the encoder's vectors between runs")
    parser.add_argument("--held-out", type=Path, help="file that gets what each prompt was judged without its family")
    chosen = parser.parse_args()
    content = train(chosen.data, chosen.cache, chosen.held_out)
    chosen.out.write_bytes(content)
    print(f"{chosen.out.name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
