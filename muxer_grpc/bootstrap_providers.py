"""From settings to providers: which can be called, what they offer, and the catalogue of it all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from muxer_grpc.domain.catalogue import Catalogue, Model, ProviderEntry, fleet_version, version_of
from muxer_grpc.domain.errors import ProviderFailure
from muxer_grpc.domain.ports import ProbeResult, Provider
from muxer_grpc.providers.model_rows import ModelRow, load_rows, to_model
from muxer_grpc.providers.registry import Adapter, Connection, Timeouts, adapters
from muxer_grpc.settings import ProviderSettings, Settings

# Long enough for a local server to answer, short enough not to be felt at start.
DISCOVERY_SECONDS = 1.0

# What is taken for a model of which nothing but its name is known.
UNKNOWN_MODEL_CONTEXT = 8_192
UNKNOWN_MODEL_OUTPUT = 4_096


@dataclass(frozen=True, slots=True)
class ConfiguredProvider:
    """A provider as the settings have it: its entry, its models, and its connection when it can be called.

    One that is `looked_for` did not answer at its usual address yet, and may begin to.
    """

    adapter: Adapter
    entry: ProviderEntry
    models: tuple[Model, ...]
    provider: Provider | None = None
    address: str = ""
    looked_for: Provider | None = None

    async def aclose(self) -> None:
        """Closes its connections."""
        for each in (self.provider, self.looked_for):
            if each is not None:
                await each.aclose()


def with_models_found(before: ConfiguredProvider, found: Sequence[str], settings: Settings) -> ConfiguredProvider:
    """Gives a provider that lists its own models with those that it lists now; it can be called."""
    name, adapter = before.entry.name, before.adapter
    chosen = settings.providers.get(name) or ProviderSettings()
    rows = _discovered_rows(_merged_rows(adapter, chosen), found, chosen, free=adapter.discovered_models_are_free)
    entry = replace(before.entry, configured=True, detail=_detail(before.address, len(found)))
    return replace(
        before,
        entry=entry,
        models=_models(rows, name, adapter, chosen),
        provider=before.provider or before.looked_for,
        looked_for=None,
    )


def catalogue_of(configured: Iterable[ConfiguredProvider]) -> Catalogue:
    """Builds the catalogue; its versions are hashes of its contents, so that equal ones are equal everywhere."""
    models = sorted((model for c in configured for model in c.models), key=lambda model: model.name)
    entries = [c.entry for c in configured]
    prices = [(model.name, model.price) for model in models]
    return Catalogue.of(
        models,
        entries,
        version=fleet_version(models, entries),
        price_book_version=version_of("prices", prices),
    )


def endpoints_of(configured: Iterable[ConfiguredProvider]) -> Mapping[str, tuple[str, int]]:
    """Gives the host and the port of each provider that is called over the network."""
    found = {}
    for each in configured:
        parts = urlsplit(each.address)
        if parts.hostname:
            found[each.entry.name] = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    return found


async def configure_all(settings: Settings) -> list[ConfiguredProvider]:
    """Configures every known adapter and every named connection; those that must be asked are asked at once."""
    kinds = adapters()
    named = {name: kind for name, kind in kinds.items() if name not in _KINDS_THAT_NEED_A_NAME}
    for name, chosen in settings.providers.items():
        named[name] = kinds[chosen.adapter or name]
    environment = settings.vendor_environment
    tasks = [
        _configure(name, adapter, settings.providers.get(name) or ProviderSettings(), environment)
        for name, adapter in named.items()
    ]
    return list(await asyncio.gather(*tasks))


# An adapter for any server has no address of its own: it exists only under the names that settings give it.
_KINDS_THAT_NEED_A_NAME = frozenset({"compatible"})


async def _configure(
    name: str, adapter: Adapter, chosen: ProviderSettings, environment: Mapping[str, str]
) -> ConfiguredProvider:
    rows = _merged_rows(adapter, chosen)
    key_variable = chosen.api_key_env or adapter.key_variable
    key = chosen.api_key.get_secret_value() if chosen.api_key else environment.get(key_variable, "")
    given_url = chosen.base_url or environment.get(adapter.base_url_variable, "")
    base_url = given_url or adapter.default_base_url
    missing = _missing(adapter, chosen, key, base_url, key_variable)
    options = adapter.vendor_options | frozenset(chosen.extra_vendor_options)
    if missing:
        entry = ProviderEntry(name, configured=False, detail=missing, vendor_options=options)
        return ConfiguredProvider(adapter, entry, _models(rows, name, adapter, chosen))
    connection = Connection(
        name=name,
        base_url=base_url,
        api_key=key,
        timeouts=Timeouts(
            connect=chosen.timeouts.connect_seconds,
            first_byte=chosen.timeouts.first_byte_seconds,
            gap=chosen.timeouts.gap_seconds,
        ),
    )
    provider = adapter.build(connection)
    address = _without_path(base_url)
    detail = "simulated answers" if adapter.simulated else f"calls {address}"
    if adapter.discovers_models:
        probed = await _discover(provider)
        if not probed.ok and not given_url and adapter.found_without_configuration:
            detail = f"nothing answers at {base_url}; start it, or set {adapter.base_url_variable}"
            entry = ProviderEntry(name, configured=False, detail=detail, vendor_options=options)
            return ConfiguredProvider(adapter, entry, (), address=address, looked_for=provider)
        rows = _discovered_rows(rows, probed.models, chosen, free=adapter.discovered_models_are_free)
        detail = _detail(address, len(probed.models)) if probed.ok else f"{detail}, which did not answer at start"
    entry = ProviderEntry(name, configured=True, detail=detail, vendor_options=options)
    return ConfiguredProvider(adapter, entry, _models(rows, name, adapter, chosen), provider, address)


def _detail(address: str, models: int) -> str:
    return f"calls {address}, {models} models found"


def _missing(adapter: Adapter, chosen: ProviderSettings, key: str, base_url: str, key_variable: str) -> str:
    """Says what a provider lacks; nothing when it can be called."""
    if chosen.enabled is False:
        return "disabled by its setting"
    if not base_url and not adapter.simulated:
        return f"set {adapter.base_url_variable or 'its base_url'}"
    if adapter.needs_key and not key:
        return f"set {key_variable}"
    return ""


def _without_path(url: str) -> str:
    return "/".join(url.split("/", 3)[:3])


async def _discover(provider: Provider) -> ProbeResult:
    try:
        async with asyncio.timeout(DISCOVERY_SECONDS):
            return await provider.probe()
    except (TimeoutError, ProviderFailure):
        return ProbeResult(ok=False, latency_seconds=DISCOVERY_SECONDS)


def _merged_rows(adapter: Adapter, chosen: ProviderSettings) -> dict[str, ModelRow]:
    """Takes the shipped rows, and the operator's in place of those of the same name."""
    rows = {row.name: row for row in load_rows(adapter.name)}
    rows.update((row.name, row) for row in chosen.models)
    return rows


def _discovered_rows(
    hints: Mapping[str, ModelRow], found: Iterable[str], chosen: ProviderSettings, *, free: bool
) -> dict[str, ModelRow]:
    """Describes the models that a server really has, by what is known of their family (the name before the tag)."""
    rows = {row.name: row for row in chosen.models}
    for name in found:
        hint = hints.get(name) or hints.get(name.split(":", 1)[0])
        if hint is not None:
            rows.setdefault(name, hint.model_copy(update={"name": name, "vendor_model": name}))
        else:
            row = ModelRow(
                name=name, context_window=UNKNOWN_MODEL_CONTEXT, max_output_tokens=UNKNOWN_MODEL_OUTPUT, free=free
            )
            rows.setdefault(name, row)
    return rows


def _models(rows: Mapping[str, ModelRow], name: str, adapter: Adapter, chosen: ProviderSettings) -> tuple[Model, ...]:
    regions = tuple(chosen.regions)
    described = [
        row if row.regions or not regions else row.model_copy(update={"regions": regions}) for row in rows.values()
    ]
    return tuple(to_model(row, name, simulated=adapter.simulated) for row in described)
