"""Finds the provider adapters: every module of this folder that exports ADAPTER."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType

from muxer_grpc.domain.ports import Provider


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds in seconds on the steps of a call, each for itself; the caller's deadline bounds the whole."""

    connect: float = 5.0
    pool: float = 5.0
    first_byte: float = 120.0
    gap: float = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """What an adapter is built from. `api_key` is empty where the vendor needs none; `name` is the provider's name."""

    name: str
    base_url: str
    api_key: str = field(default="", repr=False)
    timeouts: Timeouts = Timeouts()
    max_connections: int = 1000


@dataclass(frozen=True, slots=True)
class Adapter:
    """A kind of provider.

    `key_variable` and `base_url_variable` name the environment variables that its users know. `default_base_url` is
    empty where an address must be configured. `vendor_options` lists the parameters of the vendor that callers may
    pass through: an allow-list, since a parameter can redirect a call (CVE-2026-84377 of another gateway).
    `discovers_models` marks vendors whose models are those that a probe finds, `discovered_models_are_free` those
    whose models cost nothing, `found_without_configuration` those that are looked for at their default address.
    """

    name: str
    build: Callable[[Connection], Provider]
    default_base_url: str = ""
    key_variable: str = ""
    base_url_variable: str = ""
    needs_key: bool = True
    vendor_options: frozenset[str] = frozenset()
    discovers_models: bool = False
    discovered_models_are_free: bool = False
    found_without_configuration: bool = False
    simulated: bool = False


@cache
def adapters() -> Mapping[str, Adapter]:
    """Imports the folder's modules and maps names to adapters. Raises ValueError when two share a name."""
    package = importlib.import_module(__package__ or "muxer_grpc.providers")
    found: dict[str, Adapter] = {}
    for module_info in pkgutil.iter_modules(package.__path__):
        adapter = getattr(importlib.import_module(f"{package.__name__}.{module_info.name}"), "ADAPTER", None)
        if adapter is None:
            continue
        if adapter.name in found:
            msg = f"two provider adapters are named {adapter.name}"
            raise ValueError(msg)
        found[adapter.name] = adapter
    return MappingProxyType(dict(sorted(found.items())))
