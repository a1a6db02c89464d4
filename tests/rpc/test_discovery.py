"""Servers that list their own models and start, or change, while the service runs: their models are taken up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from muxer.v1 import (
    catalogue_service_pb2,
    catalogue_service_pb2_grpc,
    fleet_health_service_pb2,
    fleet_health_service_pb2_grpc,
    muxer_service_pb2,
    muxer_service_pb2_grpc,
)

from muxer_grpc import bootstrap_providers
from muxer_grpc.bootstrap import App, open_app
from muxer_grpc.bootstrap_providers import ConfiguredProvider
from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.profiles import ProfileChange
from muxer_grpc.domain.refusals import StorageUnavailable
from muxer_grpc.providers.registry import adapters
from muxer_grpc.settings import Settings
from muxer_grpc.settings_loading import load_settings
from tests.client.test_against_the_service import free_port
from tests.fakes.plays import Play
from tests.fakes.provider import FakeProvider, fake_provider
from tests.rpc.service import spec

OLLAMA, LITELLM = "OLLAMA", "LITELLM"


def settings(folder: Path, provider: str, port: int, **more: str) -> Settings:
    """Gives settings with one provider at a port; probes are made by the tests themselves."""
    variables = {
        "MUXER_STORAGE__URL": f"sqlite:///{folder}/muxer.db",
        "MUXER_RESILIENCE__PROBE_SECONDS": "3600",
        f"MUXER_PROVIDERS__{provider}__BASE_URL": f"http://127.0.0.1:{port}",
        "MUXER_PROVIDERS__OLLAMA__ENABLED": str(provider == OLLAMA).lower(),
        **more,
    }
    return load_settings(None, None, variables)
