"""The composition root: from Settings to an App. The only reader of Settings."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from muxer_grpc import __version__
from muxer_grpc.domain.catalogue import Catalogue, Model, ProviderEntry, fleet_version, version_of
from muxer_grpc.domain.classification.classifier import Classifier
from muxer_grpc.domain.classification.learned import Learned
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.errors import ProviderFailure
from muxer_grpc.domain.figures import Figures
from muxer_grpc.domain.ports import ProbeResult, Provider
from muxer_grpc.domain.profiles import ProfileEditor, Profiles
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.pipeline.decisions import Decisions
from muxer_grpc.pipeline.judge import Judge, JudgeRules
from muxer_grpc.pipeline.pipeline import Pipeline, Surroundings
from muxer_grpc.profiles_file import ProfilesFile
from muxer_grpc.providers.model_rows import ModelRow, load_rows, to_model
from muxer_grpc.providers.registry import Adapter, Connection, Timeouts, adapters
from muxer_grpc.rpc.servicers.catalogue import CatalogueServicer
from muxer_grpc.rpc.servicers.muxer import MuxerServicer, ProcessFacts
from muxer_grpc.settings import ProviderSettings, Settings

# What `python -m muxer_grpc.training.fit` writes.
ARTEFACT = Path(__file__).parent / "domain/classification/learned.npz"

# Long enough for a local server to answer, short enough not to be felt at start.
DISCOVERY_SECONDS = 1.0

# What is taken for a model of which nothing but its name is known.
UNKNOWN_MODEL_CONTEXT = 8_192
UNKNOWN_MODEL_OUTPUT = 4_096


# Seeded by the system, once per process: an id must be unique, and nobody is kept out by not guessing it.
_random = random.Random(os.urandom(32))  # noqa: S311


def new_id() -> str:
    """Makes a unique id of 24 hexadecimal characters."""
    return f"{_random.getrandbits(96):024x}"


@dataclass(frozen=True, slots=True)
class App:
    """All that the listeners serve; `catalogue` is the one that it starts with."""

    catalogue: Catalogue
    pipeline: Pipeline
    figures: Figures
    muxer: MuxerServicer
    catalogue_service: CatalogueServicer
    profiles: ProfileEditor
    profiles_file: ProfilesFile | None = None


@dataclass(frozen=True, slots=True)
class ConfiguredProvider:
    """A provider as the settings have it: its entry, its models, and its connection when it can be called."""

    adapter: Adapter
    entry: ProviderEntry
    models: tuple[Model, ...]
    provider: Provider | None = None


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncGenerator[App, None]:
    """Builds the application, and closes its connections on leaving."""
    configured = await _configure_all(settings)
    try:
        providers = {c.entry.name: c.provider for c in configured if c.provider is not None}
        app = assemble(_catalogue_of(configured), providers, settings)
        async with _in_step_with_file(app):
            yield app
    finally:
        open_ones = [c.provider for c in configured if c.provider is not None]
        await asyncio.gather(*(provider.aclose() for provider in open_ones))


@asynccontextmanager
async def _in_step_with_file(app: App) -> AsyncGenerator[None, None]:
    """Takes over what other processes change in the file of profiles, where there is one."""
    if app.profiles_file is None:
        yield
        return
    watch = asyncio.create_task(app.profiles_file.watch(app.profiles.take_over))
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def describe(settings: Settings) -> Catalogue:
    """Tells which providers and models the settings make available, looking for local servers as a start would."""
    async with open_app(settings) as app:
        return app.catalogue


def assemble(
    catalogue: Catalogue,
    providers: Mapping[str, Provider],
    settings: Settings | None = None,
    now: Callable[[], float] = time.time,
) -> App:
    """Wires an application from its parts; tests hand in fakes. Without settings, the defaults hold.

    `now` gives the seconds since the epoch by which decisions and figures age.

    Raises ValueError when the file of profiles is broken, or the judge cannot be called.
    """
    chosen = settings or Settings()
    figures = Figures()
    path = chosen.catalogue.profiles_file
    profiles_file = None if path is None else ProfilesFile(path, catalogue.models)
    profiles = Profiles(catalogue, {} if profiles_file is None else profiles_file.read())
    fleet = Fleet(profiles.catalogue, chosen.routing.default_strategy)
    editor = ProfileEditor(profiles, fleet, profiles_file, _why_profiles_stay(chosen))
    thresholds = Thresholds(chosen.classifier.low_confidence, chosen.classifier.direct_confidence)
    surroundings = Surroundings(
        fleet=fleet,
        providers=providers,
        observer=figures,
        new_id=new_id,
        classify=_classifier(chosen, thresholds).classify,
        live=figures.snapshot,
        judge=_judge(chosen, profiles.catalogue, providers, thresholds, now),
        decisions=Decisions(chosen.routing.decision_seconds),
        now=now,
    )
    pipeline = Pipeline(surroundings)
    facts = ProcessFacts(version=__version__, instance_id=new_id(), started_at=time.time())
    return App(
        catalogue=profiles.catalogue,
        pipeline=pipeline,
        figures=figures,
        muxer=MuxerServicer(pipeline, fleet, figures, facts),
        catalogue_service=CatalogueServicer(fleet, editor),
        profiles=editor,
        profiles_file=profiles_file,
    )


def _why_profiles_stay(settings: Settings) -> str:
    """Says why profiles cannot be changed at run time; nothing where they can."""
    workers = settings.server.workers
    if workers == 1 or settings.catalogue.profiles_file is not None:
        return ""
    return f"one of {workers} workers alone would change: set MUXER_CATALOGUE__PROFILES_FILE to a file"


@cache
def load_learned() -> Learned:
    """Reads the classifier's artefact, once per process. Raises ValueError when it is of another format."""
    return Learned.from_bytes(ARTEFACT.read_bytes())


def _classifier(settings: Settings, thresholds: Thresholds) -> Classifier:
    """Builds the classifier: rules, and the learned part unless it is switched off."""
    learned = load_learned() if settings.classifier_enabled else None
    return Classifier(learned, thresholds)


def _judge(
    settings: Settings,
    catalogue: Catalogue,
    providers: Mapping[str, Provider],
    thresholds: Thresholds,
    now: Callable[[], float],
) -> Judge | None:
    """Builds the judge, where one is configured. Raises ValueError when its model cannot be called, or has no price."""
    chosen = settings.classifier.judge
    if not chosen.model:
        return None
    model = catalogue.resolve(chosen.model)
    if model is None or model.provider not in providers:
        nearest = catalogue.nearest(chosen.model)
        hint = f"; did you mean {nearest}?" if model is None and nearest else ""
        msg = f"classifier.judge.model: {chosen.model} is not a model that can be called{hint}"
        raise ValueError(msg)
    rules = JudgeRules(chosen.timeout_seconds, chosen.budget_nano_usd_per_hour)
    try:
        return Judge(model, providers[model.provider], rules, thresholds, now)
    except ValueError as error:
        msg = f"classifier.judge.model: {error}"
        raise ValueError(msg) from None


def _catalogue_of(configured: Iterable[ConfiguredProvider]) -> Catalogue:
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


async def _configure_all(settings: Settings) -> list[ConfiguredProvider]:
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
    detail = "simulated answers" if adapter.simulated else f"calls {_without_path(base_url)}"
    if adapter.discovers_models:
        probed = await _discover(provider)
        if not probed.ok and not given_url and adapter.found_without_configuration:
            await provider.aclose()
            detail = f"nothing answers at {base_url}; start it, or set {adapter.base_url_variable}"
            entry = ProviderEntry(name, configured=False, detail=detail, vendor_options=options)
            return ConfiguredProvider(adapter, entry, ())
        rows = _discovered_rows(rows, probed.models, chosen, free=adapter.discovered_models_are_free)
        detail += f", {len(probed.models)} models found" if probed.ok else ", which did not answer at start"
    entry = ProviderEntry(name, configured=True, detail=detail, vendor_options=options)
    return ConfiguredProvider(adapter, entry, _models(rows, name, adapter, chosen), provider)


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
