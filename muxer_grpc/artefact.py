"""Where the learned classifier's artefact is, and how it is read."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from muxer_grpc.domain.classification.learned import Learned

# What `python -m muxer_grpc.training.fit` writes.
ARTEFACT = Path(__file__).parent / "domain/classification/learned.npz"


@cache
def load_learned() -> Learned:
    """Reads the classifier's artefact, once per process. Raises ValueError when it is of another format."""
    return Learned.from_bytes(ARTEFACT.read_bytes())
