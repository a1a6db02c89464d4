"""The composition root: from Settings to an App. The only reader of Settings."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from muxer_grpc import __version__
from muxer_grpc.artefact import load_learned
from muxer_grpc.bootstrap_admin import account_services
from muxer_grpc.bootstrap_cache import cache_service, open_cache
from muxer_grpc.bootstrap_control import Control, control_of, followed, probed
from muxer_grpc.bootstrap_discovery import Discovery
from muxer_grpc.bootstrap_identity import open_identity
from muxer_grpc.bootstrap_prices import kept_current, price_sources
from muxer_grpc.bootstrap_providers import ConfiguredProvider, catalogue_of, configure_all, endpoints_of
from muxer_grpc.bootstrap_rate_limits import open_rate_limits
from muxer_grpc.bootstrap_reports import lease_services, report_services
from muxer_grpc.bootstrap_storage import Storage, open_storage
from muxer_grpc.domain.catalogue import Catalogue
from muxer_grpc.domain.classification.classifier import Classifier
from muxer_grpc.domain.classification.thresholds import Thresholds
from muxer_grpc.domain.figures import Figures
from muxer_grpc.domain.ports import Provider, RateLimiter
from muxer_grpc.domain.price_book import PriceSources
from muxer_grpc.domain.profiles import ProfileEditor, Profiles
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.identity.authenticator import Authenticator
from muxer_grpc.ops.recent import RecentDecisions
from muxer_grpc.pipeline.decisions import Decisions
from muxer_grpc.pipeline.failover import Resilience
from muxer_grpc.pipeline.judge import Judge, JudgeRules
from muxer_grpc.pipeline.pipeline import Pipeline
from muxer_grpc.pipeline.price_updates import PriceUpdates
from muxer_grpc.pipeline.response_cache import Answers
from muxer_grpc.pipeline.side_account import SideBooks
from muxer_grpc.pipeline.surroundings import Surroundings
from muxer_grpc.profiles_file import ProfilesFile
from muxer_grpc.rpc.listener import Servicer
from muxer_grpc.rpc.metrics import Metrics, ProcessFacts
from muxer_grpc.rpc.servicers import caching
from muxer_grpc.rpc.servicers import prices as price_service
from muxer_grpc.rpc.servicers.catalogue import CatalogueServicer
from muxer_grpc.rpc.servicers.muxer import MuxerServicer
from muxer_grpc.settings import Settings
from muxer_grpc.storage.database import Database
from muxer_grpc.storage.fleet_figures import FleetFiguresTable
from muxer_grpc.storage.price_books import PriceBookTable

# Seeded by the system, once per process: an id must be unique, and nobody is kept out by not guessing it.
_random = random.Random(os.urandom(32))  # noqa: S311
if hasattr(os, "register_at_fork"):
    # A forked process would make the ids of its parent again.
    os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def new_id() -> str:
    """Makes a unique id of 24 hexadecimal characters: the time in milliseconds, and 52 random bits.

    Ids grow with time, so that rows with new ones stand side by side in the indexes of databases, and a commit writes a
    page or two of each where random ids would touch a page per row (as with UUID version 7, RFC 9562, 6.1).
    """
    return f"{time.time_ns() // 1_000_000:011x}{_random.getrandbits(52):013x}"


@dataclass(frozen=True, slots=True)
class App:
    """All that the listeners serve; `catalogue` is the one that it starts with."""

    catalogue: Catalogue
    pipeline: Pipeline
    figures: Figures
    muxer: MuxerServicer
    catalogue_service: CatalogueServicer
    profiles: ProfileEditor
    prices: PriceUpdates
    control: Control
    facts: ProcessFacts
    profiles_file: ProfilesFile | None = None
    identity: Authenticator | None = None
    limiter: RateLimiter | None = None
    # Those that need a database, by their full names.
    admin_services: Mapping[str, Servicer] = field(default_factory=dict)
    data_services: Mapping[str, Servicer] = field(default_factory=dict)
    # Kept where operators have a page to see them on.
    recent: RecentDecisions | None = None
    # What telemetry asks for its figures.
    storage: Storage | None = None
    answers: Answers | None = None
    endpoints: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@asynccontextmanager
async def open_app(settings: Settings, instance_id: str = "") -> AsyncGenerator[App, None]:
    """Builds the application, and closes its connections on leaving."""
    configured = await configure_all(settings)
    instance_id = instance_id or new_id()
    try:
        providers = {c.entry.name: c.provider for c in configured if c.provider is not None}
        async with (
            open_storage(settings, instance_id) as storage,
            open_identity(settings.identity, storage.directory) as identity,
            open_rate_limits(settings.rate_limits) as limiter,
            open_cache(settings) as answers,
        ):
            prices = price_sources(configured, settings)
            app = assemble(
                catalogue_of(configured),
                providers,
                settings,
                storage=storage,
                instance_id=instance_id,
                prices=prices,
                limiter=limiter,
                answers=answers,
            )
            app.control.limits = limiter
            discovery = Discovery(configured, settings, providers, app.profiles, app.prices)
            async with (
                _in_step_with_file(app),
                kept_current(app.prices, settings.prices.refresh_seconds),
                followed(app.control.feed),
                probed(app.control, discovery, settings.resilience.probe_seconds, _random.random),
            ):
                found = endpoints_of(configured)
                yield replace(app, identity=identity, storage=storage, answers=answers, endpoints=found)
    finally:
        await _close(configured)


async def _close(configured: Iterable[ConfiguredProvider]) -> None:
    await asyncio.gather(*(each.aclose() for each in configured))


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
    configured = await configure_all(settings)
    try:
        providers = {c.entry.name: c.provider for c in configured if c.provider is not None}
        prices = price_sources(configured, settings)
        return assemble(catalogue_of(configured), providers, settings, prices=prices).catalogue
    finally:
        await _close(configured)


def assemble(
    catalogue: Catalogue,
    providers: Mapping[str, Provider],
    settings: Settings | None = None,
    now: Callable[[], float] = time.time,
    *,
    storage: Storage | None = None,
    instance_id: str = "",
    prices: PriceSources | None = None,
    limiter: RateLimiter | None = None,
    answers: Answers | None = None,
) -> App:
    """Wires an application; without a part, what it is for is not done. `now` gives seconds since the epoch.

    Raises ValueError on broken profiles, or a judge that cannot be called.
    """
    chosen = settings or Settings()
    figures, recent = _observers(chosen)
    profiles_file = _profiles_file(chosen, catalogue)
    profiles = Profiles(catalogue, {} if profiles_file is None else profiles_file.read())
    fleet = Fleet(profiles.catalogue, chosen.routing.default_strategy)
    editor = ProfileEditor(profiles, fleet, profiles_file, _why_profiles_stay(chosen))
    database = None if storage is None else storage.database
    updates = _price_updates(chosen, prices or PriceSources.of(catalogue), editor, database, now)
    thresholds, resilience = _thresholds(chosen), Resilience(jitter=_random.random)
    control = control_of(chosen, fleet, resilience, figures, thresholds, database=database, now=now)
    around = Surroundings(
        fleet=fleet,
        providers=providers,
        observer=recent or figures,
        new_id=new_id,
        classify=_classifier(chosen, thresholds).classify,
        live=figures.snapshot,
        judge=_judge(chosen, profiles.catalogue, providers, thresholds, now, prices=updates, storage=storage),
        decisions=Decisions(chosen.routing.decision_seconds),
        books=None if storage is None else storage.books,
        limiter=limiter,
        resilience=resilience,
        answers=answers,
        now=now,
    )
    pipeline, facts = Pipeline(around), ProcessFacts(__version__, instance_id or new_id(), now())
    return App(
        catalogue=profiles.catalogue,
        pipeline=pipeline,
        figures=figures,
        muxer=MuxerServicer(pipeline, fleet, _metrics(figures, around, facts, database), caches=answers is not None),
        catalogue_service=CatalogueServicer(fleet, editor),
        profiles=editor,
        prices=updates,
        control=control,
        facts=facts,
        profiles_file=profiles_file,
        limiter=limiter,
        admin_services=_admin_services(chosen, storage, fleet, updates, now)
        | {caching.SERVICE: cache_service(chosen, answers, database, facts.instance_id, now)}
        | control.services(facts.instance_id, now),
        data_services={} if storage is None else _data_services(chosen, storage, now),
        recent=recent,
    )


def _observers(settings: Settings) -> tuple[Figures, RecentDecisions | None]:
    """Builds what is told of completions; the last ones are kept where there is a page to see them on."""
    figures = Figures()
    return figures, RecentDecisions(figures) if settings.ops.listen else None


def _thresholds(settings: Settings) -> Thresholds:
    return Thresholds(settings.classifier.low_confidence, settings.classifier.direct_confidence)


def _metrics(figures: Figures, around: Surroundings, facts: ProcessFacts, database: Database | None) -> Metrics:
    """Builds what tells figures, those of the cache of answers too."""
    if around.answers is not None:
        around.answers.observer = figures
    ledger = None if database is None else FleetFiguresTable(database)
    return Metrics(around.fleet, figures, facts, around.resilience.health, around.now, ledger)


def _price_updates(
    settings: Settings, prices: PriceSources, editor: ProfileEditor, database: Database | None, now: Callable[[], float]
) -> PriceUpdates:
    """Builds what sets prices at run time; without a database it keeps none."""
    kept = None if database is None else PriceBookTable(database)
    return PriceUpdates(prices, editor.reprice, kept, now, settings.prices.most_factor)


def _profiles_file(settings: Settings, catalogue: Catalogue) -> ProfilesFile | None:
    path = settings.catalogue.profiles_file
    return None if path is None else ProfilesFile(path, catalogue.models)


def _data_services(settings: Settings, storage: Storage, now: Callable[[], float]) -> Mapping[str, Servicer]:
    """Gives the services of callers that need a database."""
    return lease_services(settings.money_leases, storage.database, storage.writer, now=now, new_id=new_id)


def _admin_services(
    settings: Settings, storage: Storage | None, fleet: Fleet, updates: PriceUpdates, now: Callable[[], float]
) -> dict[str, Servicer]:
    """Gives the admin services; without a storage, those that need none."""
    services: dict[str, Servicer] = {price_service.SERVICE: price_service.PriceServicer(updates, now)}
    if storage is None:
        return services
    return {
        **services,
        **account_services(settings, storage.database, fleet, now=now, new_id=new_id),
        **report_services(settings, storage.database, storage.alert_feed, fleet, now=now),
    }


def _why_profiles_stay(settings: Settings) -> str:
    """Says why profiles cannot be changed at run time; nothing where they can."""
    workers = settings.server.workers
    if workers == 1 or settings.catalogue.profiles_file is not None:
        return ""
    return f"one of {workers} workers alone would change: set MUXER_CATALOGUE__PROFILES_FILE to a file"


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
    *,
    prices: PriceUpdates,
    storage: Storage | None,
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
        judge = Judge(
            model,
            providers[model.provider],
            rules,
            thresholds,
            now,
            books=None if storage is None else SideBooks(storage.books, new_id),
            price_book_version=catalogue.price_book_version,
        )
    except ValueError as error:
        msg = f"classifier.judge.model: {error}"
        raise ValueError(msg) from None
    prices.tell(lambda book: judge.reprice(book.prices.get(judge.model), book.version))
    return judge
