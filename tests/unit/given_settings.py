"""Loads settings from what a test gives, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from muxer_grpc.settings import Settings
from muxer_grpc.settings_loading import SettingsError, load_settings

SECRET = "sk-do-not-tell-3141592653"

VLLM = """
[providers.vllm]
adapter = "compatible"
base_url = "http://127.0.0.1:8000/v1"
regions = ["eu"]

[[providers.vllm.models]]
name = "qwen"
context_window = 32768
max_output_tokens = 8192
free = true
"""


def load(
    environ: Mapping[str, str] | None = None, *, toml: str | None = None, dotenv: str | None = None, **overrides: Any
) -> Settings:
    """Loads settings from these sources alone."""
    config = None
    if toml is not None:
        config = Path("given.toml")
        config.write_text(toml)
    if dotenv is not None:
        Path(".env").write_text(dotenv)
    return load_settings(config, Path(".env"), environ or {}, **overrides)


def problems_of(environ: Mapping[str, str] | None = None, **sources: Any) -> list[str]:
    """Loads settings that must be refused, and gives the problems."""
    with pytest.raises(SettingsError) as raised:
        load(environ, **sources)
    return raised.value.problems
